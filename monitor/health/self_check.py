"""Self-checks of the monitor.

A failed check keeps the monitor unhealthy for `UNHEALTHY_PERIOD` seconds, since pairs that it disconnected need time to
return. Event loop, clocks and resources are checked periodically. Loopback and references are checked when a relay
seems to be down, and then until they pass.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from monitor.errors import LocalError, ProbeError
from monitor.health import resources
from monitor.health.history import UnhealthySpans
from monitor.health.loopback import loopback_failed
from monitor.health.references import References
from monitor.schedule import ClockWatch, LoopLag
from monitor.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitor.clock import Clock

_log = structlog.get_logger(__name__)

LAG_LIMIT: Final = 1.0
"""Event loop lag in seconds above which the monitor is unhealthy."""

LAG_CHECK_INTERVAL: Final = 0.25
"""Seconds between readings of the event loop lag."""

UNHEALTHY_PERIOD: Final = 15.0
"""Seconds for which the monitor stays unhealthy after a failed check."""

CLOCK_CHECK_INTERVAL: Final = 1.0
"""Seconds between comparisons of the wall clock with the monotonic clock."""

RESOURCE_CHECK_INTERVAL: Final = 1.0
"""Seconds between checks of descriptors and memory."""

RECHECK_INTERVAL: Final = 5.0
"""Seconds between active checks while one has failed."""

RESULT_LIFETIME: Final = 2.0
"""Seconds for which passed active checks are not repeated: many relays may seem to be down at once."""

LOOP, CLOCK, DESCRIPTORS, MEMORY, LOOPBACK, NETWORK = (
    "event loop", "clock", "descriptors", "memory", "loopback", "network",
)  # fmt: skip
_ACTIVE_CHECKS: Final = frozenset({LOOPBACK, NETWORK})


class SelfCheck:
    """The result of all checks: `healthy`, and the `reasons` if it is False.

    `on_lag` is called with each reading of the event loop lag in seconds, `on_change` with each change of `healthy`.
    `delivers_elsewhere` returns True if another relay delivered a message within the given number of seconds.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        on_lag: Callable[[float], None],
        on_change: Callable[[bool], None],
        references: Sequence[str] = (),
        delivers_elsewhere: Callable[[float], bool] = lambda _: False,
    ) -> None:
        self.healthy = True
        self._clock = clock
        self._unhealthy = UnhealthySpans()
        self._on_lag = on_lag
        self._on_change = on_change
        self._references = References(references)
        self._delivers_elsewhere = delivers_elsewhere
        self._findings: dict[str, tuple[str, float]] = {}  # check → reason, and the time until which it counts
        self._last_loop_reading = clock.monotonic()
        self._watchers: list[asyncio.Task[None]] = []
        self._active_check: asyncio.Task[None] | None = None
        self._passed_at = float("-inf")
        self._stopped = False

    @property
    def reasons(self) -> list[str]:
        """Reasons for being unhealthy; empty while healthy."""
        return [why for why, _ in self._findings.values()]

    @property
    def references(self) -> tuple[str, ...]:
        """Addresses of the references."""
        return self._references.addresses

    @references.setter
    def references(self, addresses: Sequence[str]) -> None:
        self._references = References(addresses)

    def start(self) -> None:
        """Start the periodic checks."""
        self._last_loop_reading = self._clock.monotonic()
        self._watchers = [
            asyncio.ensure_future(LoopLag(self._clock, self._on_lag_reading, interval=LAG_CHECK_INTERVAL).run()),
            asyncio.ensure_future(ClockWatch(self._clock, self._on_clock_step, interval=CLOCK_CHECK_INTERVAL).run()),
            asyncio.ensure_future(self._run_periodic_checks()),
        ]

    async def stop(self) -> None:
        """Stop all checks and wait for their tasks."""
        self._stopped = True
        running = {task for task in (*self._watchers, self._active_check) if task is not None}
        self._watchers.clear()  # without a watcher a missing reading means nothing
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=2)

    def check_loop_lag(self) -> None:
        """Check the event loop lag now, instead of at its next reading: deadlines that passed may be handled before."""
        lag = self._clock.monotonic() - self._last_loop_reading
        if self.healthy and self._watchers and lag > LAG_LIMIT + LAG_CHECK_INTERVAL:
            self.mark_unhealthy(LOOP, f"event loop blocked for {lag:.1f} s", lag)

    def was_healthy(self, since: float, until: float) -> bool:
        """Return whether the monitor was healthy all the time from `since` until `until` (monotonic)."""
        return not self._unhealthy.overlaps(since, until)

    def mark_unhealthy(self, check: str, why: str, ago: float = 0.0) -> None:
        """Mark `check` as failed, for `UNHEALTHY_PERIOD` seconds; the fault began `ago` seconds before now."""
        self._unhealthy.begin(self._clock.monotonic() - ago)
        if check not in self._findings:
            _log.warning("monitor unhealthy", why=why)
        self._findings[check] = (why, self._clock.monotonic() + UNHEALTHY_PERIOD)
        self._update()

    def hold(self, check: str, why: str) -> None:
        """Mark `check` as failed until `release`."""
        self.mark_unhealthy(check, why)
        self._findings[check] = (why, float("inf"))

    def release(self, check: str) -> None:
        """Mark a check as passed that `hold` marked as failed."""
        self._findings.pop(check, None)
        self._update()

    async def is_local_fault(self, error: ProbeError | None) -> bool:
        """Return True if the monitor is unhealthy, so that a relay must not be called down. Never raises.

        `error` is the error at the relay, if known. Runs the active checks if no check has failed yet, which takes a
        few seconds.
        """
        self.check_loop_lag()
        self._check_resources()
        no_local_route = isinstance(error, LocalError) and error.reason is Reason.UNREACHABLE
        # Without references: if another relay delivers, only the route to this one is missing.
        if (
            error is not None
            and no_local_route
            and not self.references
            and not self._delivers_elsewhere(UNHEALTHY_PERIOD)
        ):
            self.mark_unhealthy(NETWORK, f"no network: {error.detail}")
        if self.healthy:
            await self._check_actively()
        return not self.healthy

    async def _check_actively(self) -> None:
        """Run the active checks, or wait for running ones, unless they passed recently."""
        if self._active_check is None or self._active_check.done():
            if self._stopped or self._clock.monotonic() - self._passed_at < RESULT_LIFETIME:
                return
            self._active_check = asyncio.ensure_future(self._run_active_checks())
        await asyncio.wait({self._active_check})

    async def _run_active_checks(self) -> None:
        loopback, network = await asyncio.gather(loopback_failed(self._clock), self._references.unreachable())
        if loopback is not None:
            self.mark_unhealthy(LOOPBACK, loopback)
        if network is not None:
            self.mark_unhealthy(NETWORK, network)
        if loopback is None and network is None:
            self._passed_at = self._clock.monotonic()

    def _on_lag_reading(self, seconds: float) -> None:
        self._last_loop_reading = self._clock.monotonic()
        self._on_lag(seconds)
        if seconds > LAG_LIMIT:
            self.mark_unhealthy(LOOP, f"event loop blocked for {seconds:.1f} s", seconds)

    def _on_clock_step(self, seconds: float) -> None:
        self.mark_unhealthy(CLOCK, f"wall clock stepped by {seconds:+.1f} s", CLOCK_CHECK_INTERVAL)

    def _check_resources(self) -> None:
        for why in resources.exhausted():
            self.mark_unhealthy(MEMORY if why.startswith(MEMORY) else DESCRIPTORS, why)

    async def _run_periodic_checks(self) -> None:
        checked_at = float("-inf")
        while True:
            await asyncio.sleep(RESOURCE_CHECK_INTERVAL)
            self._check_resources()
            now = self._clock.monotonic()
            if self._findings.keys() & _ACTIVE_CHECKS and now - checked_at >= RECHECK_INTERVAL:
                checked_at = now
                await self._check_actively()
            self._update()

    def _update(self) -> None:
        now = self._clock.monotonic()
        self._findings = {check: finding for check, finding in self._findings.items() if finding[1] > now}
        healthy = not self._findings
        if healthy is not self.healthy:
            self.healthy = healthy
            if healthy:
                self._unhealthy.end(now)
                _log.info("monitor healthy")
            self._on_change(healthy)
