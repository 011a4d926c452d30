from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from monitor.clock import LoopClock
from monitor.config import Cron, Every
from monitor.errors import MisuseError
from tests.schedule.conftest import ScheduledProbe
from tests.virtual_time import WITHOUT_SOCKETS, block_loop

pytestmark = WITHOUT_SOCKETS

MINUTE = Every(every=60.0)
TEN_YEARS = 3653 * 86400.0


async def test_the_first_slot_is_staggered_alike_after_every_restart(clock: LoopClock) -> None:
    offsets = []
    for seed in ("here", "here", "there"):
        context = ScheduledProbe(clock, seed)
        context.add(MINUTE)
        started = clock.time()
        await context.schedule.start()
        offsets.append(context.due().timestamp() - started)
        await context.schedule.stop(0)
        await asyncio.sleep(17)
    assert offsets[0] == pytest.approx(offsets[1], abs=1e-5)
    assert offsets[0] != pytest.approx(offsets[2], abs=1e-3)
    assert all(0 <= offset < 5 for offset in offsets)


async def test_a_thousand_slots_stay_on_their_grid(context: ScheduledProbe) -> None:
    context.add(Every(every=1.3))
    await context.schedule.start()
    first = context.due().timestamp()
    await asyncio.sleep(1.3 * 1000 - 0.1)
    await context.schedule.stop(0)
    assert context.results == {"started": 1000}
    for index, (start, slot) in enumerate(zip(context.starts, context.slots, strict=True)):
        assert slot.timestamp() == pytest.approx(first + 1.3 * index, abs=1e-4)
        assert 0 <= start - context.starts[0] - 1.3 * index + 0.002 < 0.004


async def test_a_slot_is_skipped_while_the_previous_run_is_not_done(context: ScheduledProbe) -> None:
    context.add(Every(every=10.0), lambda: asyncio.sleep(25))
    await context.schedule.start()
    await context.first_slot()
    await asyncio.sleep(59)
    assert context.results == {"started": 2, "skipped": 4}
    await context.schedule.stop(0)


@pytest.mark.parametrize(
    ("blocked", "results"),
    [
        (35.0, {"started": 1, "missed": 3}),
        (30.5, {"started": 2, "missed": 2}),  # the third slot is half a second late, which is tolerated
        (3605.0, {"started": 1, "missed": 360}),
    ],
)
async def test_slots_of_a_blocked_loop_are_missed_without_a_burst_after_it(
    context: ScheduledProbe, blocked: float, results: dict[str, int]
) -> None:
    context.add(Every(every=10.0))
    await context.schedule.start()
    await context.first_slot()
    block_loop(blocked)
    await asyncio.sleep(0.1)
    assert context.results == results


async def test_slots_less_than_a_second_apart_do_not_burst_either(context: ScheduledProbe) -> None:
    context.add(Every(every=0.1))
    await context.schedule.start()
    await context.first_slot()
    block_loop(5.0)
    await asyncio.sleep(0.01)
    assert context.results == {"started": 2, "missed": 49}


async def test_slots_of_a_blocked_loop_whose_predecessor_still_runs_are_missed_or_skipped(
    context: ScheduledProbe,
) -> None:
    context.add(Every(every=10.0), lambda: asyncio.sleep(1000))
    await context.schedule.start()
    await context.first_slot()
    block_loop(30.5)
    await asyncio.sleep(0.1)
    assert context.results == {"started": 1, "missed": 2, "skipped": 1}
    await context.schedule.stop(0)


@pytest.mark.parametrize("step", [0.3, -0.3, 5.0, -5.0, 3600.0, -3600.0, TEN_YEARS, -TEN_YEARS])
async def test_a_step_of_the_wall_clock_neither_loses_nor_adds_a_slot_of_every(
    context: ScheduledProbe, step: float
) -> None:
    context.add(Every(every=10.0))
    await context.schedule.start()
    await context.first_slot()
    first = context.starts[0]
    await asyncio.sleep(54)
    context.clock.step(step)
    await asyncio.sleep(60)
    assert context.results == {"started": 12}
    assert context.starts == [pytest.approx(first + 10 * index, abs=0.003) for index in range(12)]
    assert context.slots[-1].timestamp() == pytest.approx(context.clock.time() - 4, abs=0.1)


