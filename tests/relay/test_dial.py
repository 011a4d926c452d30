"""Names, addresses and connections: which failure is told, what is counted, and that nothing is left behind."""

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
    answering,
    finding_none,
    hang_up,
    idle,
    reset,
    saying,
    serving,
)
from tests.sockets import closed_port

if TYPE_CHECKING:
    from tests.relay.harness import Reader, Script, Witness, Writer

NO_ROUTE = "255.255.255.255"  # TCP to it ends in the kernel: ENETUNREACH


async def fails(witness: Witness, target: Target, resolver: dialling.Resolver = look_up) -> ProbeError:
    with pytest.raises(ProbeError) as caught:
        await witness.dial(target, resolver)
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
async def test_a_name_that_is_not_found(witness: Witness, resolver: dialling.Resolver, reason: Reason) -> None:
    error = await fails(witness, Target(url="ws://relay.example"), resolver)
    assert (error.step, error.reason) == (Step.RESOLVE, reason)
    assert error.detail.startswith("relay.example: ")
    assert witness.steps == [Step.RESOLVE]
    assert not witness.phases


async def test_a_name_that_cannot_be_one(witness: Witness) -> None:
    error = await fails(witness, Target(url=f"ws://{'x' * 64}.example"))
    assert (error.step, error.reason) == (Step.RESOLVE, Reason.DNS)


async def test_a_closed_port(witness: Witness) -> None:
    port = closed_port()
    error = await fails(witness, Target(url=f"ws://127.0.0.1:{port}"))
    assert (error.step, error.reason) == (Step.TCP, Reason.REFUSED)
    assert error.detail == f"127.0.0.1:{port}: Connection refused"
    assert witness.failed == ["ip4"]
    assert list(witness.phases) == [Phase.RESOLVE]


async def test_without_a_route_of_our_own_the_relay_is_not_blamed(witness: Witness) -> None:
    error = await fails(witness, Target(url="ws://relay.example"), addresses(NO_ROUTE))
    assert isinstance(error, LocalError)
    assert (error.step, error.reason) == (Step.TCP, Reason.UNREACHABLE)
    assert error.detail.startswith("no local route")
    assert witness.failed == []


async def test_the_relays_failure_is_told_before_our_own(witness: Witness) -> None:
    target = Target(url=f"ws://relay.example:{closed_port()}")
    error = await fails(witness, target, addresses(NO_ROUTE, "127.0.0.1"))
    assert not isinstance(error, LocalError)
    assert error.reason is Reason.REFUSED
    assert witness.failed == ["ip4"]


async def test_when_every_address_fails_each_is_counted_and_the_first_is_told(witness: Witness) -> None:
    target = Target(url=f"ws://relay.example:{closed_port()}")
    error = await fails(witness, target, addresses("::1", "127.0.0.1", "127.0.0.2"))
    assert error.detail.startswith("[::1]:")
    assert sorted(witness.failed) == ["ip4", "ip4", "ip6"]


async def test_the_next_address_is_tried_when_one_fails(witness: Witness) -> None:
    async with serving(saying()) as port:
        target = Target(url=f"ws://relay.example:{port}")
        transport = await witness.dial(target, addresses("::1", "127.0.0.1"))
        assert transport.is_open
        transport.abort()
    assert witness.failed == ["ip6"]
    assert list(witness.phases) == [Phase.RESOLVE, Phase.TCP, Phase.UPGRADE]


async def test_a_relay_is_reached_over_ipv6(witness: Witness) -> None:
    async with serving(saying(), host="::1") as port:
        (await witness.dial(Target(url=f"ws://[::1]:{port}", ip_protocol="ip6"))).abort()


@pytest.mark.parametrize(
    ("ip_protocol", "family"), [("any", socket.AF_UNSPEC), ("ip4", socket.AF_INET), ("ip6", socket.AF_INET6)]
)
async def test_only_the_addresses_asked_for_are_looked_up(
    witness: Witness, ip_protocol: str, family: socket.AddressFamily
) -> None:
    asked = []

    async def resolver(host: str, port: int, family: socket.AddressFamily) -> list[AddressInfo]:
        asked.append((host, port, family))
        return []

    await fails(witness, Target(url="wss://relay.example", ip_protocol=ip_protocol), resolver)
    assert asked == [("relay.example", 443, family)]


