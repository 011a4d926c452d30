"""Supervision of tasks: a bug that ends one is logged and counted, and the task is restarted.

A task that fails `MAX_FAILURES` times within `FAILURE_PERIOD` seconds makes its relay unobserved, or the monitor
unhealthy if it has no relay of its own, until fewer of its failures lie within that period.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_log = structlog.get_logger(__name__)

T = TypeVar("T")

MAX_FAILURES: Final = 3
"""Failures of one task within `FAILURE_PERIOD` seconds after which what it does counts as not done."""

FAILURE_PERIOD: Final = 300.0
"""Seconds for which a failure counts."""

MIN_RESTART_DELAY: Final = 1.0
"""Seconds between the first failure of a task and its restart; each further failure doubles them."""

MAX_RESTART_DELAY: Final = 60.0
"""Largest number of seconds between a failure and the restart; a task that ran for as long starts at the minimum."""


def _ignore(*_: object) -> None:
    """Do nothing."""


class Supervision:
    """Runs tasks and records those that a bug ends. To be used from one event loop.

    on_failure: called with a task's name for each failure.
    on_repeated: called with the relay, or None for a task that all relays share, and a text for a person, when a task
    fails repeatedly.
    on_recovered: called with that relay when none of its tasks does so any more.
    """

    def __init__(
        self,
        *,
        on_failure: Callable[[str], None] = _ignore,
        on_repeated: Callable[[str | None, str], None] = _ignore,
        on_recovered: Callable[[str | None], None] = _ignore,
    ) -> None:
        self._on_failure = on_failure
        self._on_repeated = on_repeated
        self._on_recovered = on_recovered
        self._failures: dict[tuple[str | None, str], deque[float]] = {}  # by relay and task: times of the latest
        self._repeated: dict[tuple[str | None, str], asyncio.TimerHandle] = {}

    def watch(
        self, name: str, work: Callable[[], Coroutine[Any, Any, None]], *, relay: str | None = None
    ) -> asyncio.Task[None]:
        """Run a task that only its cancellation ends. `work` is called at the start and at each restart.

        `name` names the kind of the task in a metric: use few of them.
        """
        return asyncio.create_task(self._keep_running(name, work, relay), name=_full_name(name, relay))

    def spawn(self, name: str, work: Coroutine[Any, Any, T], *, relay: str | None = None) -> asyncio.Task[T]:
        """Run a task that ends by itself. A bug in it is recorded, and the caller gets it too if it awaits the task."""
        task = asyncio.create_task(work, name=_full_name(name, relay))

        def record(ended: asyncio.Task[T]) -> None:
            if not ended.cancelled() and (error := ended.exception()) is not None:
                self.record(name, error, relay=relay)

        task.add_done_callback(record)
        return task

    def record(self, name: str, error: BaseException, *, relay: str | None = None, **details: str) -> None:
        """Record one failure of a task by a bug: also of one that goes on, as a run that is aborted.

        `details` are logged.
        """
        _log.error(
            "task failed by a bug in this program", task=name, relay=relay, **details, exc_info=error, repeats=True
        )
        self._on_failure(name)
        key, now = (relay, name), asyncio.get_running_loop().time()
        times = self._failures.setdefault(key, deque(maxlen=MAX_FAILURES))
        times.append(now)
        remaining = times[0] + FAILURE_PERIOD - now
        if len(times) < MAX_FAILURES or remaining <= 0:
            return
        if (timer := self._repeated.pop(key, None)) is not None:
            timer.cancel()
        self._repeated[key] = asyncio.get_running_loop().call_later(remaining, self._recover, key)
        self._on_repeated(relay, f"task {name!r} fails repeatedly: {describe(error)}; see the log")

    def forget(self, relay: str) -> None:
        """Forget the failures of a relay's tasks; to be called when the relay is removed."""
        for key in [key for key in self._failures if key[0] == relay]:
            del self._failures[key]
            if (timer := self._repeated.pop(key, None)) is not None:
                timer.cancel()

    def close(self) -> None:
        """Cancel the timers. The tasks are cancelled by those who started them."""
        for timer in self._repeated.values():
            timer.cancel()
        self._repeated.clear()

    async def _keep_running(self, name: str, work: Callable[[], Coroutine[Any, Any, None]], relay: str | None) -> None:
        loop = asyncio.get_running_loop()
        delay = MIN_RESTART_DELAY
        while True:
            started = loop.time()
            try:
                await work()
            except asyncio.CancelledError:
                if _is_cancelled():
                    raise
                self.record(name, RuntimeError("the task cancelled itself"), relay=relay)
            except Exception as error:  # noqa: BLE001 - recorded with its traceback
                self.record(name, error, relay=relay)
            else:
                self.record(name, RuntimeError("the task ended"), relay=relay)
            if loop.time() - started >= MAX_RESTART_DELAY:
                delay = MIN_RESTART_DELAY
            await asyncio.sleep(delay)
            delay = min(2 * delay, MAX_RESTART_DELAY)

    def _recover(self, key: tuple[str | None, str]) -> None:
        del self._repeated[key]
        if not any(relay == key[0] for relay, _ in self._repeated):
            self._on_recovered(key[0])


def describe(error: BaseException) -> str:
    """Return an exception's type and text; of a group, those of its first member."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _is_cancelled() -> bool:
    """Return True if the cancellation of the current task was requested."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _full_name(name: str, relay: str | None) -> str:
    return name if relay is None else f"{name} at {relay}"
