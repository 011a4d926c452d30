"""The schedule: every bounded probe's runs, started at their slots, each slot accounted for exactly once.

APScheduler keeps the time; what it gets wrong for a monitor is taken from it. Of a backlog it either drops the
slots without a word (`coalesce`) or runs them all in a burst: here a job's trigger never has more than one time
waiting, and `Slots` counts what passed. It judges lateness (`misfire_grace_time`) and picks due jobs by the wall
clock, and after a step back it sleeps until the wall has caught up: here lateness is judged by `Slots`, and a
watch on the two clocks sets every job's time anew. `max_instances` refuses a run without saying which slot:
here a job only starts a task, and a task that still runs makes the next slot `skipped`.
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
from monitor.errors import MisuseError
from monitor.schedule.slots import Slots, slots_of
from monitor.schedule.watch import ClockWatch

if TYPE_CHECKING:
    from monitor.clock import Clock
    from monitor.config import Cron, Every

log = structlog.get_logger(__name__)

OnResult = Callable[[str, str, str], None]
"""Called once for each slot with relay, probe and "started", "missed" or "skipped"."""

# Half the grace: a slot that a step back hid from APScheduler is found in time to start.
_WATCH: Final = 0.5
# How far, in seconds, the clocks may part before every job's time is computed anew.
_DRIFT: Final = 0.01
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Job:
    """One probe on one relay."""

    relay: str
    probe: str
    schedule: Every | Cron
    run: Callable[[datetime], Awaitable[None]]
    slots: Slots
    task: asyncio.Task[None] | None = None

    @property
    def id(self) -> str:
        return repr((self.relay, self.probe))


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
    """APScheduler's view of a job's slots: the first one not taken yet, never a backlog."""

    def __init__(self, upcoming: Callable[[], datetime]) -> None:
        self._upcoming = upcoming

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:  # noqa: ARG002
        # Later than `now` in any case: APScheduler asks again until it is, before it runs anything.
        return max(self._upcoming(), now + timedelta(milliseconds=1))


class Schedule:
    """Runs probes at their slots.

    Of the slots that come due, each is told to `on_result` once: `started`; `skipped`, because the run before it
    still goes on; or `missed`, because it could not be started within a second (a blocked loop, a stepped clock),
    or because a newer slot was due as well by then. So a stall of any length is followed by one run at most, and
    counts at most `slots.MAX_BACKLOG` slots. A run's exception is logged, and the next slot starts as ever.

    `seed` (the monitor's location) and the names give each `every` its place in the first seconds. A schedule
    starts once and stops once. Use it from the event loop only.
    """

    def __init__(self, *, clock: Clock, on_result: OnResult, seed: str) -> None:
        self._clock = clock
        self._on_result = on_result
        self._seed = seed
        self._jobs: dict[tuple[str, str], _Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._supervisor: asyncio.Task[None] | None = None
        self._stopped = False
        # The "debug" executor calls a job where it finds it due; ours only take slots and start tasks.
        self._zone = _ClockZone(clock)
        self._scheduler = AsyncIOScheduler(timezone=self._zone, executors={"default": DebugExecutor()})

    def add(
        self, *, relay: str, probe: str, schedule: Every | Cron, run: Callable[[datetime], Awaitable[None]]
    ) -> None:
        """Run `run` at every slot of `schedule`, from the schedule's start or from now on if it has started.

        `run` gets its slot's moment on the wall clock. Raises `MisuseError` where the pair of names is taken, and
        `ValueError` for a cron line that is none.
        """
        key = (relay, probe)
        if key in self._jobs:
            raise MisuseError(f"probe {probe!r} on relay {relay!r} is scheduled already: remove it first")
        job = _Job(relay, probe, schedule, run, self._slots_of(relay, probe, schedule))
        self._jobs[key] = job
        if self._supervisor is not None:
            self._arm(job)

    def remove(self, relay: str, probe: str) -> asyncio.Task[None] | None:
        """Forget a job; a run of it that goes on is cancelled, and returned for whoever waits for its end.

        Its slots are told no more. Raises `MisuseError` where there is none.
        """
        job = self._jobs.pop((relay, probe), None)
        if job is None:
            raise MisuseError(f"probe {probe!r} on relay {relay!r} is not scheduled")
        if self._supervisor is not None and not self._stopped:
            self._scheduler.remove_job(job.id)
        if job.task is not None:
            job.task.cancel()
        return job.task

    async def start(self) -> None:
        """Begin; the grids of `every` count from here."""
        if self._supervisor is not None or self._stopped:
            raise MisuseError("a schedule starts once")
        self._supervisor = asyncio.create_task(
            self._supervise(ClockWatch(self._clock, self._rearm, threshold=_DRIFT)), name="schedule"
        )
        self._scheduler.start()
        for job in self._jobs.values():
            job.slots = self._slots_of(job.relay, job.probe, job.schedule)
            self._arm(job)

    async def stop(self, grace: float) -> None:
        """Start nothing more, wait `grace` seconds for runs to end, cancel the rest; returns when all have ended."""
        if self._supervisor is not None and not self._stopped:
            self._stopped = True
            self._supervisor.cancel()
            self._scheduler.shutdown(wait=False)
            for job in self._jobs.values():
                self._take(job)
        if self._tasks:
            try:
                await asyncio.wait(self._tasks, timeout=grace)
            finally:
                for task in self._tasks:
                    task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def next_due(self, relay: str, probe: str) -> datetime | None:
        """The next slot of a job on the wall clock; None where there is no such job or the schedule is at rest."""
        job = self._jobs.get((relay, probe))
        if job is None or self._supervisor is None or self._stopped:
            return None
        return self._upcoming(job).astimezone(UTC)

    def _slots_of(self, relay: str, probe: str, schedule: Every | Cron) -> Slots:
        return slots_of(schedule, clock=self._clock, identity=(self._seed, relay, probe))

    def _arm(self, job: _Job) -> None:
        self._scheduler.add_job(
            self._take,
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
        moment = job.slots.upcoming(self._clock.monotonic(), self._clock.time())
        # Rounded up to what a datetime can hold: APScheduler must not come before the slot does.
        return _EPOCH.replace(tzinfo=self._zone) + timedelta(microseconds=math.ceil(moment * 1e6))

    def _take(self, job: _Job) -> None:
        """Take the slots that are due: start the newest if it may start, and tell what became of each."""
        due = job.slots.consume(self._clock.monotonic(), self._clock.time())
        missed, skipped = due.overdue + due.startable, 0
        if due.newest is not None and job.task is not None and not job.task.done():
            missed, skipped = due.overdue, due.startable
        elif due.newest is not None and not self._stopped:
            missed -= 1
            self._begin(job, datetime.fromtimestamp(due.newest, UTC))
            self._on_result(job.relay, job.probe, "started")
        for _ in range(skipped):
            self._on_result(job.relay, job.probe, "skipped")
        for _ in range(missed):
            self._on_result(job.relay, job.probe, "missed")
        if missed:
            log.warning("slots_missed", relay=job.relay, probe=job.probe, slots=missed)

    def _begin(self, job: _Job, slot: datetime) -> None:
        job.task = asyncio.create_task(_guarded(job, slot), name=f"{job.probe} on {job.relay}")
        self._tasks.add(job.task)
        job.task.add_done_callback(self._tasks.discard)

    async def _supervise(self, watch: ClockWatch) -> None:
        """Set every job's time anew when the wall clock has moved, and wake APScheduler up in any case.

        APScheduler keeps one timer, set at the end of each round: a round that raised would be its last.
        """
        while True:
            await asyncio.sleep(_WATCH)
            watch.check()
            self._scheduler.wakeup()

    def _rearm(self, _step: float) -> None:
        for job in self._jobs.values():
            self._scheduler.modify_job(job.id, next_run_time=self._upcoming(job))


async def _guarded(job: _Job, slot: datetime) -> None:
    try:
        await job.run(slot)
    except Exception:
        log.exception("run_raised", relay=job.relay, probe=job.probe, slot=slot.isoformat())
