"""When a relay is down and up, in virtual time, with scripted results of the attempts."""

from __future__ import annotations

import asyncio

import pytest

from monitor.errors import LocalError
from monitor.results import Failure, Paired, Pairing
from monitor.vocabulary import Condition, Outcome, Reason, Step
from tests.reachability.harness import CONFIG, LIMITS, REFUSED, World, delivered, failed, run, unknown
from tests.virtual_time import WITHOUT_SOCKETS


@WITHOUT_SOCKETS
class TestDown:
    async def test_three_attempts_two_seconds_apart_all_failed_take_it_down(self, world: World) -> None:
        world.fail()
        await asyncio.sleep(20)
        assert world.starts[:3] == [0, 2, 4]
        # The last attempt ends at 4.1; by then the question whether it is ours, asked at 0.1, is asked once more.
        assert world.ups == [(5.1, False)]
        assert world.counts()[:3] == [("fresh", False)] * 3

    async def test_while_down_an_attempt_every_five_seconds_finds_the_repair(self, world: World) -> None:
        world.script = lambda now: (0.1, failed() if now < 18 else delivered())
        world.drop()
        await asyncio.sleep(30)
        assert world.starts[:6] == [0, 2, 4, 9, 14, 19]
        assert world.recovery[:6] == [False] * 3 + [True] * 3
        assert world.ups == [(5.1, False), (19.1, True)]

    async def test_attempts_that_take_their_time_keep_to_the_five_seconds(self, world: World) -> None:
        world.script = lambda _: (4.9, failed())
        world.drop()
        await asyncio.sleep(26)
        assert world.ups == [(9.9, False)]
        assert world.starts[3:] == [9.9, 14.9, 19.9, 24.9]

    async def test_the_first_message_that_crosses_makes_it_up_again(self, world: World) -> None:
        world.fail()
        await asyncio.sleep(7)
        world.script = lambda _: (0.1, delivered())
        world.deliver()
        assert world.ups == [(5.1, False), (7, True)]
        assert world.condition == Condition.DOWN, "one message is no repair"
        await asyncio.sleep(30)
        assert world.condition == Condition.UP
        assert len(world.starts) == 7, "nobody looks for a repair any more"

    async def test_what_fails_again_right_after_a_repair_is_confirmed_at_once(self, world: World) -> None:
        world.fail()
        await asyncio.sleep(7)
        world.deliver()
        await asyncio.sleep(1)
        world.fail()
        await asyncio.sleep(7)
        assert world.starts[:6] == [0, 2, 4, 8, 10, 12]
        assert world.ups == [(5.1, False), (7, True), (13.1, False)]

    async def test_one_that_crosses_ends_the_round_and_nothing_falls(self, world: World) -> None:
        world.deliver()
        world.script = lambda now: (0.1, delivered() if now >= 2 else failed())
        world.fail()
        await asyncio.sleep(20)
        assert world.ups == [(0, True)]
        assert world.starts == [0, 2]
        assert world.counts() == [("fresh", False), ("fresh", True)]

    async def test_a_persistent_message_that_crosses_meanwhile_shows_that_only_new_connections_fail(
        self, world: World
    ) -> None:
        world.fail()
        await asyncio.sleep(3)
        world.deliver()
        await asyncio.sleep(3)
        assert world.ups == [(3, True)]
        assert (world.status.condition, world.status.accepting) == (Condition.NOT_ACCEPTING, False)

    async def test_flapping_is_counted_each_time(self, world: World) -> None:
        world.deliver()
        # Down for ten seconds, up for ten.
        world.script = lambda now: (0.1, failed() if (now + 1) % 20 < 11 else delivered())
        for _ in range(3):
            world.drop()
            await asyncio.sleep(20)
        assert [up for _, up in world.ups] == [True, False, True, False, True, False, True]

    async def test_a_standing_pair_that_cannot_be_made_starts_a_round_too(self, world: World) -> None:
        origin = ("demo", "steady", "x")
        world.up.observe(Paired(*origin, Pairing(outcome=Outcome.ABORTED)), world.context)
        await asyncio.sleep(1)
        assert world.starts == []
        world.up.observe(Paired(*origin, Pairing(outcome=Outcome.FAILED)), world.context)
        await asyncio.sleep(1)
        assert world.starts == [0]

    async def test_failures_at_the_same_moment_start_one_round(self, world: World) -> None:
        world.fail()
        world.drop()
        await asyncio.sleep(4.5)
        assert world.starts == [0, 2, 4]

    async def test_rounds_start_five_seconds_apart_at_least(self, world: World) -> None:
        world.script = lambda _: (0.1, delivered())
        for _ in range(100):
            world.fail()
            await asyncio.sleep(0.5)
        assert all(later - first >= 5 for first, later in zip(world.starts, world.starts[1:], strict=False))
        assert len(world.starts) == 10

    @pytest.mark.parametrize("attempts", [1, 10])
    async def test_all_attempts_fit_into_the_time_they_have(
        self, monkeypatch: pytest.MonkeyPatch, attempts: int
    ) -> None:
        world = World(monkeypatch, CONFIG.replace("name: demo,", f"name: demo, confirm: {{attempts: {attempts}}},"))
        await world.start()
        world.script = lambda _: (4.9, failed())
        world.fail()
        await asyncio.sleep(12)
        await world.monitored_relays.stop()
        assert len([start for start in world.starts if start <= 5]) == attempts
        # The answer whose fault it is takes another second here.
        assert [(up, at <= 10 + 1) for at, up in world.ups] == [(False, True)]


