"""The schedule: starts the runs of bounded probes at their slots and counts each slot exactly once.

APScheduler wakes the jobs. Its options do not count slots, so they are not used:

- `coalesce` drops a backlog silently or runs it in a burst. A trigger here has one pending time, and `Slots` counts.
- `misfire_grace_time` compares wall-clock times, and after a step back APScheduler sleeps until the wall clock has
  caught up. `Slots` decides what is late, and a `ClockWatch` recomputes the times of all jobs after a step.
- `max_instances` rejects a run without its slot. A job here only starts a task; if the previous one is not done, the
  slot is skipped.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Final

import structlog
from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from monitor.clock import utc
from monitor.config import Every
from monitor.errors import MisuseError
from monitor.schedule.slots import Slots, slots_of
from monitor.schedule.spread import RUNS_PER_SECOND, Pacer
from monitor.schedule.watch import ClockWatch
from monitor.supervision import Supervision

if TYPE_CHECKING:
    from monitor.clock import Clock
    from monitor.config import Cron

log = structlog.get_logger(__name__)

OnResult = Callable[[str, str, str], None]
"""Called once for each slot with relay, probe and "started", "missed" or "skipped"."""

# Half of START_TOLERANCE: a slot that APScheduler misses after a step back can still start.
_CHECK_SECONDS: Final = 0.5
_MAX_DRIFT_SECONDS: Final = 0.01
_MINUTE: Final = 60.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Job:
    """One probe on one relay."""

    relay: str
    probe: str
    schedule: Every | Cron
    run: Callable[[datetime], Awaitable[None]]
    slots: Slots
    on_skipped: Callable[[], None] = lambda: None
    delay: float = 0.0
    task: asyncio.Task[None] | None = None

    @property
    def id(self) -> str:
        return repr((self.relay, self.probe))

    @property
    def frequency(self) -> float:
        """Runs per second, at most."""
        return 1 / (self.schedule.every if isinstance(self.schedule, Every) else _MINUTE)


class _ClockZone(tzinfo):
    """UTC, in which `datetime.now` is the reading of `clock`.

    APScheduler takes no clock; it calls `datetime.now(timezone)`, and that calls `timezone.fromutc`. A `datetime` in
    this zone is never converted on its way through APScheduler: `astimezone` returns one of the same zone as it is.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def fromutc(self, dt: datetime) -> datetime:  # noqa: ARG002 - the machine's time
        return utc(self._clock).replace(tzinfo=self)

    def utcoffset(self, dt: datetime | None) -> timedelta:  # noqa: ARG002 - UTC at any time
        return timedelta(0)

    def dst(self, dt: datetime | None) -> timedelta:  # noqa: ARG002 - UTC at any time
        return timedelta(0)

    def tzname(self, dt: datetime | None) -> str:  # noqa: ARG002 - UTC at any time
        return "UTC"


class _SlotTrigger(BaseTrigger):  # type: ignore[misc] # APScheduler publishes no types
    """The trigger of a job: its first slot that is not consumed, never a backlog."""

    def __init__(self, upcoming: Callable[[], datetime]) -> None:
        self._upcoming = upcoming

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:  # noqa: ARG002
        # Always later than `now`: until it is, APScheduler calls this again and runs no job.
        return max(self._upcoming(), now + timedelta(milliseconds=1))


