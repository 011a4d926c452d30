"""The context of a probe and the recorder of one run.

A `ProbeContext` outlives its runs; a `RunRecorder` collects what becomes one `Run`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import structlog

from monitor.clock import utc
from monitor.errors import MAX_DETAIL, LocalError
from monitor.pairs.admission import ConnectPriority
from monitor.pairs.timeline import mark_failed, refine_reason
from monitor.results import (
    AddressFailed,
    CertificateSeen,
    Exchange,
    Failure,
    LogLine,
    Mark,
    MessageFate,
    Pairing,
    PhaseTimed,
    Publish,
    Run,
    Skipped,
    UnjudgedMessage,
    Untried,
    uuid7,
)
from monitor.scenarios import SPECS
from monitor.vocabulary import Outcome, Phase, Reason, Step

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine

    from monitor.clock import Clock
    from monitor.config import ProbeConfig
    from monitor.errors import ProbeError
    from monitor.pairs.admission import RelayAdmission
    from monitor.relay.endpoint import EndpointProvider
    from monitor.relay.rate_limit import Permit
    from monitor.session.crypto import KeyManager
    from monitor.vocabulary import Verdict

_log = structlog.get_logger(__name__)

MAX_MARKS: Final = 500
"""Marks kept of one run, so that a relay which drops a pair again and again does not fill the memory."""

MAX_LOG_LINES: Final = 50
"""Log lines kept of one run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeContext:
    """What one probe works with at one relay.

    admission: the relay's limits and endpoints; connects have `priority`.
    crypto: encrypts payloads.
    publish: receives runs and reports.
    background: keeps a task running beyond its run, until the program stops.
    count: counts a slot of the schedule: "started", "missed" or "skipped".
    active: returns false once the probe is removed or replaced by another one of its name.
    on_bug: is called with an exception of this program that aborted a run or a slot.
    on_run: is called with the recorder of each run at its beginning.
    endpoint_index: position in the rotation of the relay's endpoints for all its pairs; None: the next one for each.
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
    active: Callable[[], bool] = lambda: True
    on_bug: Callable[[Exception], None] = lambda _: None
    on_run: Callable[[RunRecorder], None] = lambda _: None
    priority: ConnectPriority = ConnectPriority.PLANNED
    endpoint_index: int | None = None

    def admits(self, connects: int, messages: int) -> bool:
        """Acquire the permits for `messages` if `connects` are allowed too; return False if the limits forbid it."""
        return self.admission.has_room(connects) and self.admission.messages.try_acquire(messages)

    def next_endpoint(self) -> int:
        """Return the position in the rotation of the relay's endpoints that the next pair takes."""
        return self.admission.endpoint_index() if self.endpoint_index is None else self.endpoint_index

    def endpoint(self, side: str, endpoint_index: int, permit: Permit | None = None) -> EndpointProvider:
        """Return how `side` ("dapp" or "wallet") connects; the two sides use different endpoints if there are several.

        `permit` is a permit of the rate limit for its first connect.
        """
        return self.admission.endpoint(side, endpoint_index, self.probe.timeout, self.priority, permit)

    def recorder(self, pair: int | None = None) -> RunRecorder:
        """Return the recorder of a new run, which begins now."""
        recorder = RunRecorder(self, pair)
        self.on_run(recorder)
        return recorder

    def publish_untried(self, due: float) -> None:
        """Publish the run of a bounded probe that was due at `due` and that the limits did not allow."""
        self.publish(self._untried_run(due))

    def publish_skipped(self, due: float, pair: int | None = None) -> None:
        """Publish that a slot that was due at `due` did not begin; `pair` is the number of a persistent pair."""
        run = self._untried_run(due, pair)
        self.publish(Skipped(self.relay, self.probe.name, run.id, run))

    def _untried_run(self, due: float, pair: int | None = None) -> Run:
        """Return a run without attempts: one exchange of a persistent pair, or all of a bounded probe's run."""
        recorder, volume = self.recorder(pair), self.probe.volume
        recorder.started, recorder.untried = due, Untried(withheld=True)
        recorder.abort(times=1 if self.probe.is_continuous else volume.exchanges)
        reuses = SPECS[self.probe.scenario].offline and self.probe.pairing == "reuse"
        if volume.pairs and not self.probe.is_continuous and not reuses:
            recorder.pairing = Pairing(outcome=Outcome.ABORTED)
        return recorder.finish()


