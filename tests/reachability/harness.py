"""One relay verdict in virtual time: reports are fed by hand and the results of attempts are scripted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from monitor.clock import LoopClock, utc
from monitor.config import parse
from monitor.errors import LocalError, ProbeError
from monitor.reachability import attempts, persistent
from monitor.reachability.attempts import AttemptResult
from monitor.relays import MonitoredRelays
from monitor.results import Confirmed, Disconnected, EndpointFailed, Exchange, Failure, MessageFate, Run
from monitor.scenarios import Scenario
from monitor.supervision import Supervision
from monitor.vocabulary import Outcome, Reason, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest

    from monitor.pairs.context import ProbeContext
    from monitor.reachability.rhythm import Rhythm
    from monitor.reachability.verdict import RelayVerdict
    from monitor.relay.rate_limit import Permit
    from monitor.results import RelayStatus, Report

CONFIG = """
relays: [{name: demo, url: "ws://127.0.0.1:9/connection/websocket"}]
probes: [{name: steady, scenario: steady-messaging, timeout: 5s}]
"""
REFUSED = ProbeError(Step.TCP, Reason.REFUSED, "refused")
LIMITS = LocalError(Step.RESOLVE, Reason.OVERLOADED, "limits allow no more connects now")


class Message:
    arrived_at: float | None = None


@dataclass
class InFlightMessage:
    message: Message = field(default_factory=Message)
    receiver: Any = None


@dataclass(eq=False)
class FakePair:
    """A pair that is ready or not; its resent message arrives when the test says so."""

    ready: bool = True
    terminated: bool = False
    in_flight: InFlightMessage = field(default_factory=InFlightMessage)
    directions: list[str] = field(default_factory=list)
    dapp: Any = field(default_factory=lambda: SimpleNamespace(client=SimpleNamespace(endpoint="")))
    wallet: Any = field(default_factory=lambda: SimpleNamespace(client=SimpleNamespace(endpoint="n2")))
    recorder: Any = field(default_factory=lambda: type("Recorder", (), {"run_id": "pair"}))

    def resend(self, direction: str, timeout: float) -> InFlightMessage:
        assert timeout == 5
        self.directions.append(direction)
        return self.in_flight


class World:
    """One relay's verdict, fed by hand. `script` says how an attempt that starts now ends, and after how long."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, text: str = CONFIG) -> None:
        self.clock = LoopClock()
        self.reports: list[Confirmed] = []
        self.endpoint_failures: list[str] = []
        self.endpoints: list[int] = []
        self.ups: list[tuple[float, bool]] = []
        self.starts: list[float] = []
        self.recovery: list[bool] = []
        self.asked: list[ProbeError | None] = []
        self.local = False
        self.local_check_fails = False
        self.task_failures: list[str] = []
        self.started: float | None = None
        self.resolved: list[float] = []
        self.script: Callable[[float], tuple[float, AttemptResult]] = lambda _: (0.1, failed())
        config = parse(text, "test", {})
        self.monitored_relays = MonitoredRelays(
            config,
            self.clock,
            self._publish,
            is_local_fault=lambda _relay, error: self._check_local_fault(error),
            on_resolved=lambda _: self.resolved.append(self.now),
        )
        self.config = config
        self.stored = False
        self.journal: list[Run] = []
        self.statuses: list[RelayStatus] = []
        monkeypatch.setattr(attempts, "try_new_pair", self._try_new_pair)
        monkeypatch.setattr(persistent, "is_stored", self._is_stored)

    @property
    def now(self) -> float:
        return round(self.clock.monotonic() - self._begin(), 3)

    def _begin(self) -> float:
        """Seconds count from the first thing that happens: only then time is virtual."""
        if self.started is None:
            self.started = self.clock.monotonic()
        return self.started

    @property
    def up(self) -> RelayVerdict:
        return self.monitored_relays.relays["demo"].verdict

    @property
    def condition(self) -> str:
        return self.up.status.condition.value

    async def start(self, *, regular: bool = False, known: RelayStatus | None = None) -> None:
        """Start; without `regular` no attempt is made but in rounds and while the relay is down."""
        await self.monitored_relays.start(
            self._on_status,
            on_attempt=self.journal.append,
            known={} if known is None else {"demo": known},
            supervision=Supervision(on_failure=self.task_failures.append),
        )
        self.context = self.monitored_relays.context("demo", self.config.probes[0])
        self.rhythm.next_regular = self.clock.monotonic() if regular else float("inf")

    @property
    def rhythm(self) -> Rhythm:
        return self.up._confirmation.rhythm

    @property
    def status(self) -> RelayStatus:
        return self.up.status

    def _on_status(self, status: RelayStatus) -> None:
        self.statuses.append(status)
        if status.up is not None and (not self.ups or self.ups[-1][1] is not status.up):
            self.ups.append((self.now, status.up))

    def counts(self) -> list[tuple[str, bool]]:
        return [(report.via, report.ok) for report in self.reports]

    def fail(
        self,
        step: Step = Step.DELIVER,
        reason: Reason = Reason.LOST,
        pair: int | None = None,
        direction: str = "request",
    ) -> None:
        self._begin()
        fate = MessageFate(direction=direction, sequence=1, verdict=None)
        self.up.observe(run(self.clock, Outcome.FAILED, Failure(step=step, reason=reason), pair, (fate,)), self.context)

    def deliver(self) -> None:
        self._begin()
        exchange = Exchange(outcome=Outcome.OK, round_trip=0.01)
        self.up.observe(run(self.clock, Outcome.OK, None, 0, (), (exchange,)), self.context)

    def drop(self, pair: int | None = None, code: int = 3001) -> None:
        self._begin()
        self.up.observe(Disconnected(relay="demo", probe="steady", run_id="x", code=code, pair=pair), self.context)

    def add_pair(self, number: int = 0, *, ready: bool = True) -> FakePair:
        pair = FakePair(ready=ready)
        self.up.pairs.add("steady", number, pair)  # type: ignore[arg-type]
        return pair

    def _publish(self, report: Run | Report, _: ProbeContext) -> None:
        if isinstance(report, EndpointFailed):
            self.endpoint_failures.append(report.endpoint)
            return
        assert isinstance(report, Confirmed)
        self.reports.append(report)

    async def _is_stored(self, *_: Any) -> bool:
        return self.stored

    async def _check_local_fault(self, error: ProbeError | None) -> bool:
        self.asked.append(error)
        if self.local_check_fails:
            message = "a bug"
            raise ValueError(message)
        await asyncio.sleep(1)
        return self.local

    async def _try_new_pair(
        self,
        _: ProbeContext,
        bound: float,
        *,
        recovery: bool = False,
        endpoint_index: int,
        permits: Sequence[Permit],
    ) -> AttemptResult:
        assert bound == 5
        for permit in permits:
            await permit.use()
        self.starts.append(self.now)
        self.endpoints.append(endpoint_index)
        self.recovery.append(recovery)
        took, result = self.script(self.now)
        await asyncio.sleep(took)
        return result


def run(
    clock: LoopClock,
    outcome: Outcome,
    failure: Failure | None,
    pair: int | None,
    messages: tuple[MessageFate, ...] = (),
    exchanges: tuple[Exchange, ...] = (),
) -> Run:
    return Run(
        id="x",
        relay="demo",
        probe="steady",
        scenario=Scenario.STEADY_MESSAGING,
        started_at=utc(clock),
        duration=1.0,
        outcome=outcome,
        failure=failure,
        exchanges=exchanges,
        pair=pair,
        messages=messages,
    )


def failed(error: ProbeError = REFUSED) -> AttemptResult:
    return AttemptResult(run_id="fresh", delivered=False, error=error)


def unknown(error: ProbeError) -> AttemptResult:
    return AttemptResult(run_id="fresh", delivered=None, error=error)


def delivered() -> AttemptResult:
    return AttemptResult(run_id="fresh", delivered=True)
