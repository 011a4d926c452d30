"""Relays that ask for fewer connects: an outage of theirs is found, and ends when they serve again."""

from __future__ import annotations

import asyncio

import pytest

from monitor.errors import ProbeError, RateLimitedError
from monitor.reachability.degradation import Criteria
from monitor.results import Failure, Paired, Pairing
from monitor.vocabulary import Condition, Outcome, Reason, Step
from tests.reachability.harness import World, delivered, failed
from tests.virtual_time import WITHOUT_SOCKETS

pytestmark = WITHOUT_SOCKETS

UNAVAILABLE = RateLimitedError(Step.UPGRADE, Reason.HTTP_STATUS, "HTTP 503", 3600, status=503)
TOO_MANY = RateLimitedError(Step.UPGRADE, Reason.RATE_LIMITED, "HTTP 429", 3600, status=429)
TOO_MANY_COMMANDS = ProbeError(Step.HELLO, Reason.RATE_LIMITED, "error 111", status=111)


@pytest.mark.parametrize("error", [UNAVAILABLE, TOO_MANY, TOO_MANY_COMMANDS], ids=["503", "429", "111"])
@pytest.mark.parametrize("pause", [0, 3600])
async def test_three_failures_twenty_seconds_apart_are_down_whatever_pause_it_asks_for(
    world: World, error: ProbeError, pause: float
) -> None:
    """Before, a pause kept every attempt back: nothing was said, for up to an hour."""
    world.deliver()
    world.script = lambda _: (0.1, failed(error))
    if pause:
        world.context.admission.connects.pause(pause)
    world.fail(Step.UPGRADE, error.reason)
    await asyncio.sleep(100)
    assert world.starts[:5] == [0, 20, 40, 60, 80]
    assert world.condition == Condition.DOWN
    assert world.ups == [(0, True), (41.1, False)]
    assert world.status.cause is not None
    assert world.status.cause.status == error.status


async def test_the_first_attempt_after_an_exchange_that_was_refused_so_starts_at_once(world: World) -> None:
    """Before, it started 20 s after the latest attempt, although that had delivered."""
    world.script = lambda now: (0.1, delivered() if now < 2 else failed(TOO_MANY))
    world.up._confirmation.request_attempt()
    await asyncio.sleep(5)
    assert world.starts == [0]
    world.fail(Step.UPGRADE, Reason.RATE_LIMITED)
    await asyncio.sleep(90)
    assert world.starts[:5] == [0, 5, 25, 45, 65]


async def test_a_relay_down_that_begins_to_ask_gets_an_attempt_every_twenty_seconds(world: World) -> None:
    world.script = lambda now: (0.1, failed() if now < 10 else failed(UNAVAILABLE))
    world.fail()
    await asyncio.sleep(60)
    assert world.starts == [0, 2, 4, 9, 14, 34, 54]
    assert world.condition == Condition.DOWN


async def test_it_is_not_accepting_while_persistent_pairs_deliver(world: World) -> None:
    world.deliver()
    world.script = lambda _: (0.1, failed(TOO_MANY))
    world.fail(Step.UPGRADE, Reason.RATE_LIMITED)
    for _ in range(10):
        await asyncio.sleep(5)
        world.deliver()
    assert world.condition == Condition.NOT_ACCEPTING
    assert world.status.up is True


async def test_attempts_that_are_twenty_seconds_apart_on_request_are_no_missing_ones(world: World) -> None:
    """Before, a relay with `confirm.every: 5s` was unknown after 15 s without an attempt, in turns with its outage."""
    world.up.reconfigure(world.config.relays[0], 5.0, Criteria())
    world.deliver()
    world.script = lambda _: (0.1, failed(UNAVAILABLE))
    world.fail(Step.UPGRADE, Reason.HTTP_STATUS)
    await asyncio.sleep(200)
    assert world.condition == Condition.DOWN
    assert Condition.UNKNOWN not in [status.condition for status in world.statuses[1:]]


async def test_the_repair_is_found_within_twenty_seconds_and_ends_the_pause(world: World) -> None:
    """Before, exchanges that nobody tried were booked bad until the Retry-After was over."""
    world.deliver()
    world.script = lambda now: (0.1, failed(UNAVAILABLE) if now < 70 else delivered())
    connects = world.context.admission.connects
    connects.pause(3600)
    world.fail(Step.UPGRADE, Reason.HTTP_STATUS)
    await asyncio.sleep(79)
    assert world.status.up is False
    assert connects.pause_left > 0
    await asyncio.sleep(2)
    assert world.ups[-1] == (80.1, True)
    assert connects.pause_left == 0
    await asyncio.sleep(20)
    assert (world.condition, world.status.accepting) == (Condition.UP, True)


async def test_attempts_go_on_at_their_regular_times_during_a_pause(world: World) -> None:
    world.script = lambda _: (0.1, delivered())
    world.context.admission.connects.pause(3600)
    world.up._confirmation.request_attempt()
    await asyncio.sleep(61)
    assert len(world.starts) == 3


async def test_a_pairing_and_a_drop_for_too_many_connects_begin_one_attempt(world: World) -> None:
    world.script = lambda _: (0.1, delivered())
    failure = Failure(step=Step.UPGRADE, reason=Reason.RATE_LIMITED)
    world.up.observe(Paired("demo", "steady", "x", Pairing(outcome=Outcome.FAILED, failure=failure)), world.context)
    world.drop(code=3013)
    world.drop(code=3504)
    await asyncio.sleep(19)
    assert len(world.starts) == 1
    assert world.ups == [(0.1, True)]


async def test_no_message_goes_over_the_pairs_that_failed_but_the_one_of_the_round(world: World) -> None:
    world.script = lambda _: (0.1, failed(TOO_MANY))
    pair = world.add_pair()
    world.fail(Step.UPGRADE, Reason.RATE_LIMITED, pair=0)
    await asyncio.sleep(19)
    assert len(pair.directions) == 1


async def test_untried_slots_of_the_outage_are_covered_from_its_first_to_its_last_failed_attempt(world: World) -> None:
    world.deliver()
    start = world.clock.monotonic()
    world.script = lambda now: (0.1, failed(UNAVAILABLE) if now < 70 else delivered())
    world.context.admission.connects.pause(3600)
    world.fail(Step.UPGRADE, Reason.HTTP_STATUS)
    await asyncio.sleep(30)
    assert world.up.covers(start + 25) is None, "not confirmed yet"
    await asyncio.sleep(20)
    assert world.up.covers(start + 25) is True
    assert world.up.covers(start + 45) is None, "the next attempt decides"
    await asyncio.sleep(15)
    assert world.up.covers(start + 45) is True
    await asyncio.sleep(30)
    assert [world.up.covers(start + at) for at in (-5, 0.5, 59, 61, 79, 85)] == [False, True, True, False, False, False]
    assert world.up.outage is not None
    assert world.up.outage.ended_at == pytest.approx(start + 80.1)