class Schedule:
    """Runs probes at their slots.

    `on_result` is called once for each due slot: with "started"; with "skipped" if the previous run is not done; or
    with "missed" if the slot could not start within a second (a blocked event loop, a stepped clock) or a newer slot is
    due too. So at most one run follows a stall, however long, and at most `slots.MAX_BACKLOG` slots are counted. Of
    runs that are due together, `RUNS_PER_SECOND` begin per second. The exception of a run is recorded by `supervision`
    and does not affect later slots.

    `seed` (the monitor's location) and the names determine the offset of the first slot of `every`. A schedule starts
    once and stops once. Use it from the event loop only.
    """

    def __init__(self, *, clock: Clock, on_result: OnResult, seed: str, supervision: Supervision | None = None) -> None:
        self._clock = clock
        self._supervision = supervision or Supervision()
        self._on_result = on_result
        self._seed = seed
        self._jobs: dict[tuple[str, str], _Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pacer = Pacer(clock, 1 / RUNS_PER_SECOND)
        self._frequency = 0.0  # runs per second of all jobs, at most
        self._watching: asyncio.Task[None] | None = None
        self._stopped = False
        # The "debug" executor calls a due job directly; the jobs here only consume slots and start tasks.
        self._zone = _ClockZone(clock)
        self._scheduler = AsyncIOScheduler(timezone=self._zone, executors={"default": DebugExecutor()})

    def add(
        self,
        *,
        relay: str,
        probe: str,
        schedule: Every | Cron,
        run: Callable[[datetime], Awaitable[None]],
        on_skipped: Callable[[], None] = lambda: None,
        delay: float = 0.0,
    ) -> None:
        """Call `run` at every slot of `schedule`, with the slot's wall-clock time, from `start` on or from now.

        `on_skipped` is called at each slot that is skipped. The slots of `every` begin `delay` seconds later.
        Raises `MisuseError` if the job exists, and `ValueError` for an invalid cron line.
        """
        key = (relay, probe)
        if key in self._jobs:
            raise MisuseError(f"probe {probe!r} on relay {relay!r} is scheduled already: remove it first")
        job = _Job(relay, probe, schedule, run, self._slots_of(relay, probe, schedule, delay), on_skipped, delay)
        self._jobs[key] = job
        self._pace(job.frequency)
        if self._watching is not None:
            self._schedule(job)

    def remove(self, relay: str, probe: str) -> asyncio.Task[None] | None:
        """Remove a job and cancel its run; returns the run's task if there has been one.

        `on_result` is no longer called for it. Raises `MisuseError` if the job does not exist.
        """
        job = self._jobs.pop((relay, probe), None)
        if job is None:
            raise MisuseError(f"probe {probe!r} on relay {relay!r} is not scheduled")
        self._pace(-job.frequency)
        if self._watching is not None and not self._stopped:
            self._scheduler.remove_job(job.id)
        if job.task is not None:
            job.task.cancel()
        return job.task

    async def start(self) -> None:
        """Start the schedule; the slots of `every` count from here."""
        if self._watching is not None or self._stopped:
            raise MisuseError("a schedule starts once")
        watch = ClockWatch(self._clock, self._reschedule, threshold=_MAX_DRIFT_SECONDS)
        self._watching = self._supervision.watch("schedule", lambda: self._watch_clock(watch))
        self._scheduler.start()
        for job in self._jobs.values():
            job.slots = self._slots_of(job.relay, job.probe, job.schedule, job.delay)
            self._schedule(job)

    async def stop(self, timeout: float) -> None:
        """Start no more runs, wait `timeout` seconds for the running ones, cancel the rest and wait for their end."""
        if self._watching is not None and not self._stopped:
            self._stopped = True
            self._watching.cancel()
            self._scheduler.shutdown(wait=False)
            for job in self._jobs.values():
                self._consume(job)
        if self._tasks:
            try:
                await asyncio.wait(self._tasks, timeout=timeout)
            finally:
                for task in self._tasks:
                    task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def cancel_runs(self) -> None:
        """Cancel the running runs."""
        for task in self._tasks:
            task.cancel()

    def next_due(self, relay: str, probe: str) -> datetime | None:
        """The wall-clock time of a job's next slot; None if there is no such job or the schedule does not run."""
        job = self._jobs.get((relay, probe))
        if job is None or self._watching is None or self._stopped:
            return None
        return self._upcoming(job).astimezone(UTC)

    def _pace(self, frequency: float) -> None:
        """Note that so many runs per second are added: all must fit, with as much room for those that are late."""
        self._frequency += frequency
        self._pacer.gap = 1 / max(RUNS_PER_SECOND, 2 * self._frequency)

    def _slots_of(self, relay: str, probe: str, schedule: Every | Cron, delay: float) -> Slots:
        return slots_of(schedule, clock=self._clock, identity=(self._seed, relay, probe), delay=delay)

    def _schedule(self, job: _Job) -> None:
        self._scheduler.add_job(
            self._consume,
            trigger=_SlotTrigger(lambda: self._upcoming(job)),
            args=(job,),
            id=job.id,
            name=f"{job.probe} on {job.relay}",
            next_run_time=self._upcoming(job),
            coalesce=False,
            misfire_grace_time=None,
            max_instances=1,
        )

    def _upcoming(self, job: _Job) -> datetime:
        slot = job.slots.upcoming(self._clock.monotonic(), self._clock.time())
        # Rounded up to the resolution of a datetime, since APScheduler must not call a job before its slot.
        return _EPOCH.replace(tzinfo=self._zone) + timedelta(microseconds=math.ceil(slot * 1e6))

    def _consume(self, job: _Job) -> None:
        """Consume the due slots, start the newest if it can start, and report each of them."""
        due = job.slots.consume(self._clock.monotonic(), self._clock.time())
        missed, skipped = due.overdue + due.startable, 0
        if due.newest is not None and job.task is not None and not job.task.done():
            missed, skipped = due.overdue, due.startable
        elif due.newest is not None and not self._stopped:
            missed -= 1
            self._start_run(job, datetime.fromtimestamp(due.newest, UTC))
            self._on_result(job.relay, job.probe, "started")
        for _ in range(skipped):
            self._on_result(job.relay, job.probe, "skipped")
            job.on_skipped()
        for _ in range(missed):
            self._on_result(job.relay, job.probe, "missed")
        if missed:
            log.warning("slots missed", relay=job.relay, probe=job.probe, slots=missed)

    def _start_run(self, job: _Job, slot: datetime) -> None:
        job.task = asyncio.create_task(self._run_job(job, slot), name=f"{job.probe} on {job.relay}")
        self._tasks.add(job.task)
        job.task.add_done_callback(self._tasks.discard)

    async def _run_job(self, job: _Job, slot: datetime) -> None:
        try:
            await self._pacer.wait()
            await job.run(slot)
        except Exception as error:  # noqa: BLE001 - recorded with its traceback
            self._supervision.record("run", error, relay=job.relay, probe=job.probe, slot=slot.isoformat())

    async def _watch_clock(self, watch: ClockWatch) -> None:
        """Recompute the times of all jobs when the wall clock has stepped, and wake APScheduler up.

        It sets its timer at the end of each pass over the jobs, so that it would stop after a pass that raises.
        """
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            watch.check()
            self._scheduler.wakeup()

    def _reschedule(self, _step: float) -> None:
        for job in self._jobs.values():
            self._scheduler.modify_job(job.id, next_run_time=self._upcoming(job))
