"""A whole test on one event loop: room for its sockets, the play, and what it cost."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from monitor.load import host
from monitor.load.scenario_runner import ScenarioRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from monitor.clock import Clock
    from monitor.load.plan import Plan
    from monitor.load.totals import Totals
    from monitor.results import Report, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a test, or a worker's part of one, ended.

    `included` are the workers whose results are in it, where they are more than the plan's one; `missing` those whose
    are not.
    """

    totals: Totals
    interrupted: bool
    began: float  # seconds since the epoch
    cost: dict[str, float] = field(default_factory=dict)
    included: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()

    def meta(self, version: str, plan: Plan, workers: int = 1) -> dict[str, Any]:
        """What a result says of itself."""
        return {
            "version": version,
            "interrupted": self.interrupted,
            "workers": workers,
            "includedWorkers": list(self.included or plan.worker[:1]),
            "missingWorkers": list(self.missing),
            "config": plan.to_json(),
            "machine": host.describe(),
            "cost": self.cost,
        }


async def conduct(
    plan: Plan,
    clock: Clock,
    *,
    watch: Callable[[ScenarioRunner], Any] = lambda _: None,
    publish: Callable[[Run | Report], None] = lambda _: None,
    beside: Callable[[], Coroutine[Any, Any, None]] | None = None,
    stop: asyncio.Event | None = None,
    finish: Callable[[Ended], None] = lambda _: None,
) -> Ended:
    """Play a test in this process, until it is done, `stop` is set, or SIGINT or SIGTERM comes. Raises `StartupError`.

    `watch` is called with the play before it begins; where it gives a coroutine, that runs beside it until the end, as
    does what `beside` gives.
    `finish` is told how it ended while signals are still heeded: a second Ctrl-C must not take the result.
    """
    host.make_room(plan.sockets)
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    play = ScenarioRunner(plan, clock, publish)
    began = clock.time()
    running = [asyncio.ensure_future(work) for work in (watch(play), beside and beside()) if work is not None]
    try:
        try:
            await play.run(stop)
        finally:
            for task in running:
                await end_beside(task)
        ended = Ended(totals=play.tally.totals, interrupted=play.interrupted, began=began, cost=host.cost())
        finish(ended)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    return ended


async def end_beside(beside: asyncio.Task[None] | None) -> None:
    """End what ran beside a test, which is none the worse whatever became of that: nobody may read the progress."""
    if beside is not None:
        beside.cancel()
        await asyncio.wait([beside])
        if not beside.cancelled():
            beside.exception()
