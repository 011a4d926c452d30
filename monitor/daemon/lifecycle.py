"""Start, reload and stop of the daemon as one state machine: `TRANSITIONS`, and `Lifecycle`, which carries them out."""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from monitor.errors import MisuseError, StartupError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

_log = structlog.get_logger(__name__)

INTERRUPT_TIMEOUT: Final = 2.0
"""Seconds that a running start or reload has to finish when the monitor stops; it is cancelled then."""

CANCEL_TIMEOUT: Final = 1.0
"""Seconds that a cancelled start or reload has to end; the stop then begins without it."""

STOP_TIMEOUT: Final = 9.0
"""Seconds after the request to stop after which the stop is cancelled, so that the process ends within ten."""


class Phase(Enum):
    """What the daemon is doing."""

    NEW = auto()
    STARTING = auto()
    RUNNING = auto()
    RELOADING = auto()
    INTERRUPTING = auto()  # the stop waits for a start or reload
    STOPPING = auto()
    STOPPED = auto()


class Event(Enum):
    """What is requested, or how the running start, reload or stop ended."""

    START = auto()
    RELOAD = auto()
    STOP = auto()
    ENDED = auto()
    FAILED = auto()


class Action(Enum):
    """What a transition requires."""

    NONE = auto()
    START = auto()
    RELOAD = auto()
    DEFER = auto()  # the reload, until the daemon runs
    INTERRUPT = auto()  # the running start or reload
    STOP = auto()
    HURRY = auto()  # the stop was requested again
    REFUSE = auto()


TRANSITIONS: Final[dict[tuple[Phase, Event], tuple[Phase, Action]]] = {
    (Phase.NEW, Event.START): (Phase.STARTING, Action.START),
    (Phase.NEW, Event.RELOAD): (Phase.NEW, Action.DEFER),
    (Phase.NEW, Event.STOP): (Phase.STOPPING, Action.STOP),
    (Phase.STARTING, Event.START): (Phase.STARTING, Action.REFUSE),
    (Phase.STARTING, Event.RELOAD): (Phase.STARTING, Action.DEFER),
    (Phase.STARTING, Event.STOP): (Phase.INTERRUPTING, Action.INTERRUPT),
    (Phase.STARTING, Event.ENDED): (Phase.RUNNING, Action.NONE),
    (Phase.STARTING, Event.FAILED): (Phase.STOPPING, Action.STOP),
    (Phase.RUNNING, Event.START): (Phase.RUNNING, Action.REFUSE),
    (Phase.RUNNING, Event.RELOAD): (Phase.RELOADING, Action.RELOAD),
    (Phase.RUNNING, Event.STOP): (Phase.STOPPING, Action.STOP),
    (Phase.RELOADING, Event.START): (Phase.RELOADING, Action.REFUSE),
    (Phase.RELOADING, Event.RELOAD): (Phase.RELOADING, Action.DEFER),
    (Phase.RELOADING, Event.STOP): (Phase.INTERRUPTING, Action.INTERRUPT),
    (Phase.RELOADING, Event.ENDED): (Phase.RUNNING, Action.NONE),
    (Phase.RELOADING, Event.FAILED): (Phase.RUNNING, Action.NONE),
    (Phase.INTERRUPTING, Event.START): (Phase.INTERRUPTING, Action.REFUSE),
    (Phase.INTERRUPTING, Event.RELOAD): (Phase.INTERRUPTING, Action.REFUSE),
    (Phase.INTERRUPTING, Event.STOP): (Phase.INTERRUPTING, Action.HURRY),
    (Phase.INTERRUPTING, Event.ENDED): (Phase.STOPPING, Action.STOP),
    (Phase.INTERRUPTING, Event.FAILED): (Phase.STOPPING, Action.STOP),
    (Phase.STOPPING, Event.START): (Phase.STOPPING, Action.REFUSE),
    (Phase.STOPPING, Event.RELOAD): (Phase.STOPPING, Action.REFUSE),
    (Phase.STOPPING, Event.STOP): (Phase.STOPPING, Action.HURRY),
    (Phase.STOPPING, Event.ENDED): (Phase.STOPPED, Action.NONE),
    (Phase.STOPPING, Event.FAILED): (Phase.STOPPED, Action.NONE),
    (Phase.STOPPED, Event.START): (Phase.STOPPED, Action.REFUSE),
    (Phase.STOPPED, Event.RELOAD): (Phase.STOPPED, Action.REFUSE),
    (Phase.STOPPED, Event.STOP): (Phase.STOPPED, Action.NONE),
}
"""Phase and event → the next phase and what to do. New and running daemons have nothing that could end."""


class StoppingError(StartupError):
    """The daemon stops, so that it cannot start or reload."""

    def __init__(self) -> None:
        super().__init__("the monitor is stopping")


class Parts(Protocol):
    """What a `Lifecycle` starts, reloads and stops."""

    async def start_parts(self) -> None:
        """Start. Called once at most. Raises `MonitorError`."""

    async def reload_parts(self) -> None:
        """Reload the configuration. Raises `MonitorError`."""

    async def stop_parts(self) -> None:
        """Stop what was started, also after a start or reload that was cancelled. Called once."""

    def hurry_stop(self) -> None:
        """Shorten the stop that runs."""


