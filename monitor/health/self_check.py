"""Self-checks of the monitor: what all relays share.

A failed check keeps the monitor unhealthy for `UNHEALTHY_PERIOD` seconds, since pairs that it disconnected need time to
return. Event loop, clocks and resources are checked periodically. Loopback, references and the other relays are checked
when a relay seems to be down, and then until they pass. A fault of one relay's settings is that relay's alone, unless
all relays have it in common.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from monitor.errors import SettingsError
from monitor.health import resources
from monitor.health.egress import Egress
from monitor.health.history import UnhealthySpans
from monitor.health.loopback import loopback_failed
from monitor.health.name_servers import silent_name_servers
from monitor.health.references import References
from monitor.relay import routes
from monitor.schedule import ClockWatch, LoopLag
from monitor.supervision import Supervision
from monitor.vocabulary import Check, Reason, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from monitor.clock import Clock
    from monitor.errors import ProbeError
    from monitor.relays import MonitoredRelay

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

RECHECKED_RELAYS: Final = 3
"""Relays that are asked at each such check whether a fault that they share is over."""

RESULT_LIFETIME: Final = 2.0
"""Seconds for which passed active checks are not repeated: many relays may seem to be down at once."""

REFERENCE_INTERVAL: Final = 300.0
"""Seconds between checks of the references while nothing fails: silence of one that does not answer proves nothing."""

REFERENCE_PATIENCE: Final = 30.0
"""Seconds within which a relay must be reached to show that unanswering references prove nothing."""

MAX_SETTINGS_DOUBT: Final = 8.0
"""Seconds within which it is known whether a fault of a relay's settings lasts."""

SETTINGS_POLL_INTERVAL: Final = 0.1
"""Seconds between two looks at it; nothing is timed by it."""

NAME_DOUBT: Final = 15.0
"""Seconds for which the name servers are asked after a name could not be resolved in time, or none answered."""

CERTIFICATE_DOUBT: Final = 3600.0
"""Seconds after a step of the wall clock for which an expired certificate is the clock's fault."""

CERTIFICATE_STEP: Final = 60.0
"""Seconds by which the wall clock must have stepped for that."""

_ACTIVE_CHECKS: Final = frozenset({Check.LOOPBACK, Check.NETWORK, Check.ALL_RELAYS})


def _no_relays() -> tuple[MonitoredRelay, ...]:
    return ()