class RunRecorder:
    """Collects the exchanges and the timeline of one run; also a `relay.reporter.Reporter` of its clients."""

    __slots__ = (
        "_finished", "context", "exchanges", "failed_at", "fates", "lines", "marks", "pair", "pairing", "run_id",
        "started", "untried",
    )  # fmt: skip

    def __init__(self, context: ProbeContext, pair: int | None) -> None:
        self.context = context
        self.pair = pair
        self.run_id = uuid7(context.clock.time(), context.rng)
        self.started = context.clock.monotonic()
        self.exchanges: list[Exchange] = []
        self.marks: list[Mark] = []
        self.fates: list[MessageFate] = []
        self.pairing: Pairing | None = None
        self.failed_at: float | None = None  # when the first exchange failed
        self.untried: Untried | None = None
        self.lines: list[LogLine] = []
        self._finished = False

    def log(self, level: str, event: str, **fields: object) -> None:
        """Log a line with the ids of the run, and keep it with the run, whatever the log's minimum level.

        `level` is the name of a method of the logger; "exception" adds a traceback to the log.
        """
        context = self.context
        if len(self.lines) < MAX_LOG_LINES:
            texts = {key: str(value)[:MAX_DETAIL] for key, value in fields.items() if key != "repeats"}
            self.lines.append(LogLine(utc(context.clock), "error" if level == "exception" else level, event, texts))
        getattr(_log, level)(event, relay=context.relay, probe=context.probe.name, run_id=self.run_id, **fields)

    def mark(self, side: str, step: Step, started: float, ended: float, note: str = "") -> None:
        """Add one step to the timeline; `started` and `ended` are monotonic."""
        if len(self.marks) < MAX_MARKS:
            self.marks.append(Mark(side, step, started - self.started, ended - self.started, note))

    def fail(self, error: ProbeError, *, times: int = 1, since: float | None = None, at: float | None = None) -> None:
        """Record `times` exchanges as failed, or as aborted if the error is local, and the failed step.

        since: when the step began, on the monotonic clock; None: when the step before it ended.
        at: when the fault was; None: now.
        """
        outcome = Outcome.ABORTED if isinstance(error, LocalError) else Outcome.FAILED
        now = self.context.clock.monotonic()
        ended = (now if at is None else at) - self.started
        self.exchanges += [Exchange(outcome=outcome, failure=failure_of(error), ended=ended)] * times
        begun = None if since is None else since - self.started
        mark_failed(self.marks, error, begun, max(0.0, ended))
        if self.failed_at is None:
            self.failed_at = now

    def refine(self, reason: Reason) -> None:
        """Replace the reason of the latest failure, of which more is known now."""
        exchange = self.exchanges[-1]
        if exchange.failure is not None:
            self.exchanges[-1] = exchange._replace(failure=replace(exchange.failure, reason=reason))
            refine_reason(self.marks, exchange.failure.reason, reason)

    def judge(self, message: UnjudgedMessage, verdict: Verdict | None) -> bool:
        """Set the verdict on a message of this run; return False if it belongs to another run, or this one is over."""
        if self._finished or message.run_id != self.run_id:
            return False
        for number, fate in enumerate(self.fates):
            if (fate.direction, fate.sequence) == (message.direction, message.sequence):
                self.fates[number] = fate._replace(verdict=verdict, note=message.note)
        return True

    def abort(self, *, times: int = 1) -> None:
        """Record `times` exchanges as aborted by this program."""
        self.exchanges += [Exchange(outcome=Outcome.ABORTED)] * times

    def phase(self, phase: Phase, seconds: float) -> None:
        """Publish the duration of one phase."""
        context = self.context
        context.publish(PhaseTimed(context.relay, context.probe.name, self.run_id, phase, seconds))

    def address_failed(self, family: str) -> None:
        """Publish that an address could not be reached."""
        context = self.context
        self.log("debug", "address not reached", family=family)
        context.publish(AddressFailed(relay=context.relay, probe=context.probe.name, run_id=self.run_id, family=family))

    def certificate(self, not_after: float) -> None:
        """Publish when the relay's certificate expires."""
        context = self.context
        context.admission.handshake_at = context.clock.monotonic()
        context.publish(
            CertificateSeen(relay=context.relay, probe=context.probe.name, run_id=self.run_id, not_after=not_after)
        )

    def finish(self, *, aborted: str = "") -> Run:
        """Return the run, which ends now. `aborted` says why this program aborted it, if it did."""
        context = self.context
        clock = context.clock
        parts: list[Exchange | Pairing] = [*self.exchanges] if self.pairing is None else [*self.exchanges, self.pairing]
        outcome, failure = _worst(parts)
        due = self.started
        if aborted:
            outcome = Outcome.ABORTED
            self.mark("pair", Step.CLOSE, clock.monotonic(), clock.monotonic(), f"aborted: {aborted}")
        elif outcome is Outcome.ABORTED and failure is not None and failure.reason is Reason.OVERLOADED:
            # The limits kept back what was left of the run from then on.
            self.untried, due = self.untried or Untried(withheld=True), self.failed_at or due
        now = clock.monotonic()
        duration = now - self.started
        self._finished = True
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
            due=due,
            known_at=now if self.failed_at is None else self.failed_at,
            untried=self.untried,
            log=tuple(self.lines),
        )


def _worst(parts: list[Exchange | Pairing]) -> tuple[Outcome, Failure | None]:
    """Return the worst outcome and the first failure of the parts of a run."""
    outcomes = [item.outcome for item in parts if item.outcome is not Outcome.OK]
    if not outcomes:
        return Outcome.OK, None
    failure = next((item.failure for item in parts if item.failure is not None), None)
    return (Outcome.FAILED if Outcome.FAILED in outcomes else Outcome.ABORTED), failure


def failure_of(error: ProbeError) -> Failure:
    """Return an error as the value that a run carries."""
    return Failure(
        step=error.step, reason=error.reason, detail=error.detail, status=error.status, endpoint=error.endpoint
    )
