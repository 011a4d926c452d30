"""All relays unreachable at once: real sockets on several loopback addresses, and the time in which that happened."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from monitor.errors import SettingsError
from monitor.health.egress import MAX_SPREAD, PARTIAL_LIMIT, Egress
from monitor.relay.proxy import Proxy
from monitor.relay.target import Target
from monitor.vocabulary import Reason, Step
from tests.relay.harness import serving
from tests.relay.test_proxy import TunnelProxy
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.relays import MonitoredRelay


@dataclass(eq=False)
class RelayAt:
    """A relay at one address of this host, which accepts connections while `server` is open."""

    host: str
    is_embedded: bool = False
    is_local: bool = False
    error: SettingsError | None = None
    reached_at: float = float("-inf")
    server: socket.socket | None = None
    port: int = field(default_factory=closed_port)

    def __post_init__(self) -> None:
        self.config = SimpleNamespace(name=f"{self.host}:{self.port}")
        self.settings_fault = self
        self.verdict = SimpleNamespace(delivered_at=float("-inf"))
        self.admission = self

    def addresses(self) -> list[Target]:
        return [Target(url=f"ws://{self.host}:{self.port}")]

    def start(self) -> None:
        if self.server is None:
            self.server = socket.create_server((self.host, self.port))

    def stop(self) -> None:
        if self.server is not None:
            self.server.close()
            self.server = None


class World:
    """Relays and a clock that is set by hand."""

    def __init__(self, *hosts: str) -> None:
        self.now = 1000.0
        self.relays = [RelayAt(host) for host in hosts]
        self.egress = Egress(self, self._monitored)
        for relay in self.relays:
            relay.start()

    def _monitored(self) -> list[MonitoredRelay]:
        relays: list[Any] = self.relays
        return relays

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    async def suspicion(self, after: float = 0.0) -> str | None:
        self.now += after
        return await self.egress.suspicion()


@pytest.fixture
def world() -> Iterator[World]:
    made = World("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6")
    yield made
    for relay in made.relays:
        relay.stop()


def stop(relays: list[RelayAt]) -> None:
    for relay in relays:
        relay.stop()


async def test_reachable_relays_show_that_our_network_works(world: World) -> None:
    assert await world.suspicion() is None
    stop(world.relays[:3])
    assert await world.suspicion() is None


async def test_most_relays_unreachable_at_once_may_be_our_network_for_as_long_as_it_lasts(world: World) -> None:
    stop(world.relays)
    why = "all relays, or our network: 5 of 5 relays cannot be reached from here"
    assert await world.suspicion() == why
    assert await world.suspicion(after=86400) == why
    world.relays[0].start()
    assert await world.suspicion(after=5) is None
    stop(world.relays)
    world.relays[0].reached_at = world.now
    assert await world.suspicion(after=5) is None, "the others have been unreachable for longer"


async def test_one_relay_that_answers_all_the_time_ends_it_after_a_minute(world: World) -> None:
    stop(world.relays[:4])
    assert await world.suspicion() == "all relays, or our network: 4 of 5 relays cannot be reached from here"
    assert await world.suspicion(after=PARTIAL_LIMIT - 1) is not None
    assert await world.suspicion(after=2) is None
    assert await world.suspicion(after=10) is None, "and it does not begin again"


async def test_relays_that_fail_one_after_the_other_are_each_down(world: World) -> None:
    for count in range(1, 5):
        stop(world.relays[:count])
        assert await world.suspicion(after=MAX_SPREAD) is None


async def test_a_relay_that_was_reached_meanwhile_fails_anew(world: World) -> None:
    stop(world.relays[:3])
    assert await world.suspicion() is None
    world.now += 3600
    for relay in world.relays:
        relay.reached_at = world.now
    stop(world.relays)
    assert await world.suspicion(after=10) is not None


async def test_an_old_outage_does_not_make_a_new_one_common(world: World) -> None:
    stop(world.relays[:2])
    assert await world.suspicion() is None
    stop(world.relays)
    assert await world.suspicion(after=600) is None, "only three of five failed together"
    assert world.egress.unreachable == "all relays, or our network: 5 of 5 relays cannot be reached from here"
    for relay in world.relays[:2]:
        relay.start()
    assert await world.suspicion() is None
    assert world.egress.unreachable is None


@pytest.mark.parametrize(
    "hosts",
    [("127.0.0.2", "127.0.0.3"), ("127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.2")],
    ids=["two relays", "four relays behind one address"],
)
async def test_few_relays_or_one_address_are_no_evidence(hosts: tuple[str, ...]) -> None:
    world = World(*hosts)
    stop(world.relays)
    assert await world.suspicion() is None


async def test_a_relay_that_accepts_and_fails_later_shows_that_our_network_works(world: World) -> None:
    """All five answer 502, or nothing at all: each of them is down."""
    assert await world.suspicion() is None


async def test_relays_of_this_host_and_embedded_ones_say_nothing(world: World) -> None:
    world.relays[0].is_local = world.relays[1].is_embedded = True
    stop(world.relays[2:])
    assert await world.suspicion() == "all relays, or our network: 3 of 3 relays cannot be reached from here"


async def test_a_relay_with_a_fault_of_its_own_settings_is_not_counted(world: World) -> None:
    world.relays[0].error = SettingsError(Step.PROXY, Reason.REFUSED)
    stop(world.relays)
    assert await world.suspicion() == "all relays, or our network: 4 of 4 relays cannot be reached from here"


async def test_relays_without_a_route_are_unreachable_if_no_other_can_be_asked(world: World) -> None:
    stop(world.relays)
    for relay in world.relays[:3]:
        relay.error = SettingsError(Step.TCP, Reason.UNREACHABLE, shared="network")
    assert await world.suspicion() is None, "two others are too few"
    for relay in world.relays[3:]:
        relay.error = SettingsError(Step.TCP, Reason.UNREACHABLE, shared="network")
    assert await world.suspicion() == "all relays, or our network: 5 of 5 relays cannot be reached from here"


async def test_a_route_that_is_missed_at_one_relay_after_the_other_does_not_end_the_suspicion(world: World) -> None:
    """Before, the check ended when the first three of five relays had found that their route is missing."""
    stop(world.relays)
    assert await world.suspicion() is not None
    for relay in world.relays:
        relay.error = SettingsError(Step.TCP, Reason.UNREACHABLE, "no route", shared="network")
        assert await world.suspicion(after=2) is not None


async def test_relays_behind_a_proxy_are_asked_through_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = TunnelProxy()
    async with serving(proxy) as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        assert await world.suspicion() is None
        assert world.egress.ways() == {Proxy("127.0.0.1", port)}
    assert len(proxy.requests) == 5


async def test_a_relay_can_be_asked_unless_this_side_prevents_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    relay: Any = world.relays[0]
    assert await world.egress.is_observable(relay)
    relay.stop()
    assert await world.egress.is_observable(relay), "that it refuses is its own fault"
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    assert not await world.egress.is_observable(relay)