class Lifecycle:
    """Carries out the transitions: one start, reload or stop at a time.

    A reload that is requested during the start or another reload is deferred. All deferred requests are one reload,
    which reads every change made before it begins. To be used from one event loop.

    on_phase: called with each new phase.
    """

    def __init__(self, parts: Parts) -> None:
        self.phase = Phase.NEW
        self.on_phase: Callable[[Phase], None] = lambda _: None
        self._parts = parts
        self._work: asyncio.Task[None] | None = None  # the running start, reload or stop
        self._started: list[asyncio.Future[None]] = []  # the request for the start
        self._deferred: list[asyncio.Future[None]] = []  # the requests for a reload that has not begun
        self._reloading: list[asyncio.Future[None]] = []  # the requests for the one that runs
        self._stopped = asyncio.Event()
        self._stop_at = float("inf")  # the time at which the stop is cancelled

    @property
    def is_ready(self) -> bool:
        """True from the end of the start to the request to stop."""
        return self.phase in {Phase.RUNNING, Phase.RELOADING}

    @property
    def is_stopping(self) -> bool:
        """True from the request to stop on."""
        return self.phase in {Phase.INTERRUPTING, Phase.STOPPING, Phase.STOPPED}

    async def start(self) -> None:
        """Start. If this fails, what was started is stopped. Raises `StoppingError` or another `MonitorError`."""
        await self._request(Event.START, self._started)

    async def reload(self) -> None:
        """Reload after what runs now; a cancelled caller does not cancel the reload.

        Raises `StoppingError` if the daemon stops before the end, or another `MonitorError` if the reload fails.
        """
        await self._request(Event.RELOAD, self._deferred)

    def request_stop(self) -> None:
        """Stop. A second request shortens the stop."""
        self._handle(Event.STOP)

    async def stop(self) -> None:
        """Stop, unless this was requested already, and wait for the end. Raises nothing that fails in it."""
        if not self.is_stopping:
            self.request_stop()
        await self.wait_stopped()

    async def wait_stopped(self) -> None:
        """Wait until the daemon has stopped."""
        await self._stopped.wait()

    async def _request(self, event: Event, requests: list[asyncio.Future[None]]) -> None:
        request: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        request.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # marks it as retrieved
        requests.append(request)
        if self._handle(event) is Action.REFUSE:
            requests.remove(request)
            raise StoppingError if self.is_stopping else MisuseError("a daemon starts once")
        await asyncio.shield(request)

    def _handle(self, event: Event) -> Action:
        before, was_stopping = self.phase, self.is_stopping
        self.phase, action = TRANSITIONS[self.phase, event]
        if self.phase is not before:
            self.on_phase(self.phase)
        if self.is_stopping and not was_stopping:
            self._stop_at = asyncio.get_running_loop().time() + STOP_TIMEOUT
            _resolve(self._deferred, StoppingError())
        match action:
            case Action.START:
                self._run(self._parts.start_parts)
            case Action.RELOAD:
                self._reloading, self._deferred[:] = self._deferred[:], []
                self._run(self._parts.reload_parts)
            case Action.STOP:
                self._run(self._stop)
            case Action.INTERRUPT:
                self._interrupt(INTERRUPT_TIMEOUT)
            case Action.HURRY if self.phase is Phase.INTERRUPTING:
                self._interrupt(0.0)
            case Action.HURRY:
                self._parts.hurry_stop()
        return action

    def _run(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Run a start, reload or stop as a task."""
        self._work = asyncio.create_task(work(), name="lifecycle")
        self._work.add_done_callback(self._end)

    def _end(self, ended: asyncio.Task[None]) -> None:
        if self._work is not ended:
            return  # it was abandoned
        error = StoppingError() if ended.cancelled() else ended.exception()
        _resolve(self._started + self._reloading, error)
        self._handle(Event.ENDED if error is None else Event.FAILED)
        if self.phase is Phase.STOPPED:
            self._stopped.set()
        elif self.phase is Phase.RUNNING and self._deferred:
            self._handle(Event.RELOAD)

    def _interrupt(self, timeout: float) -> None:
        """Cancel the running start or reload after `timeout` seconds, and abandon one that does not end even then."""
        loop, work = asyncio.get_running_loop(), self._work

        def cancel() -> None:
            if work is not None and not work.done():
                work.cancel()
                loop.call_later(CANCEL_TIMEOUT, abandon)

        def abandon() -> None:
            if self._work is work and work is not None and not work.done():
                _log.error("start or reload abandoned: it did not end when it was cancelled")
                self._work = None
                _resolve(self._started + self._reloading, StoppingError())
                self._handle(Event.FAILED)

        loop.call_later(timeout, cancel)

    async def _stop(self) -> None:
        try:
            async with asyncio.timeout_at(self._stop_at):
                await self._parts.stop_parts()
        except TimeoutError:
            _log.error("the stop took too long: the process ends without the rest of it")
        except Exception:  # noqa: BLE001 - logged; the process ends in any case
            _log.exception("the stop failed by an internal error")


def _resolve(requests: Iterable[asyncio.Future[None]], error: BaseException | None) -> None:
    """Give each request that has none its result."""
    for request in requests:
        if request.done():
            continue
        if error is None:
            request.set_result(None)
        else:
            request.set_exception(error)
