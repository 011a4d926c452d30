"""The monitored relays: rate limits, verdict and probe contexts of each, for the daemon, `once` and the load test."""

from __future__ import annotations

import asyncio
import gc
import random
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from monitor.clock import Arrivals, Clock
from monitor.config.attempts import attempt_interval
from monitor.deadlines import Deadlines
from monitor.embedded import EmbeddedRelay, Namespace
from monitor.pairs.admission import RelayAdmission
from monitor.pairs.context import ProbeContext
from monitor.pairs.idle import check_certificate
from monitor.reachability.degradation import Criteria
from monitor.reachability.hooks import VerdictHooks
from monitor.reachability.local_fault import never_local
from monitor.reachability.settings_fault import PERSISTENCE, SettingsFault
from monitor.reachability.verdict import RelayVerdict
from monitor.schedule.spread import RESUMED_PER_SECOND, start_spacing
from monitor.session.crypto import Ecies, KeyManager, Plain
from monitor.supervision import Supervision
from monitor.vocabulary import Sli

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence

    from monitor.config import Changes, Config, ProbeConfig, ProbeKey, RelayConfig
    from monitor.errors import ProbeError, SettingsError
    from monitor.results import RelayStatus, Report, Run

    Sink = Callable[[Run | Report, ProbeContext], None]


def freeze_gc() -> None:
    """Exclude all present objects from garbage collection and make collections rarer; call it once all is started.

    With 100 pairs a full collection otherwise blocks the event loop for 33 to 39 ms, with it for less than 1 ms
    (`bench.measures`). A run leaves some hundred short-lived values and hardly a cycle.
    """
    gc.collect()
    with collections_suspended():
        gc.set_threshold(20_000, 20, 50)


@contextmanager
def collections_suspended() -> Iterator[None]:
    """Suspend garbage collection, and exclude what is created meanwhile from it, for what creates many objects.

    The series of 100 relays otherwise cause collections of up to 270 ms.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


RELAYS_IN_A_STEP: Final = 10
"""Relays whose attempts are reconfigured in one step of the event loop, which takes a millisecond or two."""

CERTIFICATE_AGE: Final = 23 * 3600.0
"""Seconds after which the expiry of a relay's certificate is checked again: at least daily."""

CERTIFICATE_CHECK_INTERVAL: Final = 900.0
"""Seconds between two checks of that age, and between two attempts to connect."""


class MonitoredRelay:
    """One relay at run time: its admission, its verdict, a fault of its settings and, if it is embedded, its server."""

    def __init__(
        self,
        config: RelayConfig,
        embedded: EmbeddedRelay | None,
        admission: RelayAdmission,
        up: RelayVerdict,
        settings_fault: SettingsFault,
    ) -> None:
        self.config = config
        self.embedded = embedded
        self.admission = admission
        self.verdict = up
        self.settings_fault = settings_fault
        self.reached_at = float("-inf")  # when the relay last replied to a hello, on the monotonic clock
        self._unobserved: dict[str, str] = {}  # what prevents a verdict → why

    @property
    def is_embedded(self) -> bool:
        """True if this process serves it."""
        return self.embedded is not None

    def set_unobserved(self, source: str, why: str) -> None:
        """Note what `source` finds to prevent a verdict; an empty text is nothing any more."""
        before = dict(self._unobserved)
        self._unobserved.pop(source, None)
        if why:
            self._unobserved[source] = why
        if self._unobserved and self._unobserved != before:
            self.verdict.mark_unobserved("; ".join(self._unobserved.values()))
        elif before and not self._unobserved:
            self.verdict.clear_unobserved()

    @property
    def is_local(self) -> bool:
        """True if it is on this host, so that reaching it proves nothing about the network."""
        host = urlsplit(self.config.url).hostname or ""
        return self.embedded is not None or host in {"localhost", "::1"} or host.startswith("127.")


@dataclass(slots=True)
class Generation:
    """Generation token of a probe at one relay: false once the probe is removed, so that late reports are dropped."""

    active: bool = True


