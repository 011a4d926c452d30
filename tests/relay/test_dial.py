"""Dialling: which failure is reported, which addresses are counted as failed, and that no socket stays open."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from typing import TYPE_CHECKING

import pytest

from monitor.errors import LocalError, ProbeError
from monitor.relay import dial as dialling
from monitor.relay import obstacles
from monitor.relay.resolve import AddressInfo, look_up
from monitor.relay.target import Target
from monitor.vocabulary import Phase, Reason, Step
from tests.relay.harness import (
    CLOCK,
    addresses,
    close_at_once,
    finding_none,
    idle,
    reset,
    responding,
    serving,
    upgrading,
)
from tests.sockets import closed_port

if TYPE_CHECKING:
    from tests.relay.harness import Reader, RecordingObserver, Script, Writer

NO_ROUTE = "255.255.255.255"  # TCP to it ends in the kernel: ENETUNREACH


async def dial_error(observer: RecordingObserver, target: Target, resolver: dialling.Resolver = look_up) -> ProbeError:
    with pytest.raises(ProbeError) as caught:
        await observer.dial(target, resolver)
    return caught.value


@pytest.mark.parametrize(
    ("resolver", "reason"),
    [
        (finding_none(socket.gaierror(socket.EAI_NONAME, "Name or service not known")), Reason.DNS),
        (finding_none(socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure")), Reason.DNS),
        (finding_none(socket.gaierror(socket.EAI_AGAIN, "Temporary failure")), Reason.TIMEOUT),
        (finding_none(OSError("odd")), Reason.DNS),
        (finding_none(), Reason.DNS),
    ],
)
async def test_a_failed_lookup_is_reported_at_the_resolve_step(
    observer: RecordingObserver, resolver: dialling.Resolver, reason: Reason
) -> None:
    error = await dial_error(observer, Target(url="ws://relay.example"), resolver)
    assert (error.step, error.reason) == (Step.RESOLVE, reason)
    assert error.detail.startswith("relay.example: ")
    assert observer.steps == [Step.RESOLVE]
    assert not observer.phases


async def test_an_invalid_host_name_is_a_dns_failure(observer: RecordingObserver) -> None:
    error = await dial_error(observer, Target(url=f"ws://{'x' * 64}.example"))
    assert (error.step, error.reason) == (Step.RESOLVE, Reason.DNS)


async def test_a_closed_port_is_refused(observer: RecordingObserver) -> None:
    port = closed_port()
    error = await dial_error(observer, Target(url=f"ws://127.0.0.1:{port}"))
    assert (error.step, error.reason) == (Step.TCP, Reason.REFUSED)
    assert error.detail == f"127.0.0.1:{port}: Connection refused"
    assert observer.failed_families == ["ip4"]
    assert list(observer.phases) == [Phase.RESOLVE]


async def test_a_missing_local_route_is_a_local_error(observer: RecordingObserver) -> None:
    error = await dial_error(observer, Target(url="ws://relay.example"), addresses(NO_ROUTE))
    assert isinstance(error, LocalError)
    assert (error.step, error.reason) == (Step.TCP, Reason.UNREACHABLE)
    assert error.detail.startswith("no local route")
    assert observer.failed_families == []


async def test_a_failure_of_the_relay_is_reported_rather_than_a_local_one(observer: RecordingObserver) -> None:
    target = Target(url=f"ws://relay.example:{closed_port()}")
    error = await dial_error(observer, target, addresses(NO_ROUTE, "127.0.0.1"))
    assert not isinstance(error, LocalError)
    assert error.reason is Reason.REFUSED
    assert observer.failed_families == ["ip4"]


async def test_when_every_address_fails_each_is_counted_and_the_first_is_reported(observer: RecordingObserver) -> None:
    target = Target(url=f"ws://relay.example:{closed_port()}")
    error = await dial_error(observer, target, addresses("::1", "127.0.0.1", "127.0.0.2"))
    assert error.detail.startswith("[::1]:")
    assert sorted(observer.failed_families) == ["ip4", "ip4", "ip6"]


async def test_the_next_address_is_tried_when_one_fails(observer: RecordingObserver) -> None:
    async with serving(upgrading()) as port:
        target = Target(url=f"ws://relay.example:{port}")
        transport = await observer.dial(target, addresses("::1", "127.0.0.1"))
        assert transport.is_open
        transport.abort()
    assert observer.failed_families == ["ip6"]
    assert list(observer.phases) == [Phase.RESOLVE, Phase.TCP, Phase.UPGRADE]


async def test_a_relay_is_reached_over_ipv6(observer: RecordingObserver) -> None:
    async with serving(upgrading(), host="::1") as port:
        (await observer.dial(Target(url=f"ws://[::1]:{port}", ip_protocol="ip6"))).abort()


@pytest.mark.parametrize(
    ("ip_protocol", "family"), [("any", socket.AF_UNSPEC), ("ip4", socket.AF_INET), ("ip6", socket.AF_INET6)]
)
async def test_only_addresses_of_the_configured_family_are_looked_up(
    observer: RecordingObserver, ip_protocol: str, family: socket.AddressFamily
) -> None:
    asked = []

    async def resolver(host: str, port: int, family: socket.AddressFamily) -> list[AddressInfo]:
        asked.append((host, port, family))
        return []

    await dial_error(observer, Target(url="wss://relay.example", ip_protocol=ip_protocol), resolver)
    assert asked == [("relay.example", 443, family)]


async def test_connect_to_dials_another_host_and_pick_chooses_among_its_addresses(observer: RecordingObserver) -> None:
    async with serving(upgrading()) as port:
        target = Target(url="ws://relay.example", connect_to=f"nodes.example:{port}", pick=3)
        error = await dial_error(observer, target, addresses("127.0.0.2", "127.0.0.1"))
        assert error.detail.startswith(f"127.0.0.2:{port}"), (
            "pick counts round the sorted addresses: the third of two is the first"
        )
        (
            await observer.dial(Target(url=target.url, connect_to=target.connect_to, pick=2), addresses("127.0.0.1"))
        ).abort()


@pytest.mark.parametrize(
    ("number", "reason", "is_local"),
    [
        (errno.ECONNREFUSED, Reason.REFUSED, False),
        (errno.EHOSTUNREACH, Reason.UNREACHABLE, False),
        (errno.EHOSTDOWN, Reason.UNREACHABLE, False),
        (errno.ETIMEDOUT, Reason.TIMEOUT, False),
        (errno.ECONNRESET, Reason.RESET, False),
        (errno.ENETUNREACH, Reason.UNREACHABLE, True),
        (errno.EADDRNOTAVAIL, Reason.UNREACHABLE, True),
        (errno.EAFNOSUPPORT, Reason.UNREACHABLE, True),
        (errno.EPERM, Reason.UNREACHABLE, True),
        (errno.EMFILE, Reason.INTERNAL, True),
    ],
)
def test_an_os_error_has_a_reason_and_is_local_or_remote(number: int, reason: Reason, *, is_local: bool) -> None:
    cause = OSError(number, "an error")
    error = obstacles.of_os_error(Step.TCP, cause, "192.0.2.1:80")
    assert error.reason is reason
    assert isinstance(error, LocalError) is is_local
    assert obstacles.is_local_fault(cause) is is_local
    assert f"192.0.2.1:80: {os.strerror(number)}" in error.detail


async def test_a_lookup_that_hangs_is_cancelled_at_the_callers_deadline(observer: RecordingObserver) -> None:
    async def resolver(*_: object) -> list[AddressInfo]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await observer.dial(Target(url="ws://relay.example"), resolver)
    assert observer.steps == [Step.RESOLVE]


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_a_cancelled_dial_closes_the_connection(observer: RecordingObserver, scheme: str) -> None:
    connected, disconnected = asyncio.Event(), asyncio.Event()

    async def script(reader: Reader, writer: Writer) -> None:
        await reader.read(1)
        connected.set()
        try:
            await idle(reader, writer)
        finally:
            disconnected.set()

    async with serving(script) as port:
        dialled = asyncio.ensure_future(observer.dial(Target(url=f"{scheme}://127.0.0.1:{port}")))
        async with asyncio.timeout(5):
            await connected.wait()
            dialled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await dialled
            await disconnected.wait()
    assert not observer.closes


@pytest.mark.parametrize("iterations", range(25))
async def test_cancelling_in_any_iteration_of_the_loop_leaves_no_socket_open(
    observer: RecordingObserver, iterations: int
) -> None:
    """The fixture that counts open sockets fails the test if one stays open."""
    async with serving(upgrading()) as port:
        dialled = asyncio.ensure_future(observer.dial(Target(url=f"ws://127.0.0.1:{port}"), addresses("127.0.0.1")))
        for _ in range(iterations):
            await asyncio.sleep(0)
        dialled.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            (await dialled).abort()
    assert not observer.closes


async def noise(reader: Reader, writer: Writer) -> None:
    await reader.read(1)
    writer.write(os.urandom(4096))
    await idle(reader, writer)


async def noise_first(reader: Reader, writer: Writer) -> None:
    writer.write(os.urandom(4096))
    await idle(reader, writer)


async def half_a_response(reader: Reader, writer: Writer) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgr")
    await writer.drain()


async def half_then_reset(reader: Reader, writer: Writer) -> None:
    await half_a_response(reader, writer)
    await reset(reader, writer)


@pytest.mark.parametrize("via", ["ws", "wss", "proxy"])
@pytest.mark.parametrize(
    "script",
    [
        close_at_once,
        reset,
        noise,
        noise_first,
        half_a_response,
        half_then_reset,
        responding(b"\x00" * 100),
        responding(b"\r\n\r\n\r\n\r\n"),
        responding(b"\x15\x03\x01\x00\x02\x02\x28"),
        responding(b"HTTP/1.1 \r\n\r\n"),
        responding(b"HTTP/1.1 101\r\n\r\n"),
        responding(b"HTTP/1.1 999 Odd\r\n\r\n"),
    ],
)
async def test_a_dial_raises_only_probe_errors(observer: RecordingObserver, script: Script, via: str) -> None:
    async with serving(script) as port:
        here = f"127.0.0.1:{port}"
        target = Target(url="wss://relay.example", proxy=here) if via == "proxy" else Target(url=f"{via}://{here}")
        with pytest.raises((ProbeError, TimeoutError)) as caught:
            async with asyncio.timeout(0.1):
                await dialling.dial(
                    target, clock=CLOCK, observer=observer, on_text=observer.on_text, on_closed=observer.on_closed
                )
    if isinstance(caught.value, ProbeError):
        if via != "proxy":
            assert not isinstance(caught.value, LocalError), "the relay caused it"
        assert caught.value.step is observer.steps[-1]