@pytest.mark.parametrize("step", [3600.0, -3600.0])
async def test_a_step_right_before_a_slot_delays_it_by_less_than_a_second(context: ScheduledProbe, step: float) -> None:
    context.add(Every(every=10.0))
    await context.schedule.start()
    await context.first_slot()
    await asyncio.sleep(9.98)
    context.clock.step(step)
    await asyncio.sleep(1.0)
    assert context.results == {"started": 2}
    assert context.starts[1] - context.starts[0] == pytest.approx(10, abs=0.6)


async def test_a_clock_stepped_every_second_loses_no_slot(context: ScheduledProbe) -> None:
    context.add(Every(every=10.0))
    await context.schedule.start()
    await context.first_slot()
    for index in range(200):
        context.clock.step((-1) ** index * 37.0 * index)
        await asyncio.sleep(1.0)
    assert context.results == {"started": 21}


async def test_cron_fires_at_its_minutes_in_its_zone(context: ScheduledProbe) -> None:
    # It is 12:00 in UTC, 21:00 in Tokyo.
    context.add(Cron(cron="*/20 21 * * wed", timezone="Asia/Tokyo"))
    await context.schedule.start()
    await asyncio.sleep(5000)
    times = [slot.strftime("%H:%M") for slot in context.slots]
    assert times == ["12:20", "12:40"]
    assert context.results == {"started": 2}


async def test_cron_slots_are_missed_after_a_step_forward(context: ScheduledProbe) -> None:
    context.add(Cron(cron="*/10 * * * *", timezone="UTC"))
    await context.schedule.start()
    await asyncio.sleep(5)
    context.clock.step(3600)
    await asyncio.sleep(2)
    assert context.results == {"missed": 6}
    await asyncio.sleep(600)
    assert context.results == {"missed": 6, "started": 1}
    assert context.slots == [datetime(2024, 5, 1, 13, 10, tzinfo=UTC)]


async def test_cron_slots_are_repeated_after_a_step_back(context: ScheduledProbe) -> None:
    context.add(Cron(cron="*/10 * * * *", timezone="UTC"))
    await context.schedule.start()
    await asyncio.sleep(605)
    context.clock.step(-600)
    await asyncio.sleep(600)
    assert context.slots == [datetime(2024, 5, 1, 12, 10, tzinfo=UTC)] * 2
    assert context.results == {"started": 2}


async def test_a_clock_set_ten_years_ahead_does_not_hold_the_loop_up(context: ScheduledProbe) -> None:
    context.add(Cron(cron="* * * * *", timezone="UTC"))
    await context.schedule.start()
    await asyncio.sleep(5)
    context.clock.step(TEN_YEARS)
    await asyncio.sleep(2)
    assert context.results == {"missed": 100_000}
    await asyncio.sleep(60)
    assert context.results["started"] == 1


async def test_an_exception_in_a_run_is_logged_and_the_next_slot_starts(context: ScheduledProbe) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    context.add(Every(every=10.0), fail)
    with capture_logs() as logs:
        await context.schedule.start()
        await context.first_slot()
        await asyncio.sleep(10)
    assert context.results == {"started": 2}
    assert [(entry["event"], entry["relay"], entry["probe"]) for entry in logs] == [
        ("task failed by a bug in this program", "demo", "offline")
    ] * 2


async def test_a_run_that_is_cancelled_from_within_does_not_end_its_job(context: ScheduledProbe) -> None:
    async def give_up() -> None:
        raise asyncio.CancelledError

    context.add(Every(every=10.0), give_up)
    await context.schedule.start()
    await context.first_slot()
    await asyncio.sleep(10)
    assert context.results == {"started": 2}


async def test_a_listener_that_raises_does_not_end_the_schedule(clock: LoopClock) -> None:
    results = []

    def on_result(relay: str, probe: str, result: str) -> None:
        results.append((relay, probe, result))
        raise ZeroDivisionError

    context = ScheduledProbe(clock, on_result=on_result)
    context.add(Every(every=10.0))
    await context.schedule.start()
    await context.first_slot()
    await asyncio.sleep(10)
    assert results == [("demo", "offline", "started")] * 2
    assert len(context.slots) == 2


