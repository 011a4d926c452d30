"""A test in this process, when it is interrupted."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from monitor.clock import LoopClock
from monitor.load.load_runner import run_test
from monitor.load.plan import Plan
from monitor.scenarios import Scenario

if TYPE_CHECKING:
    from monitor.load.scenario_runner import ScenarioRunner
    from monitor.load.totals import FinishedTest


async def test_a_second_ctrl_c_loses_no_result() -> None:
    """The second signal comes while the files are being written."""
    runners: list[ScenarioRunner] = []
    results: list[FinishedTest] = []

    def finish(finished: FinishedTest) -> None:
        signal.raise_signal(signal.SIGINT)
        results.append(finished)

    plan = Plan(target="embedded", scenario=Scenario.STEADY_STATE, connections=2, ramp_up=0.0, duration=600.0)
    going = asyncio.ensure_future(run_test(plan, LoopClock(), watch=runners.append, finish=finish))
    async with asyncio.timeout(30):
        while not runners or runners[0].statistics.active < 2:  # noqa: ASYNC110 - told of by nobody
            await asyncio.sleep(0.05)
        signal.raise_signal(signal.SIGINT)
        finished = await going
    assert results == [finished]
    assert finished.interrupted
    assert finished.totals.immediate == 2


async def test_a_broken_progress_display_loses_no_result() -> None:
    async def break_down() -> None:
        raise BrokenPipeError

    plan = Plan(target="embedded", scenario=Scenario.CONNECTION_STORM, connections=1, ramp_up=0.1)
    finished = await run_test(plan, LoopClock(), watch=lambda _: break_down())
    assert finished.totals.immediate == 1
