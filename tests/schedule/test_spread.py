"""What many relays would begin at once is spread."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise

import pytest

from monitor.clock import LoopClock
from monitor.config import Cron, Every
from monitor.schedule import Schedule
from monitor.schedule.spread import MAX_START_SECONDS, RUNS_PER_SECOND, Pacer, start_delay
from tests.virtual_time import WITHOUT_SOCKETS

pytestmark = WITHOUT_SOCKETS

CYCLE = 10.5
"""Seconds from one request of a pair to the next, with the shipped configuration."""


def delays(relays: int) -> list[float]:
    return [start_delay(index, relays, f"relay-{index}") for index in range(relays)]


@pytest.mark.parametrize(("relays", "per_second", "last"), [(1, 1, 0.25), (200, 5, 50), (1000, 18, MAX_START_SECONDS)])
def test_so_many_relays_begin_per_second_and_the_last_within_a_minute(
    relays: int, per_second: int, last: float
) -> None:
    found = delays(relays)
    assert max(Counter(int(delay) for delay in found).values()) <= per_second
    assert found == sorted(found)
    assert found[-1] <= last


def test_a_relay_keeps_its_delay_over_a_restart() -> None:
    """It is not that of `hash`, which differs by process."""
    assert [round(delay, 6) for delay in delays(2)] == [0.206872, 0.437052]


def test_pairs_of_many_relays_do_not_send_in_the_same_milliseconds() -> None:
    """Evenly spaced, 200 relays with two pairs sent at 42 moments of a cycle, ten and more at each."""
    requests = sorted((delay + CYCLE * pair / 2) % CYCLE for delay in delays(200) for pair in range(2))
    crowded = [following - time for time, following in pairwise(requests)]
    assert sum(gap < 0.002 for gap in crowded) < len(requests) / 5
    assert max(Counter(int(time / 0.05) for time in requests).values()) <= 8


async def test_a_pacer_delays_what_follows_too_soon_only() -> None:
    clock = LoopClock()
    pacer = Pacer(clock, 0.1)
    started = []
    for pause in (0.0, 0.0, 0.0, 0.05, 1.0):
        await asyncio.sleep(pause)
        await pacer.wait()
        started.append(clock.monotonic())
    assert [round(time - started[0], 6) for time in started] == [0, 0.1, 0.2, 0.3, 1.3]


async def starts(schedule: Cron | Every, jobs: int, seconds: float) -> tuple[list[float], Counter[str]]:
    """Return when the runs of so many jobs with one schedule began, after the first, and the results of their slots."""
    clock, began = LoopClock(epoch=1_714_564_790.0), list[float]()  # ten seconds before a minute
    results: Counter[str] = Counter()
    made = Schedule(clock=clock, on_result=lambda _relay, _probe, result: results.update([result]), seed="here")

    async def run(_: object) -> None:
        began.append(clock.monotonic())

    for number in range(jobs):
        made.add(relay=f"relay-{number}", probe="session", schedule=schedule, run=run)
    await made.start()
    await asyncio.sleep(seconds)
    await made.stop(0)
    return [time - began[0] for time in began], results


async def test_runs_of_one_crontab_line_begin_one_after_another() -> None:
    """Of 200 relays they began in one step of the event loop, and their load delayed the messages of all relays."""
    began, results = await starts(Cron(cron="* * * * *"), 200, 30)
    assert results == {"started": 200}
    assert began == pytest.approx([number / RUNS_PER_SECOND for number in range(200)], abs=0.01)


async def test_schedules_that_need_more_runs_than_that_get_them() -> None:
    began, results = await starts(Every(every=2.0), 100, 62)
    assert results["skipped"] == results["missed"] == 0
    assert len(began) > 29 * 100