async def test_a_node_of_a_cluster_is_reached_under_the_relays_name(witness: Witness) -> None:
    async with serving(saying()) as port:
        target = Target(url="ws://relay.example", connect_to=f"nodes.example:{port}", pick=3)
        error = await fails(witness, target, addresses("127.0.0.2", "127.0.0.1"))
        assert error.detail.startswith(f"127.0.0.2:{port}"), "the third, counted round, of two in order"
        (
            await witness.dial(Target(url=target.url, connect_to=target.connect_to, pick=2), addresses("127.0.0.1"))
        ).abort()


@pytest.mark.parametrize(
    ("number", "reason", "ours"),
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
def test_an_error_of_the_system_has_a_reason_and_an_owner(number: int, reason: Reason, *, ours: bool) -> None:
    cause = OSError(number, "said so")
    error = obstacles.of_os_error(Step.TCP, cause, "192.0.2.1:80")
    assert error.reason is reason
    assert isinstance(error, LocalError) is ours
    assert obstacles.is_local_fault(cause) is ours
    assert f"192.0.2.1:80: {os.strerror(number)}" in error.detail


async def test_a_look_up_that_hangs_is_cancelled_at_the_callers_deadline(witness: Witness) -> None:
    async def resolver(*_: object) -> list[AddressInfo]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await witness.dial(Target(url="ws://relay.example"), resolver)
    assert witness.steps == [Step.RESOLVE]


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_a_cancelled_dial_hangs_up(witness: Witness, scheme: str) -> None:
    connected, gone = asyncio.Event(), asyncio.Event()

    async def play(reader: Reader, writer: Writer) -> None:
        await reader.read(1)
        connected.set()
        try:
            await idle(reader, writer)
        finally:
            gone.set()

    async with serving(play) as port:
        dialled = asyncio.ensure_future(witness.dial(Target(url=f"{scheme}://127.0.0.1:{port}")))
        async with asyncio.timeout(5):
            await connected.wait()
            dialled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await dialled
            await gone.wait()
    assert not witness.ends


@pytest.mark.parametrize("turns", range(25))
async def test_cancelling_at_any_turn_of_the_loop_leaves_nothing(witness: Witness, turns: int) -> None:
    """What is left would be seen by the fixture that counts sockets."""
    async with serving(saying()) as port:
        dialled = asyncio.ensure_future(witness.dial(Target(url=f"ws://127.0.0.1:{port}"), addresses("127.0.0.1")))
        for _ in range(turns):
            await asyncio.sleep(0)
        dialled.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            (await dialled).abort()
    assert not witness.ends


async def noise(reader: Reader, writer: Writer) -> None:
    await reader.read(1)
    writer.write(os.urandom(4096))
    await idle(reader, writer)


async def noise_at_once(reader: Reader, writer: Writer) -> None:
    writer.write(os.urandom(4096))
    await idle(reader, writer)


async def half_an_answer(reader: Reader, writer: Writer) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgr")
    await writer.drain()


async def half_then_reset(reader: Reader, writer: Writer) -> None:
    await half_an_answer(reader, writer)
    await reset(reader, writer)


@pytest.mark.parametrize("way", ["ws", "wss", "proxy"])
@pytest.mark.parametrize(
    "play",
    [
        hang_up,
        reset,
        noise,
        noise_at_once,
        half_an_answer,
        half_then_reset,
        answering(b"\x00" * 100),
        answering(b"\r\n\r\n\r\n\r\n"),
        answering(b"\x15\x03\x01\x00\x02\x02\x28"),
        answering(b"HTTP/1.1 \r\n\r\n"),
        answering(b"HTTP/1.1 101\r\n\r\n"),
        answering(b"HTTP/1.1 999 Odd\r\n\r\n"),
    ],
)
async def test_no_foreign_exception_comes_out_of_a_dial(witness: Witness, play: Script, way: str) -> None:
    async with serving(play) as port:
        here = f"127.0.0.1:{port}"
        target = Target(url="wss://relay.example", proxy=here) if way == "proxy" else Target(url=f"{way}://{here}")
        with pytest.raises((ProbeError, TimeoutError)) as caught:
            async with asyncio.timeout(0.1):
                await dialling.dial(
                    target, clock=CLOCK, observer=witness, on_text=witness.on_text, on_closed=witness.on_closed
                )
    if isinstance(caught.value, ProbeError):
        assert not isinstance(caught.value, LocalError), "the relay did it"
        assert caught.value.step is witness.steps[-1]