@WITHOUT_SOCKETS
class TestNoVerdict:
    async def test_one_failure_beside_attempts_that_could_not_be_made_is_too_little(self, world: World) -> None:
        world.script = lambda now: (0.1, failed() if now == 0 else unknown(LIMITS))
        world.fail()
        await asyncio.sleep(20)
        assert world.ups == []

    async def test_two_failures_beside_one_are_enough(self, world: World) -> None:
        world.script = lambda now: (0.1, unknown(LIMITS) if now == 2 else failed())
        world.fail()
        await asyncio.sleep(9)
        assert world.ups == [(5.1, False)]

    async def test_a_run_that_found_no_way_out_of_this_machine_makes_us_ask(self, world: World) -> None:
        failure = Failure(step=Step.TCP, reason=Reason.UNREACHABLE, detail="no local route")
        world.up.observe(run(world.clock, Outcome.ABORTED, failure, None), world.context)
        await asyncio.sleep(2)
        (asked,) = world.asked
        assert isinstance(asked, LocalError)
        assert str(asked) == "tcp: unreachable: no local route"
        assert world.starts == []


@WITHOUT_SOCKETS
class TestLocalFault:
    async def test_a_fault_of_ours_takes_no_relay_down(self, world: World) -> None:
        world.local = True
        world.fail()
        await asyncio.sleep(30)
        assert world.ups == []

    async def test_it_is_asked_as_soon_as_an_attempt_fails_and_open_until_it_is_answered(self, world: World) -> None:
        world.fail()
        assert world.up.unresolved
        await asyncio.sleep(1)
        assert (world.asked, world.resolved) == ([REFUSED], [])
        await asyncio.sleep(0.2)
        assert world.resolved == [1.1]

    async def test_a_message_that_crosses_answers_it(self, world: World) -> None:
        world.script = lambda _: (0.1, delivered())
        world.fail()
        await asyncio.sleep(1)
        assert (world.resolved, world.asked) == ([0.1], [])

    async def test_down_for_long_it_is_asked_again_at_the_next_failure(self, world: World) -> None:
        world.fail()
        await asyncio.sleep(9)
        asked = len(world.asked)
        world.fail()
        assert not world.up.unresolved  # it has just been answered
        await asyncio.sleep(11)
        assert len(world.asked) == asked + 1, "an attempt that failed asked"

    async def test_frozen_it_reaches_no_verdict_and_thawed_it_looks_for_the_repair(self, world: World) -> None:
        world.fail()
        await asyncio.sleep(1)
        world.up.suspend()
        assert world.resolved == [1]
        await asyncio.sleep(30)
        assert (world.ups, world.starts) == ([], [0])
        world.up.resume()
        await asyncio.sleep(1)
        world.fail()
        await asyncio.sleep(6)
        assert [up for _, up in world.ups] == [False]
        world.up.suspend()
        since = len(world.starts)
        await asyncio.sleep(30)
        assert len(world.starts) == since
        world.up.resume()
        await asyncio.sleep(6)
        assert since < len(world.starts) <= since + 2

    async def test_once_the_monitor_is_healthy_again_the_first_attempt_waits_for_its_time(self, world: World) -> None:
        """Attempts at many relays that are down would begin in the same moment."""
        world.fail()
        await asyncio.sleep(20)
        world.up.suspend()
        await asyncio.sleep(30)
        assert world.condition == Condition.UNKNOWN
        world.starts.clear()
        world.up.resume(after=7)
        world.fail()  # nor does a failure make it earlier
        await asyncio.sleep(60)
        assert world.starts[0] == 57
        assert len(world.starts) > 5

    async def test_what_was_delivered_while_the_first_attempt_waited_is_no_sign_that_the_relay_is_up(
        self, world: World
    ) -> None:
        """The round begins with its attempts: only what was sent since then is compared with them."""
        world.up.suspend()
        await asyncio.sleep(30)
        world.up.resume(after=7)
        world.fail()
        await asyncio.sleep(2)
        world.deliver()
        await asyncio.sleep(18)
        assert world.starts[0] == 7
        assert world.condition == Condition.DOWN
