"""A monitor without relays: the product's own series, filled with results that are drawn at random.

For what is too large to be run, and for what must be known exactly.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from monitor.metrics import Metrics
from monitor.results import (
    Cause,
    CertificateSeen,
    Disconnected,
    Exchange,
    Failure,
    MessagesJudged,
    MessagesSent,
    Pairing,
    PairTime,
    PhaseTimed,
    Run,
    uuid7,
)
from monitor.scenarios import SPECS, Scenario
from monitor.vocabulary import Condition, Outcome, Phase, Reason, Step, Verdict
from tests.metrics.sample import status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.config import Config
    from monitor.config.probe import ProbeConfig

UPTIME_INTERVAL: Final = 5.0
"""Seconds between two reports of connected time."""

CERTIFICATE_VALIDITY: Final = 90 * 86_400.0
DOWN: Final = Failure(step=Step.UPGRADE, reason=Reason.HTTP_STATUS, status="502")
WITHIN_EXCHANGES: Final = (Step.DELIVER, Step.ANSWER, Step.RECOVER, Step.HOLD)
"""Steps at which an exchange fails that is not cut off."""

USUAL: Final = 3
RARE_SHARE: Final = 0.1
"""Most failures are the first few of a scenario's table; this share is any of them."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a relay in a time: the share of its exchanges that fails; it is down if all of them do."""

    start: float
    end: float
    share: float = 1.0

    @property
    def is_outage(self) -> bool:
        """Whether the relay is down."""
        return self.share >= 1.0


@dataclass(slots=True)
class SimulatedClock:
    """A clock that is set."""

    now: float

    def monotonic(self) -> float:
        """Return the time that was set."""
        return self.now

    def time(self) -> float:
        """Return the time that was set, as seconds since the epoch."""
        return self.now


