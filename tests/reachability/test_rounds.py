"""Rounds that begin early, end by a bug or miss an endpoint, and deliveries that are older than a failure."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from monitor.results import Exchange, Failure, Pairing
from monitor.vocabulary import Condition, Outcome, Reason, Step
from tests.reachability.harness import World, delivered, failed, run
from tests.reachability.test_endpoints import cluster
from tests.virtual_time import WITHOUT_SOCKETS

if TYPE_CHECKING:
    import pytest

    from monitor.reachability.attempts import AttemptResult

pytestmark = WITHOUT_SOCKETS


async def test_a_bug_in_an_attempt_does_not_end_all_confirmation(world: World) -> None:
    """Its round never ended before, and no other one began."""

    def attempt(_: float) -> tuple[float, AttemptResult]:
        if len(world.starts) == 3:
            message = "a bug"
            raise ValueError(message)
        return 0.1, failed() if world.now < 10 else delivered()

    world.script = attempt
    world.deliver()
    world.fail()
    await asyncio.sleep(60)
    world.script = lambda _: (0.1, failed())
    world.fail()
    await asyncio.sleep(20)
    assert world.condition == Condition.DOWN


async def test_a_relay_that_was_down_before_the_monitor_was_unhealthy_is_down_after_it(world: World) -> None:
    world.deliver()
    world.fail()
    await asyncio.sleep(20)
    assert world.condition == Condition.DOWN
    world.up.suspend()
    await asyncio.sleep(60)
    assert world.condition == Condition.UNKNOWN
    world.up.resume()
    await asyncio.sleep(30)
    assert world.condition == Condition.DOWN
    assert world.ups[-1][1] is False


async def test_a_delivery_before_the_outage_that_is_reported_later_does_not_end_it(world: World) -> None:
    """A bounded run reports its exchanges at its end: the first one succeeded, the second one met the outage."""
    world.deliver()
    world.fail()
    await asyncio.sleep(20)
    assert world.condition == Condition.DOWN
    failure = Failure(step=Step.DELIVER, reason=Reason.DISCONNECTED)
    exchanges = (
        Exchange(outcome=Outcome.OK, round_trip=0.1, ended=1.0),
        Exchange(outcome=Outcome.FAILED, failure=failure, ended=30.0),
    )
    session = run(world.clock, Outcome.FAILED, failure, None, (), exchanges)._replace(duration=30.0)
    world.up.observe(session, world.context)
    assert world.status.up is False


async def test_a_pairing_before_newcomers_were_refused_shows_no_repair(world: World) -> None:
    pair = world.add_pair()
    pair.in_flight.message.arrived_at = 0.0
    world.deliver()
    world.fail()
    await asyncio.sleep(20)
    assert world.condition == Condition.NOT_ACCEPTING
    for _ in range(3):
        exchange = Exchange(outcome=Outcome.OK, round_trip=0.1, ended=60.0)
        session = run(world.clock, Outcome.OK, None, None, (), (exchange,))
        world.up.observe(session._replace(duration=60.0, pairing=Pairing(outcome=Outcome.OK)), world.context)
    assert world.status.accepting is False


async def test_a_round_meets_each_endpoint_wherever_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await cluster(monkeypatch, 3, {0, 1}, regular=True)
    world.deliver()
    await asyncio.sleep(3600)
    assert world.ups == [(0, True)]
    await world.monitored_relays.stop()


async def test_messages_over_persistent_pairs_wait_for_a_round_that_begins_later(world: World) -> None:
    """They were sent at once, before the round, and said nothing of it: a relay that delivered was called down."""
    world.script = lambda _: (0.1, delivered())
    pair = world.add_pair()
    pair.in_flight.message.arrived_at = 0.0
    world.deliver()
    world.fail()
    await asyncio.sleep(2)
    world.script = lambda _: (0.1, failed())
    world.drop()
    await asyncio.sleep(20)
    assert world.condition == Condition.NOT_ACCEPTING


async def test_newcomers_of_whom_some_are_refused_degrade_the_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a balancer one node of two refuses: each round delivers, and the persistent pairs are well."""
    world = World(monkeypatch)
    await world.start(regular=True)
    world.script = lambda _: (0.1, failed() if len(world.starts) % 2 else delivered())
    for _ in range(60):
        world.deliver()
        await asyncio.sleep(5)
    assert world.ups == [(0, True)]
    assert world.condition == Condition.DEGRADED
    assert world.status.cause is not None
    await world.monitored_relays.stop()


async def test_one_refused_attempt_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    await world.start(regular=True)
    world.script = lambda _: (0.1, failed() if len(world.starts) in {2, 3} else delivered())
    for _ in range(60):
        world.deliver()
        await asyncio.sleep(5)
        assert world.condition == Condition.UP
    await world.monitored_relays.stop()


async def test_a_bug_in_the_check_for_local_faults_does_not_keep_the_verdict_back(world: World) -> None:
    """The round never ended before, and the relay stayed up."""
    world.script = lambda _: (0.1, failed())
    world.deliver()
    world.local_check_fails = True
    world.fail()
    await asyncio.sleep(30)
    assert world.condition == Condition.DOWN
    assert world.task_failures
