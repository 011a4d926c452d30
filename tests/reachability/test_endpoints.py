"""Relays with several endpoints: a round meets each of them, and one that fails alone degrades the relay."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from monitor.reachability.rhythm import MAX_ROUND, EndpointRotation
from monitor.vocabulary import Condition
from tests.reachability.harness import World, delivered, failed
from tests.virtual_time import WITHOUT_SOCKETS

if TYPE_CHECKING:
    from monitor.reachability.attempts import AttemptResult

pytestmark = WITHOUT_SOCKETS


def endpoints(number: int) -> str:
    urls = ", ".join(f'"ws://127.0.0.{index + 1}:9/connection/websocket"' for index in range(number))
    return f"""
relays: [{{name: demo, url: "ws://127.0.0.1:9/connection/websocket", endpoints: [{urls}]}}]
probes: [{{name: steady, scenario: steady-messaging, timeout: 5s}}]
"""


async def cluster(monkeypatch: pytest.MonkeyPatch, number: int, dead: set[int], *, regular: bool = False) -> World:
    """Return a relay with so many endpoints, of which those in `dead` fail."""
    world = World(monkeypatch, endpoints(number))

    def attempt(_: float) -> tuple[float, AttemptResult]:
        index = world.endpoints[-1] % number
        result = failed() if index in dead else delivered()
        return 0.1, replace(result, endpoint=f"n{index + 1}")

    world.script = attempt
    await world.start(regular=regular)
    return world


@pytest.mark.parametrize("number", [2, 3, 5, 8])
async def test_one_dead_endpoint_never_takes_the_relay_down(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Before, one counter dealt the endpoints to all that connects, so that a round could meet the dead one alone."""
    world = await cluster(monkeypatch, number, {1}, regular=True)
    world.deliver()
    for _ in range(60):  # the probes' own pairs fail at the dead endpoint all the time
        world.fail()
        await asyncio.sleep(3)
    assert world.ups == [(0, True)]
    assert world.condition == Condition.DEGRADED
    assert world.status.accepting is True
    assert world.status.cause is not None
    assert set(world.endpoint_failures) == {"n2"}
    await world.monitored_relays.stop()


async def test_a_dead_endpoint_is_found_while_nothing_else_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await cluster(monkeypatch, 4, {2}, regular=True)
    world.deliver()
    await asyncio.sleep(4 * 30 + 10)
    assert world.condition == Condition.DEGRADED
    assert world.endpoint_failures[:2] == ["n3", "n3"]
    await world.monitored_relays.stop()


async def test_it_is_up_again_five_minutes_after_the_endpoint_is_repaired(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = {0}
    world = await cluster(monkeypatch, 2, dead, regular=True)
    world.deliver()
    await asyncio.sleep(100)
    assert world.condition == Condition.DEGRADED
    dead.clear()
    await asyncio.sleep(400)
    assert world.condition == Condition.UP
    await world.monitored_relays.stop()


@pytest.mark.parametrize("number", [2, 3, 8, 20])
async def test_all_endpoints_dead_are_down_after_each_was_met_or_sixteen(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    world = await cluster(monkeypatch, number, set(range(number)))
    world.deliver()
    world.fail()
    await asyncio.sleep(40)
    size = max(3, min(number, 2 * MAX_ROUND))
    assert len(set(world.endpoints[:size])) == min(number, size)
    assert world.ups == [(0, True), (2 * (size - 1) + 1.1, False)]
    await world.monitored_relays.stop()


async def test_a_relay_with_a_dead_endpoint_recovers_from_an_outage_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dead = {0, 1}
    world = await cluster(monkeypatch, 2, dead)
    world.deliver()
    world.fail()
    await asyncio.sleep(20)
    assert world.condition == Condition.DOWN
    assert world.status.cause is not None
    dead.remove(0)
    await asyncio.sleep(60)
    assert world.status.accepting is True
    assert world.condition in {Condition.UP, Condition.DEGRADED}
    await world.monitored_relays.stop()


async def test_a_relay_with_a_dead_endpoint_is_still_found_down(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = {1}
    world = await cluster(monkeypatch, 2, dead, regular=True)
    world.deliver()
    await asyncio.sleep(200)
    dead.add(0)
    world.fail()
    await asyncio.sleep(8)
    assert world.ups[-1][1] is False
    assert world.status.cause is not None
    await world.monitored_relays.stop()


def test_outside_rounds_a_failing_endpoint_gets_every_other_attempt() -> None:
    rotation = EndpointRotation()
    rotation.record(2, 0.0, delivered=False)
    met = [rotation.next_endpoint([0, 1, 2, 3], in_round=False) for _ in range(8)]
    assert met[1::2] == [2, 2, 2, 2] or met[::2] == [2, 2, 2, 2]


def test_a_round_meets_each_endpoint_whatever_failed_before() -> None:
    rotation = EndpointRotation(5)
    for index in (1, 2):
        rotation.record(index, 0.0, delivered=False)
    rotation.next_endpoint([0, 1, 2], in_round=False)
    assert sorted(rotation.next_endpoint([0, 1, 2], in_round=True) for _ in range(3)) == [0, 1, 2]


@pytest.mark.parametrize("first", range(12))
async def test_a_round_that_misses_the_endpoints_that_deliver_meets_them_before_it_says_down(
    monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    """Nine of twelve endpoints are dead: before, a round of eight that met dead ones alone took the relay down."""
    world = await cluster(monkeypatch, 12, {(first + number) % 12 for number in range(9)}, regular=True)
    world.deliver()
    await asyncio.sleep(12 * 30 * 2)
    for _ in range(60):
        world.fail()
        await asyncio.sleep(7)
    assert world.ups == [(0, True)]
    assert world.condition == Condition.DEGRADED
    await world.monitored_relays.stop()


async def test_many_endpoints_that_all_die_are_down_after_sixteen_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    dead: set[int] = set()
    world = await cluster(monkeypatch, 40, dead, regular=True)
    world.deliver()
    await asyncio.sleep(40 * 30)
    dead.update(range(40))
    began = world.clock.monotonic()
    world.fail()
    await asyncio.sleep(60)
    (_, (went_down, up)) = world.ups
    assert not up
    assert went_down - began <= 2 * MAX_ROUND * 2 + 2
    await world.monitored_relays.stop()
