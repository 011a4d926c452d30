"""Relays behind a SOCKS proxy: microsocks as the real one, and test servers for SOCKS4 and for failures."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from typing import TYPE_CHECKING

import pytest

from monitor.errors import LocalError, ProbeError
from monitor.relay.proxy import Proxy, proxy_of
from monitor.relay.target import Target
from monitor.relay.tls import TlsOptions
from monitor.vocabulary import Phase, Reason, Step
from tests.relay.harness import (
    TEXT,
    addresses,
    close_at_once,
    finding_none,
    forward,
    frame,
    idle,
    reset,
    serving,
    upgrading,
)
from tests.relay.test_tls import server_context
from tests.sockets import closed_port

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator
    from pathlib import Path

    import trustme

    from monitor.relay.resolve import AddressInfo
    from tests.relay.harness import Reader, RecordingObserver, Script, Writer

PASSWORD = "p@ss:word"


@contextlib.asynccontextmanager
async def microsocks(*options: str) -> AsyncIterator[int]:
    """Run microsocks, a SOCKS5 server, and yield its port."""
    if shutil.which("microsocks") is None:
        pytest.skip("needs microsocks: apt-get install microsocks")
    port = closed_port()
    process = await asyncio.create_subprocess_exec(
        "microsocks", "-i", "127.0.0.1", "-p", str(port), *options, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(ConnectionRefusedError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                assert process.returncode is None
                await asyncio.sleep(0.005)
        yield port
    finally:
        process.terminate()
        await process.wait()


needs_microsocks = pytest.mark.required_counterpart("microsocks")


@needs_microsocks
async def test_a_wss_relay_is_reached_through_socks5_with_a_password(
    observer: RecordingObserver, authority: trustme.CA, ca_file: Path
) -> None:
    relay = upgrading(frame(TEXT, b"hello"))
    async with (
        serving(relay, tls=server_context(authority, "127.0.0.1")) as port,
        microsocks("-u", "user", "-P", PASSWORD) as proxy_port,
    ):
        target = Target(
            url=f"wss://127.0.0.1:{port}",
            tls=TlsOptions(ca_file=ca_file),
            proxy=f"socks5h://user:p%40ss%3Aword@127.0.0.1:{proxy_port}",
        )
        transport = await observer.dial(target)
        await observer.until(lambda: observer.texts)
        transport.abort()
    assert observer.steps == [Step.PROXY, Step.TLS, Step.UPGRADE]
    assert observer.has_proxy
    assert list(observer.phases) == [Phase.PROXY, Phase.TLS, Phase.UPGRADE]


@needs_microsocks
async def test_socks5_resolves_locally_and_socks5h_at_the_proxy(observer: RecordingObserver) -> None:
    async with serving(upgrading()) as port, microsocks() as proxy_port:
        relay = f"ws://relay.invalid:{port}"

        here = Target(url=relay, proxy=f"socks5://127.0.0.1:{proxy_port}")
        (await observer.dial(here, addresses("127.0.0.1"))).abort()
        assert observer.steps == [Step.RESOLVE, Step.PROXY, Step.UPGRADE]
        assert list(observer.phases) == [Phase.RESOLVE, Phase.PROXY, Phase.UPGRADE]
        with pytest.raises(ProbeError) as caught:
            await observer.dial(Target(url=relay, proxy=f"socks5h://127.0.0.1:{proxy_port}"))
    assert caught.value.step is Step.PROXY
    assert caught.value.reason is Reason.UNREACHABLE


@needs_microsocks
@pytest.mark.parametrize("credentials", ["", "user:secret@"])
async def test_wrong_proxy_credentials_are_refused(observer: RecordingObserver, credentials: str) -> None:
    async with microsocks("-u", "user", "-P", PASSWORD) as port:
        with pytest.raises(ProbeError) as caught:
            await observer.dial(Target(url="ws://127.0.0.1", proxy=f"socks5h://{credentials}127.0.0.1:{port}"))
    assert (caught.value.step, caught.value.reason) == (Step.PROXY, Reason.REFUSED)
    assert "secret" not in str(caught.value)
    assert not observer.phases


@needs_microsocks
async def test_a_relay_that_refuses_the_proxys_connection_is_refused(observer: RecordingObserver) -> None:
    async with microsocks() as port:
        with pytest.raises(ProbeError) as caught:
            await observer.dial(Target(url=f"ws://127.0.0.1:{closed_port()}", proxy=f"socks5h://127.0.0.1:{port}"))
    assert (caught.value.step, caught.value.reason) == (Step.PROXY, Reason.REFUSED)
    assert caught.value.detail == "the proxy answered: Connection refused by destination host"


@needs_microsocks
async def test_the_socks_proxy_of_the_environment_is_used(
    observer: RecordingObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(upgrading()) as port, microsocks() as proxy_port:
        monkeypatch.setenv("all_proxy", f"socks5h://127.0.0.1:{proxy_port}")
        (await observer.dial(Target(url=f"ws://127.0.0.1:{port}"))).abort()
        assert observer.has_proxy


class Socks4:
    """A minimal SOCKS4 server: it connects to `port` on 127.0.0.1, whatever address is requested."""

    def __init__(self, port: int, code: int = 0x5A) -> None:
        self.port = port
        self.code = code
        self.requests: list[bytes] = []

    async def __call__(self, reader: Reader, writer: Writer) -> None:
        request = await reader.readexactly(8) + await reader.readuntil(b"\0")
        if request[4:7] == b"\0\0\0":  # SOCKS4a: a name follows
            request += await reader.readuntil(b"\0")
        self.requests.append(request)
        writer.write(bytes([0, self.code]) + bytes(6))
        if self.code == 0x5A:
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                await asyncio.gather(forward(reader, upstream_writer), forward(upstream_reader, writer))
            finally:
                upstream_writer.close()


async def test_a_relay_is_reached_by_name_through_socks4a(observer: RecordingObserver) -> None:
    async with serving(upgrading(frame(TEXT, b"hello"))) as port:
        proxy = Socks4(port)
        async with serving(proxy) as proxy_port:
            target = Target(url="ws://relé.example:8000", proxy=f"socks4a://user@127.0.0.1:{proxy_port}")
            transport = await observer.dial(target)
            await observer.until(lambda: observer.texts)
            transport.abort()
    assert proxy.requests == [b"\x04\x01\x1f\x40\0\0\0\x01user\0xn--rel-dma.example\0"]
    assert observer.steps == [Step.PROXY, Step.UPGRADE]


async def test_socks4_receives_an_ipv4_address(observer: RecordingObserver) -> None:
    async with serving(upgrading()) as port:
        proxy = Socks4(port)
        async with serving(proxy) as proxy_port:
            lookups = []

            async def resolver(name: str, port: int, family: socket.AddressFamily) -> list[AddressInfo]:
                lookups.append(name)
                found = ("127.0.0.1",) if name == "127.0.0.1" else ("2001:db8::1", "192.0.2.7")
                return await addresses(*found)(name, port, family)

            target = Target(url="ws://relay.example:8000", proxy=f"socks4://127.0.0.1:{proxy_port}")
            (await observer.dial(target, resolver)).abort()
    assert proxy.requests == [b"\x04\x01\x1f\x40\xc0\0\x02\x07\0"]
    assert lookups == ["relay.example", "127.0.0.1"]


async def test_an_ipv6_address_behind_socks4_is_a_local_error(observer: RecordingObserver) -> None:
    with pytest.raises(LocalError, match="reaches IPv4 addresses only") as caught:
        await observer.dial(Target(url="ws://relay.example", proxy="socks4://p"), addresses("2001:db8::1"))
    assert (caught.value.step, caught.value.reason) == (Step.PROXY, Reason.INTERNAL)


@pytest.mark.parametrize("code", [0x5B, 0x5C, 0x5D])
async def test_a_rejection_of_a_socks4_proxy_is_refused(observer: RecordingObserver, code: int) -> None:
    async with serving(Socks4(0, code)) as port:
        with pytest.raises(ProbeError) as caught:
            await observer.dial(Target(url="ws://relay.example", proxy=f"socks4a://127.0.0.1:{port}"))
    assert (caught.value.step, caught.value.reason) == (Step.PROXY, Reason.REFUSED)


def replying(reply: bytes, *, method: bytes = b"\x05\0") -> Script:
    """Return a script of a SOCKS5 server that sends `reply` byte by byte and closes."""

    async def script(reader: Reader, writer: Writer) -> None:
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(method)
        if reply:
            request = await reader.readexactly(5)
            await reader.readexactly(request[4] + 2)
            for byte in reply:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0)

    return script


@pytest.mark.parametrize(
    ("script", "reason", "detail"),
    [
        (replying(b"\x05\x01\0"), Reason.UNREACHABLE, "General SOCKS server failure"),
        (replying(b"\x05\x02\0"), Reason.REFUSED, "not allowed by ruleset"),
        (replying(b"\x05\x03\0"), Reason.UNREACHABLE, "Network unreachable"),
        (replying(b"\x05\x04\0"), Reason.UNREACHABLE, "Host unreachable"),
        (replying(b"\x05\x05\0"), Reason.REFUSED, "refused"),
        (replying(b"\x05\x06\0"), Reason.UNREACHABLE, "TTL expired"),
        (replying(b"\x05\x07\0"), Reason.PROTOCOL, "Command not supported"),
        (replying(b"\x05\x08\0"), Reason.PROTOCOL, "Address type not supported"),
        (replying(b"\x05\x09\0"), Reason.PROTOCOL, "reply code"),
        (replying(b"\x05\0\x01"), Reason.PROTOCOL, "reserved byte"),
        (replying(b"\x05\0\0\x09"), Reason.PROTOCOL, "address type"),
        (replying(b"\x05\0\0\x03\x01\xff\0\0"), Reason.PROTOCOL, "not text"),
        (replying(b"\x05\0\0\x01\0\0"), Reason.RESET, "closed the connection"),
        (replying(b"", method=b"\x05\xff"), Reason.REFUSED, "No acceptable authentication"),
        (replying(b"", method=b"\x05\x02"), Reason.PROTOCOL, "authentication method"),
        (replying(b"", method=b"HT"), Reason.PROTOCOL, "version"),
        (replying(b"", method=b"\x05"), Reason.RESET, "closed the connection"),
        (close_at_once, Reason.RESET, ""),
        (reset, Reason.RESET, ""),
    ],
)
async def test_a_socks5_proxy_that_opens_no_connection_is_reported_by_step_and_reason(
    observer: RecordingObserver, script: Script, reason: Reason, detail: str
) -> None:
    async with serving(script) as port:
        with pytest.raises(ProbeError) as caught:
            await observer.dial(Target(url="ws://relay.example", proxy=f"socks5h://127.0.0.1:{port}"))
    assert (caught.value.step, caught.value.reason) == (Step.PROXY, reason)
    assert detail in caught.value.detail
    assert not observer.phases


async def test_a_silent_socks_proxy_times_out_at_the_callers_deadline(observer: RecordingObserver) -> None:
    async with serving(idle) as port:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.03):
                await observer.dial(Target(url="ws://relay.example", proxy=f"socks5h://127.0.0.1:{port}"))
    assert observer.steps == [Step.PROXY]
    assert observer.has_proxy


async def test_a_relay_without_an_address_fails_at_the_local_lookup(observer: RecordingObserver) -> None:
    with pytest.raises(ProbeError) as caught:
        await observer.dial(Target(url="ws://relay.example", proxy="socks5://127.0.0.1:1"), finding_none())
    assert (caught.value.step, caught.value.reason) == (Step.RESOLVE, Reason.DNS)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("socks5://p", Proxy("p", 1080, scheme="socks5")),
        ("socks5h://u:%40@[::1]:9", Proxy("::1", 9, "u", "@", "socks5h")),
        ("SOCKS4a://u@p", Proxy("p", 1080, "u", scheme="socks4a")),
        ("socks4://p:9", Proxy("p", 9, scheme="socks4")),
    ],
)
def test_all_proxy_may_name_a_socks_proxy(monkeypatch: pytest.MonkeyPatch, url: str, expected: Proxy) -> None:
    monkeypatch.setenv("all_proxy", url)
    assert proxy_of(Target(url="wss://relay.example")) == expected


@pytest.mark.parametrize("credentials", ["us%C3%A9r:secret", f"u:{256 * 'secret'}", "u:secret%00", "user", ":secret"])
async def test_credentials_that_socks_cannot_carry_are_a_local_error(
    observer: RecordingObserver, credentials: str
) -> None:
    with pytest.raises(LocalError) as caught:
        await observer.dial(Target(url="ws://relay.example", proxy=f"socks5h://{credentials}@p"))
    assert (caught.value.step, caught.value.reason) == (Step.PROXY, Reason.INTERNAL)
    assert "secret" not in str(caught.value)