class SimulatedMonitor:
    """The metrics of a monitor with this configuration. `faults` are by relay; times are seconds since the epoch.

    `missed` is the share of its runs that it misses.
    """

    def __init__(
        self,
        config: Config,
        start: float,
        faults: Mapping[str, Fault] | None = None,
        *,
        seed: int = 0,
        missed: float = 0.0,
    ) -> None:
        self.config = config
        self.clock = SimulatedClock(start)
        self.metrics = Metrics(config, version="0.0.0", clock=self.clock)
        self._faults = faults or {}
        self._missed = missed
        self._rng = random.Random(f"{seed} {config.location}")
        self._conditions: dict[str, Condition] = {}
        self._probes = {probe.name: probe for probe in config.probes}
        self._due: list[tuple[float, str, str]] = []
        self.metrics.set_healthy(healthy=True)
        self.metrics.set_reload(ok=True, at=start)
        for relay in config.relays:
            self._set_up(relay.name)
            for probe in config.probes:
                if relay.name in probe.relays:
                    self._add(relay.name, probe)
            if relay.url.startswith("wss:"):
                expiry = start + CERTIFICATE_VALIDITY * self._rng.uniform(0.3, 1.0)
                self.metrics.publish(CertificateSeen(relay.name, config.probes[0].name, "", expiry))

    def _add(self, relay: str, probe: ProbeConfig) -> None:
        number = _size(probe) if probe.is_continuous else 1
        for _ in range(number):
            heapq.heappush(self._due, (self.clock.now + self._rng.random() * _period(probe), relay, probe.name))

    def advance(self, now: float) -> None:
        """Publish all results until a time."""
        while self._due and self._due[0][0] <= now:
            at, relay, name = heapq.heappop(self._due)
            self.clock.now = at
            self._set_up(relay)
            self._run(relay, self._probes[name])
            heapq.heappush(self._due, (at + _period(self._probes[name]), relay, name))
        self.clock.now = now
        self.metrics.flush()

    def _fault(self, relay: str) -> Fault | None:
        fault = self._faults.get(relay)
        return fault if fault is not None and fault.start <= self.clock.now < fault.end else None

    def _set_up(self, relay: str) -> None:
        """Set the relay's condition if it changes: down in an outage, degraded while some of its exchanges fail."""
        fault = self._fault(relay)
        condition = Condition.UP if fault is None else Condition.DOWN if fault.is_outage else Condition.DEGRADED
        if self._conditions.get(relay) is condition:
            return
        self._conditions[relay] = condition
        fields: dict[str, Any] = {"since": datetime.fromtimestamp(self.clock.now, UTC), "condition": condition}
        if condition is Condition.DEGRADED:
            fields["cause"] = Cause(step=Step.DELIVER, reason=Reason.LOST)
        self.metrics.set_relay_status(status(relay, up=condition is not Condition.DOWN, **fields))

    def _run(self, relay: str, probe: ProbeConfig) -> None:
        """Publish one run with all that belongs to it."""
        publish = self.metrics.publish
        if self._rng.random() < self._missed:
            self.metrics.count_run(relay, probe.name, "missed")
            return
        spec = SPECS[probe.scenario]
        fault = self._fault(relay)
        failed = fault is not None and self._rng.random() < fault.share
        run_id = uuid7(self.clock.now, self._rng)
        self.metrics.count_run(relay, probe.name, "started")
        exchange = self._exchange(probe, fault, failed=failed)
        latency = (exchange.round_trip or 0.0) + (exchange.recovery or 0.0)
        run = Run(
            id=run_id,
            relay=relay,
            probe=probe.name,
            scenario=probe.scenario,
            started_at=datetime.fromtimestamp(self.clock.now - latency, UTC),
            duration=latency,
            outcome=exchange.outcome,
            failure=exchange.failure,
            exchanges=(exchange,),
            pairing=None if probe.is_continuous or not spec.paired else Pairing(outcome=exchange.outcome, seconds=0.2),
        )
        publish(run)
        if spec.paired:
            lost = failed and exchange.failure is not None and exchange.failure.reason is Reason.LOST
            publish(MessagesSent(relay, probe.name, run_id, 2, (0.002, 0.003)))
            publish(MessagesJudged(relay, probe.name, run_id, Verdict.DELIVERED, 1))
            publish(MessagesJudged(relay, probe.name, run_id, Verdict.LOST if lost else Verdict.DELIVERED, 1))
        for phase in (Phase.RESOLVE, Phase.TCP, Phase.UPGRADE, Phase.HELLO) if not probe.is_continuous else ():
            publish(PhaseTimed(relay, probe.name, run_id, phase, self._rng.uniform(0.001, 0.02)))
        if probe.is_continuous:
            is_down = fault is not None and fault.is_outage
            publish(PairTime(relay, probe.name, run_id, not is_down, _period(probe)))
            if is_down and self.clock.now - fault.start < _period(probe):  # type: ignore[union-attr]  # it is one
                publish(Disconnected(relay, probe.name, run_id, None))

    def _failure(self, probe: ProbeConfig) -> Failure:
        table = SPECS[probe.scenario].failures
        possible = [
            (step, reason)
            for step in WITHIN_EXCHANGES
            for reason in table.get(step, ())
            if reason is not Reason.RATE_LIMITED  # which has an alert of its own
        ]
        step, reason = self._rng.choice(possible if self._rng.random() < RARE_SHARE else possible[:USUAL])
        return Failure(step=step, reason=reason)

    def _exchange(self, probe: ProbeConfig, fault: Fault | None, *, failed: bool) -> Exchange:
        if failed:
            is_down = fault is not None and fault.is_outage
            return Exchange(Outcome.FAILED, DOWN if is_down else self._failure(probe))
        if probe.scenario is Scenario.ASYNC_DELIVERY:
            return Exchange(Outcome.OK, recovery=self._rng.lognormvariate(-1.6, 0.3))
        if not SPECS[probe.scenario].paired:
            return Exchange(Outcome.OK)
        wire = self._rng.lognormvariate(-4.2, 0.3)
        return Exchange(Outcome.OK, round_trip=2 * wire + 0.004, wire_request=wire, wire_response=wire)


def _size(probe: ProbeConfig) -> int:
    return probe.pairs if SPECS[probe.scenario].paired else probe.connections


def _period(probe: ProbeConfig) -> float:
    """Return the seconds between two exchanges of a pair or connection, or between two runs."""
    if probe.period is not None:
        return probe.period
    return probe.cycle if SPECS[probe.scenario].paired else UPTIME_INTERVAL
