"""Relays behind an HTTP proxy, and each failure of the proxy."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING

import pytest

from monitor.errors import LocalError, ProbeError
from monitor.relay.proxy import Proxy, proxy_of
from monitor.relay.target import Target
from monitor.relay.tls import TlsOptions
from monitor.vocabulary import Phase, Reason, Step
from tests.relay.harness import (
    TEXT,
    close_at_once,
    finding_none,
    forward,
    frame,
    header,
    idle,
    read_request,
    reset,
    responding,
    serving,
    upgrading,
)
from tests.relay.test_tls import server_context
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import trustme

    from tests.relay.harness import Reader, RecordingObserver, Script, Writer


class TunnelProxy:
    """A minimal proxy: one CONNECT, then bytes in both directions. Only it knows the addresses of `names`."""

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        self.requests: list[str] = []
        self._names = names or {}

    async def __call__(self, reader: Reader, writer: Writer) -> None:
        self.requests.append(await read_request(reader))
        authority = self.requests[-1].split(" ", 2)[1]
        host, _, port = self._names.get(authority, authority).rpartition(":")
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except OSError:
            writer.write(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n")
        try:
            await asyncio.gather(forward(reader, upstream_writer), forward(upstream_reader, writer))
        finally:
            upstream_writer.close()


async def test_a_wss_relay_is_reached_through_a_tunnel(
    observer: RecordingObserver, authority: trustme.CA, ca_file: Path
) -> None:
    proxy = TunnelProxy()
    relay = upgrading(frame(TEXT, b"hello"))
    async with serving(relay, tls=server_context(authority, "127.0.0.1")) as port, serving(proxy) as proxy_port:
        target = Target(
            url=f"wss://127.0.0.1:{port}",
            tls=TlsOptions(ca_file=ca_file),
            proxy=f"http://user:p%40ss@127.0.0.1:{proxy_port}",
        )
        transport = await observer.dial(target)
        await observer.until(lambda: observer.texts)
        transport.abort()
    [request] = proxy.requests
    assert request.startswith(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n")
    assert header(request, "Proxy-Authorization") == "Basic " + base64.b64encode(b"user:p@ss").decode()
    assert "p%40ss" not in repr(target)
    assert observer.steps == [Step.PROXY, Step.TLS, Step.UPGRADE]
    assert observer.has_proxy
    assert list(observer.phases) == [Phase.PROXY, Phase.TLS, Phase.UPGRADE]


async def test_the_proxy_of_the_environment_is_used(
    observer: RecordingObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = TunnelProxy()
    async with serving(upgrading()) as port, serving(proxy) as proxy_port:
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{proxy_port}")
        (await observer.dial(Target(url=f"ws://127.0.0.1:{port}"))).abort()
        assert len(proxy.requests) == 1
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        (await observer.dial(Target(url=f"ws://127.0.0.1:{port}"))).abort()
        assert len(proxy.requests) == 1


@pytest.mark.parametrize(
    ("environment", "url", "expected"),
    [
        ({}, "wss://relay.example", None),
        ({"https_proxy": "http://p:8"}, "wss://relay.example", Proxy("p", 8)),
        ({"https_proxy": "http://p:8"}, "ws://relay.example", None),
        ({"http_proxy": "http://p"}, "ws://relay.example", Proxy("p", 80)),
        ({"all_proxy": "http://p:8"}, "ws://relay.example", Proxy("p", 8)),
        ({"all_proxy": "http://[::1]:8"}, "wss://relay.example", Proxy("::1", 8)),
        ({"all_proxy": "http://p:8", "no_proxy": ".example"}, "ws://relay.example", None),
        ({"all_proxy": "http://p:8", "no_proxy": "::1"}, "ws://[::1]", None),
        ({"all_proxy": "http://p:8", "no_proxy": "relay.example:81"}, "ws://relay.example:80", Proxy("p", 8)),
        ({"all_proxy": "http://p:8", "no_proxy": "relay.example:80"}, "ws://relay.example", None),
        ({"all_proxy": "http://p:8", "no_proxy": "*"}, "ws://relay.example", None),
    ],
)
def test_proxy_variables_are_read_as_other_programs_read_them(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], url: str, expected: Proxy | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_of(Target(url=url)) == expected
    assert proxy_of(Target(url=url, proxy="")) is None, "an empty proxy of the target disables the environment's"


async def endless(reader: Reader, writer: Writer) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-More: and more\r\n" * 100)
        await writer.drain()
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("script", "reason", "detail"),
    [
        (responding(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"), Reason.HTTP_STATUS, "answered 407"),
        (responding(b"HTTP/1.0 502 \x1b[1mBad Gateway\r\n\r\n"), Reason.HTTP_STATUS, "502 [1mBad Gateway"),
        (responding(b"SSH-2.0-OpenSSH\r\n\r\n"), Reason.PROTOCOL, "HTTP"),
        (responding(b"\r\n\r\n"), Reason.PROTOCOL, "HTTP"),
        (endless, Reason.PROTOCOL, "too large"),
        (close_at_once, Reason.RESET, ""),
        (reset, Reason.RESET, ""),
    ],
)
async def test_a_proxy_that_opens_no_tunnel_is_reported_by_step_and_reason(
    observer: RecordingObserver, script: Script, reason: Reason, detail: str
) -> None:
    async with serving(script) as port:
        with pytest.raises(ProbeError) as caught:
            await observer.dial(Target(url="ws://relay.example", proxy=f"http://u:secret@127.0.0.1:{port}"))
    assert (caught.value.step, caught.value.reason) == (Step.PROXY, reason)
    assert detail in caught.value.detail
    assert "secret" not in str(caught.value)
    assert not observer.phases


async def test_a_proxy_on_a_closed_port_is_refused(observer: RecordingObserver) -> None:
    with pytest.raises(ProbeError) as caught:
        await observer.dial(Target(url="ws://relay.example", proxy=f"http://127.0.0.1:{closed_port()}"))
    assert (caught.value.step, caught.value.reason) == (Step.PROXY, Reason.REFUSED)


async def test_a_proxy_without_an_address_fails_at_the_proxy_step(observer: RecordingObserver) -> None:
    with pytest.raises(ProbeError) as caught:
        await observer.dial(Target(url="ws://relay.example", proxy="http://proxy.example"), finding_none())
    assert (caught.value.step, caught.value.reason) == (Step.PROXY, Reason.UNREACHABLE)
    assert caught.value.detail == "proxy proxy.example:80: no address"


async def test_a_silent_proxy_times_out_at_the_callers_deadline(observer: RecordingObserver) -> None:
    async with serving(idle) as port:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.03):
                await observer.dial(Target(url="ws://relay.example", proxy=f"http://127.0.0.1:{port}"))
    assert observer.steps == [Step.PROXY]


@pytest.mark.parametrize(
    "proxy", ["socks6://secret@p:1080", "https://u:secret@p", "http://u:secret@p:port", "http://:80", "http://p:0"]
)
async def test_an_unusable_proxy_url_is_a_local_error_without_its_secrets(
    observer: RecordingObserver, proxy: str
) -> None:
    with pytest.raises(LocalError) as caught:
        await observer.dial(Target(url="ws://relay.example", proxy=proxy))
    assert (caught.value.step, caught.value.reason) == (Step.PROXY, Reason.INTERNAL)
    assert "secret" not in str(caught.value)


async def test_a_host_name_beyond_ascii_is_sent_to_the_proxy_in_idna(observer: RecordingObserver) -> None:
    requests = []

    async def script(reader: Reader, _writer: Writer) -> None:
        requests.append(await read_request(reader))

    async with serving(script) as port:
        with pytest.raises(ProbeError):
            await observer.dial(Target(url="ws://relé.example", proxy=f"http://127.0.0.1:{port}"))
    assert requests[0].startswith("CONNECT xn--rel-dma.example:80 HTTP/1.1\r\n")