class MonitoredRelays:
    """The monitored relays and their probe contexts, for the daemon, `once` and the load test.

    `is_local_fault` and `on_resolved` are passed to each relay's `RelayVerdict`; both are called with the relay's name.
    `share_retry_after` is passed to each `RelayAdmission`.
    """

    def __init__(
        self,
        config: Config,
        clock: Clock,
        publish: Sink,
        *,
        rng: random.Random | None = None,
        is_local_fault: Callable[[str, ProbeError | None], Awaitable[bool]] | None = None,
        on_resolved: Callable[[str], None] = lambda _: None,
        share_retry_after: bool = True,
    ) -> None:
        self.config = config
        self.relays: dict[str, MonitoredRelay] = {}
        self.background: set[asyncio.Task[None]] = set()
        self._clock = clock
        self._arrivals = Arrivals(clock)
        self._deadlines = Deadlines(clock)
        self._publish = publish
        self._is_local_fault = is_local_fault
        self._on_resolved = on_resolved
        self._supervision = Supervision()
        self._on_attempt: Callable[[Run], None] | None = None  # None: no attempts are made
        self._known: Mapping[str, RelayStatus] = {}  # the conditions of the process before this one
        self._share_retry_after = share_retry_after
        self._generations: dict[ProbeKey, Generation] = {}
        self._on_status: Callable[[RelayStatus], None] = lambda _: None
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, guards no secret
        self._crypto: dict[str, KeyManager] = {"real": Ecies(), "mock": Plain()}

    async def start(
        self,
        on_status: Callable[[RelayStatus], None],
        *,
        on_attempt: Callable[[Run], None] | None = None,
        known: Mapping[str, RelayStatus] | None = None,
        supervision: Supervision | None = None,
    ) -> None:
        """Start the embedded relays; `on_status` is called with each change of a relay's status.

        `on_attempt`: fresh attempts are made at every relay, and it is called with the run of each that confirms
        something. `known` are the conditions to begin with, by relay. `supervision` runs the tasks. Raises
        `StartupError`.
        """
        self._on_status, self._on_attempt, self._known = on_status, on_attempt, known or {}
        self._supervision = supervision or self._supervision
        for monitored in await self.open(self.config.relays):
            self.relays[monitored.config.name] = monitored
        self._known = {}  # a relay that a reload adds has no condition yet
        await self._start_attempts()

    async def open(self, relays: Sequence[RelayConfig]) -> list[MonitoredRelay]:
        """Return relays ready to be monitored, all or none; `apply` adds them. Raises `StartupError`."""
        opened: list[MonitoredRelay] = []
        try:
            for index, relay in enumerate(relays):
                embedded = None
                if relay.url == "embedded":
                    embedded = EmbeddedRelay(namespaces=_namespaces(relay), clock=self._clock)
                    await embedded.start()
                opened.append(self._monitored(relay, embedded, self._first_attempt(relay, index, len(relays))))
        except BaseException:
            await self.close(opened)
            raise
        return opened

    def _first_attempt(self, relay: RelayConfig, index: int, count: int) -> float:
        """Return the seconds until the first attempt at a relay, number `index` of `count` that are opened together.

        First attempts divide evenly the time in which the relays begin, or `confirm.every` if that is less.
        """
        within = min(relay.confirm.every, count * start_spacing(count))
        return within * (index + self._rng.random()) / count

    def _monitored(self, relay: RelayConfig, embedded: EmbeddedRelay | None, first_attempt: float) -> MonitoredRelay:
        """Return a relay whose first attempt is made after `first_attempt` seconds."""
        url = embedded.url if embedded is not None else relay.url
        hooks = VerdictHooks(
            on_change=self._on_status,
            on_resolved=partial(self._on_resolved, relay.name),
            on_attempt=self._on_attempt or (lambda _: None),
            is_local_fault=partial(self._is_local_fault, relay.name) if self._is_local_fault else never_local,
            is_slow=self._is_slow,
        )
        verdict = RelayVerdict(
            relay,
            hooks,
            clock=self._clock,
            criteria=Criteria.of(self.config),
            supervision=self._supervision,
            first_attempt=first_attempt,
            first_endpoint=self._rng.randrange(1 << 16),
        )
        if (known := self._known.get(relay.name)) is not None:
            verdict.restore(known)
        fault = SettingsFault(relay.name, self._clock, partial(self._settings_fault_changed, relay.name))
        admission = RelayAdmission(
            relay,
            url,
            self._clock,
            self._arrivals,
            self._deadlines,
            self._rng,
            share_retry_after=self._share_retry_after,
            report=partial(self._connect_ended, relay.name, fault),
        )
        return MonitoredRelay(relay, embedded, admission, verdict, fault)

    def _connect_ended(self, relay: str, fault: SettingsFault, side: str, error: ProbeError | None) -> None:
        monitored = self.relays.get(relay)
        if monitored is None or monitored.settings_fault is not fault:
            return  # the relay was removed, or opened again
        if error is None:
            monitored.reached_at = self._clock.monotonic()
        was_in_doubt = fault.in_doubt
        fault.observe(side, error)
        if fault.in_doubt and not was_in_doubt:
            asyncio.get_running_loop().call_later(PERSISTENCE, self._ask_again, monitored)

    def _ask_again(self, monitored: MonitoredRelay) -> None:
        """Make an attempt early, so that it is known soon whether a fault of the relay's settings lasts."""
        if monitored.settings_fault.in_doubt and self.relays.get(monitored.config.name) is monitored:
            monitored.verdict.request_attempt()

    def _settings_fault_changed(self, relay: str, error: SettingsError | None) -> None:
        if (monitored := self.relays.get(relay)) is not None:
            monitored.set_unobserved("settings", "" if error is None else error.detail)

    async def apply(self, config: Config, difference: Changes, opened: Iterable[MonitoredRelay]) -> None:
        """Switch to another configuration; the relays that it drops are closed before."""
        for relay in difference.adjusted:
            self.relays[relay.name].config = relay
        for key in difference.forgotten:
            if (generation := self._generations.pop(key, None)) is not None:
                generation.active = False
        known = self.relays | {monitored.config.name: monitored for monitored in opened}
        self.config = config
        self.relays = {relay.name: known[relay.name] for relay in config.relays}
        await self._start_attempts()

    def set_healthy(self, *, healthy: bool) -> None:
        """Suspend all verdicts while the monitor is unhealthy; then resume them one after another.

        The results of attempts that run meanwhile would be unreliable. If the attempts at all relays began together,
        their load could make the monitor unhealthy again.
        """
        for number, monitored in enumerate(self.relays.values()):
            if healthy:
                monitored.verdict.resume(after=number / RESUMED_PER_SECOND)
            else:
                monitored.verdict.suspend()

    async def _start_attempts(self) -> None:
        """Make attempts at each relay, with the settings of the first probe that watches it."""
        for number, (name, monitored) in enumerate(list(self.relays.items())):
            if number % RELAYS_IN_A_STEP == 0:
                await asyncio.sleep(0)
            probes = [probe for probe in self.config.probes if name in probe.relays]
            every = attempt_interval(monitored.config, probes) if self._on_attempt is not None else inf
            monitored.admission.reconfigure(monitored.config, every)
            monitored.verdict.reconfigure(monitored.config, every, Criteria.of(self.config))
            if self._on_attempt is not None:
                monitored.verdict.start(self.context(name, probes[0]) if probes else None)

    def _is_slow(self, probe: str, seconds: float) -> bool:
        """Return whether a round trip is over the threshold of a latency SLO of its probe."""
        return any(
            slo.threshold is not None and seconds > slo.threshold
            for slo in self.config.slos
            if slo.sli is Sli.LATENCY and probe in slo.probe
        )

    async def close(self, relays: Iterable[MonitoredRelay]) -> None:
        """Stop the verdicts of relays, and their embedded servers."""
        relays = list(relays)
        await asyncio.gather(*(monitored.verdict.stop() for monitored in relays))
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.gather(
                    *(monitored.embedded.stop() for monitored in relays if monitored.embedded is not None)
                )

    def context(self, relay: str, probe: ProbeConfig, count: Callable[[str], None] = lambda _: None) -> ProbeContext:
        """Return the context of one probe at one relay. `count` is called with the result of each slot."""
        generation, sink = self._generations.setdefault((relay, probe.name), Generation()), self._publish

        def publish(report: Run | Report) -> None:
            # Messages may be judged after their probe was removed; a later probe of that name must not count them.
            if generation.active:
                sink(report, probe_context)

        probe_context = ProbeContext(
            relay=relay,
            probe=probe,
            clock=self._clock,
            rng=self._rng,
            admission=self.relays[relay].admission,
            crypto=self._crypto[probe.crypto],
            publish=publish,
            background=self.spawn,
            count=count,
            on_bug=partial(self._record_bug, relay, probe.name),
            active=lambda: generation.active,
        )
        return probe_context

    def _record_bug(self, relay: str, probe: str, error: Exception) -> None:
        self._supervision.record("run", error, relay=relay, probe=probe)

    async def check_certificates(self) -> None:
        """Connect to each `wss` relay whose certificate was not seen for a day, until cancelled.

        Probes that only hold connections, or run once a week, would not notice a new certificate.
        """
        while True:
            await asyncio.sleep(CERTIFICATE_CHECK_INTERVAL)
            oldest = self._clock.monotonic() - CERTIFICATE_AGE
            for name, monitored in self.relays.items():
                probe = next((probe for probe in self.config.probes if name in probe.relays), None)
                if (
                    monitored.config.url.startswith("wss:")
                    and monitored.admission.handshake_at < oldest
                    and probe is not None
                ):
                    self.spawn(check_certificate(self.context(name, probe)))

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run a task in the background until it is done or `stop` is called."""
        task = self._supervision.spawn("background", work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    async def stop(self) -> None:
        """Cancel background tasks and stop verdicts and embedded relays."""
        await asyncio.gather(*(monitored.verdict.stop() for monitored in self.relays.values()))
        for task in list(self.background):
            task.cancel()
        if self.background:
            await asyncio.wait(self.background, timeout=1)
        await self.close(self.relays.values())


def _namespaces(relay: RelayConfig) -> tuple[Namespace, ...]:
    """Return the production namespaces, with this relay's history for sessions."""
    return (
        Namespace(name="handshake", size=5, ttl=300.0),
        Namespace(name="session", size=relay.history.size, ttl=relay.history.ttl),
    )