async def test_stop_waits_for_a_run_that_ends_in_time(context: ScheduledProbe) -> None:
    ended = []

    async def body() -> None:
        await asyncio.sleep(3)
        ended.append(True)

    context.add(MINUTE, body)
    await context.schedule.start()
    await context.first_slot()
    before = context.clock.monotonic()
    await context.schedule.stop(10)
    assert ended == [True]
    assert context.clock.monotonic() - before == pytest.approx(3, abs=0.1)


async def test_stop_cancels_a_run_that_takes_longer_and_waits_for_its_end(context: ScheduledProbe) -> None:
    ended = []

    async def body() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(1)
            ended.append(True)

    context.add(Every(every=4.0), body)
    await context.schedule.start()
    await context.first_slot()
    before = context.clock.monotonic()
    await context.schedule.stop(10)
    assert ended == [True]
    assert context.clock.monotonic() - before == pytest.approx(11, abs=0.1)
    await asyncio.sleep(100)
    assert context.results == {"started": 1}
    assert context.schedule.next_due("demo", "offline") is None


async def test_a_removed_job_has_no_results_and_its_run_is_cancelled(context: ScheduledProbe) -> None:
    cancelled = []

    async def body() -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    context.add(Every(every=10.0), body)
    await context.schedule.start()
    await context.first_slot()
    context.schedule.remove("demo", "offline")
    await asyncio.sleep(100)
    assert cancelled == [True]
    assert context.results == {"started": 1}
    with pytest.raises(MisuseError):
        context.schedule.remove("demo", "offline")


async def test_a_job_added_later_counts_from_then(context: ScheduledProbe) -> None:
    await context.schedule.start()
    await asyncio.sleep(1000)
    context.add(MINUTE)
    assert 0 <= context.due().timestamp() - context.clock.time() < 5
    await asyncio.sleep(60)
    assert context.results == {"started": 1}


async def test_two_jobs_do_not_share_a_name_and_a_schedule_starts_once(context: ScheduledProbe) -> None:
    context.add(MINUTE)
    with pytest.raises(MisuseError, match="scheduled already"):
        context.add(MINUTE)
    await context.schedule.start()
    with pytest.raises(MisuseError, match="starts once"):
        await context.schedule.start()
    await context.schedule.stop(0)
    await context.schedule.stop(0)


class BrokenAt(LoopClock):
    """A clock whose first reading at `fails_from` or later fails."""

    fails_from = math.inf
    failures = 0

    def time(self) -> float:
        if self.monotonic() >= self.fails_from:
            self.fails_from = math.inf
            self.failures += 1
            raise ZeroDivisionError
        return super().time()


async def test_apscheduler_recovers_from_a_round_that_raised() -> None:
    """A round that raises never sets the timer of the next one."""
    clock = BrokenAt()
    context = ScheduledProbe(clock)
    context.add(Every(every=10.0))
    await context.schedule.start()
    await context.first_slot()
    clock.fails_from = context.starts[0] + 10
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
    await asyncio.sleep(10.6)
    assert clock.failures == 1
    assert [type(context["exception"]) for context in reported] == [ZeroDivisionError]
    assert context.results == {"started": 2}


STALLS = st.lists(st.tuples(st.sampled_from(["wait", "block", "step"]), st.floats(0, 200), st.booleans()), max_size=12)


@given(period=st.floats(0.5, 30), length=st.floats(0, 60), stalls=STALLS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_every_slot_is_accounted_for_exactly_once(
    clock: LoopClock, period: float, length: float, stalls: list[tuple[str, float, bool]]
) -> None:
    context = ScheduledProbe(clock)
    context.add(Every(every=period), lambda: asyncio.sleep(length))
    await context.schedule.start()
    first = clock.monotonic() + context.due().timestamp() - clock.time()
    for kind, seconds, back in stalls:
        if kind == "block":
            block_loop(seconds)
        elif kind == "step":
            clock.step(-seconds if back else seconds)
        else:
            await asyncio.sleep(seconds)
    await context.schedule.stop(0)
    elapsed = (clock.monotonic() - first) / period
    slots = int(elapsed // 1) + 1 if elapsed >= 0 else 0
    nearest = abs(elapsed - round(elapsed)) * period
    if nearest > 1e-3:  # else rounding decides on which side of the end the last slot lies
        assert context.results.total() == slots