class SelfCheck:
    """The result of all checks: `healthy`, and the `reasons` if it is False.

    `on_lag` is called with each reading of the event loop lag in seconds, `on_change` with each change of `healthy`,
    and `on_failed` with each change of `failed`, the names of the checks that fail. `relays` returns the monitored
    relays. Until `start` nothing is checked periodically.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        on_lag: Callable[[float], None],
        on_change: Callable[[bool], None],
        on_failed: Callable[[frozenset[str]], None] = lambda _: None,
        references: Sequence[str] = (),
        relays: Callable[[], Iterable[MonitoredRelay]] = _no_relays,
        supervision: Supervision | None = None,
    ) -> None:
        self.healthy = True
        self._clock = clock
        self._unhealthy = UnhealthySpans()
        self._on_lag = on_lag
        self._on_change = on_change
        self._on_failed = on_failed
        self._references = References(references, clock)
        self._relays = relays
        self._egress = Egress(clock, relays)
        self._supervision = supervision or Supervision()
        self._findings: dict[str, tuple[str, float]] = {}  # check → reason, and the time until which it counts
        self._failed: frozenset[str] = frozenset()
        self._last_loop_reading = clock.monotonic()
        self._watchers: list[asyncio.Task[None]] = []
        self._active_check: asyncio.Task[None] | None = None
        self._passed_at = float("-inf")
        self._unresolved_at = float("-inf")  # a relay's name could not be resolved in time
        self._stepped_by, self._stepped_at = 0.0, float("-inf")  # steps of the wall clock that were not undone
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
        self._references = References(addresses, self._clock)
        if self._watchers:
            self._watchers.pop().cancel()
            self._watchers.append(self._supervision.watch("references", self._watch_references))

    @property
    def reference_up(self) -> bool | None:
        """True if a reference answered the latest check, None without a check."""
        return self._references.up

    def start(self) -> None:
        """Start the periodic checks."""
        self._last_loop_reading = self._clock.monotonic()
        lag = LoopLag(self._clock, self._on_lag_reading, interval=LAG_CHECK_INTERVAL)
        steps = ClockWatch(self._clock, self._on_clock_step, interval=CLOCK_CHECK_INTERVAL, sudden=True)
        watch = self._supervision.watch
        self._watchers = [
            watch("event loop lag", lag.run),
            watch("clock steps", steps.run),
            watch("self-checks", self._run_periodic_checks),
            watch("references", self._watch_references),  # the last one: a reload replaces it
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
            self.mark_unhealthy(Check.EVENT_LOOP, f"event loop blocked for {lag:.1f} s", lag)

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

    async def is_local_fault(self, relay: str, error: ProbeError | None) -> bool:
        """Return True if `relay` must not be called down: the monitor is unhealthy, or the relay's settings are wrong.

        `error` is the error at the relay, if known. Runs the active checks if no check has failed yet, which takes a
        few seconds. Never raises.
        """
        self.check_loop_lag()
        self._check_resources()
        self._check_shared_faults()
        if error is not None and error.reason is Reason.TLS_EXPIRED:
            self._check_certificate_clock(relay)
        if error is not None and (error.step, error.reason) == (Step.RESOLVE, Reason.TIMEOUT):
            self._unresolved_at = self._clock.monotonic()
            self._passed_at = float("-inf")
        if isinstance(error, SettingsError):
            await self._wait_for_settings_fault(relay)
        elif self.healthy:
            await self._check_actively()
        return not self.healthy or isinstance(error, SettingsError)

    async def _wait_for_settings_fault(self, name: str) -> None:
        """Wait until it is known whether a fault of a relay's settings lasts: what it broke is recorded after that."""
        relay = next((relay for relay in self._relays() if relay.config.name == name), None)
        deadline = self._clock.monotonic() + MAX_SETTINGS_DOUBT
        while relay is not None and relay.settings_fault.in_doubt and self._clock.monotonic() < deadline:  # noqa: ASYNC110 - no event
            await asyncio.sleep(SETTINGS_POLL_INTERVAL)
        self._check_shared_faults()

    async def _check_actively(self) -> None:
        """Run the active checks, or wait for running ones, unless they passed recently."""
        if self._active_check is None or self._active_check.done():
            if self._stopped or self._clock.monotonic() - self._passed_at < RESULT_LIFETIME:
                return
            self._active_check = asyncio.ensure_future(self._run_active_checks())
        await asyncio.wait({self._active_check})

    async def _run_active_checks(self) -> None:
        started = self._clock.monotonic()
        loopback, network, egress, names = await asyncio.gather(
            loopback_failed(self._clock),
            self._references.unreachable(self._egress.ways()),
            self._egress.suspicion(),
            self._silent_name_servers(),
        )
        if network is not None and self._reached_since(started):
            self._references.disregard()
            network = None
        if self._references.up:
            egress = None  # the references show that our network works
        elif network is not None:
            egress = self._egress.unreachable  # they show that it does not, so that nothing depends on how it began
        found = {Check.LOOPBACK: loopback, Check.NETWORK: network or names, Check.ALL_RELAYS: egress}
        for check, why in found.items():
            if why is not None:
                self.mark_unhealthy(check, why)
        if not any(found.values()):
            self._passed_at = self._clock.monotonic()

    async def _silent_name_servers(self) -> str | None:
        """Return why no name server answers, if a relay's name could not be resolved lately."""
        if self._clock.monotonic() - self._unresolved_at > NAME_DOUBT:
            return None
        why = await silent_name_servers()
        if why is not None:
            self._unresolved_at = self._clock.monotonic()
        return why

    def _reached_since(self, since: float) -> bool:
        """Return True if a relay on another machine replied or delivered a message after `since`."""
        return any(
            max(relay.reached_at, relay.verdict.delivered_at) > since for relay in self._relays() if not relay.is_local
        )

    async def _watch_references(self) -> None:
        """Ask the references at the start and then at long intervals, so that it is known what their silence proves."""
        references = self._references
        if not references.addresses:
            await asyncio.Event().wait()
        for why in await references.unproven(self._egress.ways()):
            _log.warning("a reference proves nothing until it answers", reference=why)
        while True:
            await asyncio.sleep(REFERENCE_INTERVAL)
            asked = self._clock.monotonic()
            if self.healthy and await references.unreachable(self._egress.ways()) is not None:
                await asyncio.sleep(REFERENCE_PATIENCE)
                if self._reached_since(asked) and await references.unreachable(self._egress.ways()) is not None:
                    references.disregard()

    def _check_shared_faults(self) -> None:
        """Mark the monitor unhealthy while all relays cannot be observed for one cause that they share."""
        errors = [relay.settings_fault.error for relay in self._relays()]
        shared = {error.shared if error is not None else "" for error in errors}
        if len(shared) != 1 or (cause := shared.pop()) == "" or errors[0] is None:
            return
        detail = errors[0].detail
        if cause == routes.NETWORK:
            self.mark_unhealthy(Check.NETWORK, f"no network: {detail}")
        else:
            self.mark_unhealthy(Check.PROXY, f"all relays are reached through it: {detail}")

    async def _recheck_shared_faults(self) -> None:
        """Ask the relays that cannot be observed for such a cause: an unhealthy monitor makes no attempts."""
        relays = [relay for relay in self._relays() if (error := relay.settings_fault.error) and error.shared]
        for relay in relays[:RECHECKED_RELAYS]:
            if await self._egress.is_observable(relay):
                relay.settings_fault.clear()

    def _check_certificate_clock(self, relay: str) -> None:
        """Doubt the wall clock, and not a certificate that has expired since the clock was stepped."""
        now = self._clock.monotonic()
        if abs(self._stepped_by) >= CERTIFICATE_STEP and now - self._stepped_at < CERTIFICATE_DOUBT:
            why = f"wall clock stepped by {self._stepped_by:+.0f} s, and the certificate of {relay} is invalid since"
            self.mark_unhealthy(Check.CLOCK, why)
            self._findings[Check.CLOCK] = (why, self._stepped_at + CERTIFICATE_DOUBT)

    def _on_lag_reading(self, seconds: float) -> None:
        self._last_loop_reading = self._clock.monotonic()
        self._on_lag(seconds)
        if seconds > LAG_LIMIT:
            self.mark_unhealthy(Check.EVENT_LOOP, f"event loop blocked for {seconds:.1f} s", seconds)

    def _on_clock_step(self, seconds: float) -> None:
        self._stepped_by += seconds
        self._stepped_at = self._clock.monotonic()
        if abs(self._stepped_by) < CERTIFICATE_STEP:
            self._findings.pop(Check.CLOCK, None)  # the clock is right again, so that its certificates count
        self.mark_unhealthy(Check.CLOCK, f"wall clock stepped by {seconds:+.1f} s", CLOCK_CHECK_INTERVAL)

    def _check_resources(self) -> None:
        for why in resources.exhausted():
            self.mark_unhealthy(Check.MEMORY if why.startswith(Check.MEMORY) else Check.DESCRIPTORS, why)

    async def _run_periodic_checks(self) -> None:
        checked_at = float("-inf")
        while True:
            await asyncio.sleep(RESOURCE_CHECK_INTERVAL)
            self._check_resources()
            self._check_shared_faults()
            now = self._clock.monotonic()
            if now - checked_at >= RECHECK_INTERVAL and not self.healthy:
                checked_at = now
                if self._findings.keys() & _ACTIVE_CHECKS:
                    await self._check_actively()
                if self._findings.keys() & {Check.NETWORK, Check.PROXY}:
                    await self._recheck_shared_faults()
            self._update()

    def _update(self) -> None:
        now = self._clock.monotonic()
        self._findings = {check: finding for check, finding in self._findings.items() if finding[1] > now}
        failed = frozenset(self._findings)
        if failed != self._failed:
            self._failed = failed
            self._on_failed(failed)
        healthy = not failed
        if healthy is not self.healthy:
            self.healthy = healthy
            if healthy:
                self._unhealthy.end(now)
                _log.info("monitor healthy")
            self._on_change(healthy)
