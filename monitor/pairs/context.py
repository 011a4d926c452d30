"""What a probe works with: the relay, the clock, chance, and where to publish.

A `ProbeContext` outlives a run; a `RunRecorder` is one run's notebook, which becomes the timeline of its `Run`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.clock import utc
from monitor.errors import LocalError
from monitor.pairs.admission import NORMAL, ConnectPriority, RelayAdmission
from monitor.results import (
    AddressFailed,
    CertificateSeen,
    Exchange,
    Failure,
    Mark,
    MessageFate,
    Pairing,
    PhaseTimed,
    Publish,
    Run,
    uuid7,
)
from monitor.vocabulary import Outcome, Phase, Step

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine

    from monitor.clock import Clock
    from monitor.config import ProbeConfig
    from monitor.errors import ProbeError
    from monitor.relay.endpoint import EndpointProvider
    from monitor.relay.rate_limit import Permit
    from monitor.session.crypto import KeyManager

MAX_MARKS = 500
"""Marks kept of one run: a relay that makes a pair reconnect for ever must not fill the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeContext:
    """One probe's workplace at one relay.

    `guest` knows the way in, on these `priority`; `crypto` encrypts, `publish` takes results. `background` keeps a task
    going past its run, until the program stops. `count` books a slot of the schedule: "started", "missed" or "skipped".
    """

    relay: str
    probe: ProbeConfig
    clock: Clock
    rng: random.Random
    admission: RelayAdmission
    crypto: KeyManager
    publish: Publish
    background: Callable[[Coroutine[None, None, None]], None]
    count: Callable[[str], None] = lambda _: None
    priority: ConnectPriority = NORMAL

    def admits(self, connects: int, messages: int) -> bool:
        """Whether the relay's limits leave room for a run that makes so many connects and publishes so much."""
        return self.admission.has_room(connects) and self.admission.messages.try_acquire(messages)

    def endpoint(self, side: str, endpoint_index: int, permit: Permit | None = None) -> EndpointProvider:
        """How `side` ("dapp" or "wallet") gets in; the two sides of one turn meet different endpoints.

        `permit` is what its first connect has already.
        """
        return self.admission.endpoint(side, endpoint_index, self.probe.timeout, self.priority, permit)

    def recorder(self, pair: int | None = None) -> RunRecorder:
        """A notebook for a new run, which begins now."""
        return RunRecorder(self, pair)


class RunRecorder:
    """One run's notebook. Also what clients report to while they work for this run (`relay.client.Reporter`)."""

    __slots__ = ("context", "exchanges", "fates", "marks", "pair", "pairing", "run_id", "started")

    def __init__(self, context: ProbeContext, pair: int | None) -> None:
        self.context = context
        self.pair = pair
        self.run_id = uuid7(context.clock.time(), context.rng)
        self.started = context.clock.monotonic()
        self.exchanges: list[Exchange] = []
        self.marks: list[Mark] = []
        self.fates: list[MessageFate] = []
        self.pairing: Pairing | None = None

    def mark(self, side: str, step: Step, started: float, ended: float, note: str = "") -> None:
        """Note one step, between two readings of the monotonic clock."""
        if len(self.marks) < MAX_MARKS:
            self.marks.append(Mark(side, step, started - self.started, ended - self.started, note))

    def fail(self, error: ProbeError, *, times: int = 1) -> None:
        """Book `times` exchanges as failed for one cause; as aborted, where the cause is on this side."""
        outcome = Outcome.ABORTED if isinstance(error, LocalError) else Outcome.FAILED
        self.exchanges += [Exchange(outcome=outcome, failure=failure_of(error))] * times

    def abort(self, *, times: int = 1) -> None:
        """Book `times` exchanges as given up by this program."""
        self.exchanges += [Exchange(outcome=Outcome.ABORTED)] * times

    def phase(self, phase: Phase, seconds: float) -> None:
        """Publish how long one phase took."""
        context = self.context
        context.publish(PhaseTimed(context.relay, context.probe.name, self.run_id, phase, seconds))

    def address_failed(self, family: str) -> None:
        """Publish that an address could not be reached."""
        context = self.context
        context.publish(AddressFailed(relay=context.relay, probe=context.probe.name, run_id=self.run_id, family=family))

    def certificate(self, not_after: float) -> None:
        """Publish when the relay's certificate expires."""
        context = self.context
        context.admission.handshake_at = context.clock.monotonic()
        context.publish(
            CertificateSeen(relay=context.relay, probe=context.probe.name, run_id=self.run_id, not_after=not_after)
        )

    def finish(self, *, aborted: str = "") -> Run:
        """The run, over now. `aborted` says why this program itself gave up, if it did."""
        context = self.context
        clock = context.clock
        parts: list[Exchange | Pairing] = [*self.exchanges] if self.pairing is None else [*self.exchanges, self.pairing]
        outcome, failure = _worst(parts)
        if aborted:
            outcome = Outcome.ABORTED
            self.mark("pair", Step.CLOSE, clock.monotonic(), clock.monotonic(), f"aborted: {aborted}")
        duration = clock.monotonic() - self.started
        return Run(
            id=self.run_id,
            relay=context.relay,
            probe=context.probe.name,
            scenario=context.probe.scenario,
            started_at=utc(clock, ago=duration),
            duration=duration,
            outcome=outcome,
            failure=failure,
            exchanges=tuple(self.exchanges),
            pairing=self.pairing,
            timeline=tuple(self.marks),
            messages=tuple(self.fates),
            pair=self.pair,
        )


def _worst(parts: list[Exchange | Pairing]) -> tuple[Outcome, Failure | None]:
    """The outcome of a run of such parts, and the first cause."""
    outcomes = [item.outcome for item in parts if item.outcome is not Outcome.OK]
    if not outcomes:
        return Outcome.OK, None
    failure = next((item.failure for item in parts if item.failure is not None), None)
    return (Outcome.FAILED if Outcome.FAILED in outcomes else Outcome.ABORTED), failure


def failure_of(error: ProbeError) -> Failure:
    """An obstacle as the value a run carries."""
    return Failure(step=error.step, reason=error.reason, detail=error.detail)
