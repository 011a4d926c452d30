"""Runs a whole test on one event loop: raises the file limit, runs the scenario, measures what it cost."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

from monitor.load import host
from monitor.load.scenario_runner import ScenarioRunner
from monitor.load.totals import FinishedTest

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from monitor.clock import Clock
    from monitor.load.plan import Plan
    from monitor.results import Report, Run


async def run_test(
    plan: Plan,
    clock: Clock,
    *,
    watch: Callable[[ScenarioRunner], Any] = lambda _: None,
    publish: Callable[[Run | Report], None] = lambda _: None,
    background: Callable[[], Coroutine[Any, Any, None]] | None = None,
    stop: asyncio.Event | None = None,
    finish: Callable[[FinishedTest], None] = lambda _: None,
) -> FinishedTest:
    """Run a test in this process until it is done, `stop` is set, or SIGINT or SIGTERM comes. Raises `StartupError`.

    `watch` is called with the runner before the test begins. A coroutine that it returns runs until the end of the
    test, as does the one that `background` returns.
    `finish` is called with the result while signals are still handled, so that a second Ctrl-C does not lose it.
    """
    host.raise_file_limit(plan.sockets)
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    runner = ScenarioRunner(plan, clock, publish)
    began = clock.time()
    coroutines = (watch(runner), background and background())
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines if coroutine is not None]
    try:
        try:
            await runner.run(stop)
        finally:
            for task in tasks:
                await cancel(task)
        finished = FinishedTest(
            totals=runner.statistics.totals, interrupted=runner.interrupted, began=began, cost=host.cost()
        )
        finish(finished)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    return finished


async def cancel(task: asyncio.Task[None] | None) -> None:
    """Cancel a task that ran beside a test. Its exception is dropped: a broken progress display costs no result."""
    if task is not None:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
