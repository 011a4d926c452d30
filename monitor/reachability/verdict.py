"""What is said of one relay: its condition, confirmed by fresh attempts.

An attempt starts at regular times. One that fails, or a failure that a probe reports, starts a round of attempts, and
one message over each persistent pair. `condition.RelayCondition` decides what follows from their results, after it is
known that the fault is not this monitor's own. `docs/conditions.md` has the rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.clock import SYSTEM_CLOCK, Clock, utc
from monitor.errors import LocalError
from monitor.reachability.condition import RelayCondition
from monitor.reachability.confirmation import Confirmation
from monitor.reachability.evidence import cause_of, delivered, is_missing, reports_fewer
from monitor.reachability.publisher import StatusPublisher
from monitor.results import Cause, Disconnected, MessagesJudged, Paired, Run
from monitor.supervision import Supervision
from monitor.vocabulary import Outcome, Reason, Step, Verdict

if TYPE_CHECKING:
    from datetime import datetime

    from monitor.config import RelayConfig
    from monitor.pairs.context import ProbeContext
    from monitor.reachability.degradation import Criteria
    from monitor.reachability.hooks import VerdictHooks
    from monitor.reachability.outage import Outage
    from monitor.results import Exchange, RelayStatus, Report


class RelayVerdict:
    """The condition of one relay, its attempts and its outages.

    `pairs` is the registry of the relay's persistent pairs; `delivered_at` is when a message was last delivered, a
    run's or an attempt's, on the monotonic clock. `first_attempt` is the number of seconds until the first attempt.
    """

    def __init__(
        self,
        config: RelayConfig,
        hooks: VerdictHooks,
        *,
        clock: Clock = SYSTEM_CLOCK,
        criteria: Criteria | None = None,
        supervision: Supervision | None = None,
        first_attempt: float = 0.0,
        first_endpoint: int = 0,
    ) -> None:
        self._clock = clock
        self._condition = RelayCondition(
            config.name, now=self._now, every=config.confirm.every, wall=self._wall, criteria=criteria
        )
        self._is_slow = hooks.is_slow
        self._publisher = StatusPublisher(self._condition, clock, hooks.on_change)
        self._confirmation = Confirmation(
            config,
            hooks,
            self._condition,
            self._publish,
            clock=clock,
            supervision=supervision or Supervision(),
            first_attempt=first_attempt,
            first_endpoint=first_endpoint,
        )
        self.pairs = self._confirmation.examinations.pairs

    # What is said.

    @property
    def status(self) -> RelayStatus:
        """What is said of the relay now."""
        return self._condition.status

    @property
    def up(self) -> bool | None:
        """`relay_up`; None before the first verdict, and once it is not observed."""
        return self._condition.up

    @property
    def since(self) -> datetime | None:
        """When the present condition began; None before the first verdict."""
        return None if self.up is None else self._condition.status.since

    @property
    def delivered_at(self) -> float:
        """When a message was last delivered."""
        return self._condition.delivered_at

    @property
    def unobserved(self) -> bool:
        """True while a fault of this relay's own settings or tasks prevents a verdict."""
        return self._condition.is_unobserved

    @property
    def unresolved(self) -> bool:
        """True while the origin of a failure is not known."""
        return self._confirmation.unresolved

    @property
    def outage(self) -> Outage | None:
        """The present or the latest confirmed outage."""
        return self._confirmation.outages.latest

    def outage_before(self, at: float) -> Outage | None:
        """Return the latest confirmed outage that had begun at `at`."""
        return self._confirmation.outages.before(at)

    def covers(self, at: float) -> bool | None:
        """Return whether a slot due at `at` was inside a confirmed outage; None if that is not known yet."""
        return self._confirmation.outages.covers(at)

    # Its life.

    def restore(self, status: RelayStatus) -> None:
        """Begin with the condition of the process before this one."""
        self._condition.restore(status)
        self._confirmation.follow_condition()
        self._publish()

    def start(self, context: ProbeContext | None) -> None:
        """Make attempts with `context` from now on; None ends them."""
        attempts = self._confirmation.attempts
        attempts.context = context
        attempts.start()
        attempts.changed()
        self._publish()

    def reconfigure(self, config: RelayConfig, every: float, criteria: Criteria) -> None:
        """Apply settings; `every` is the number of seconds between two attempts while nothing fails."""
        self._condition.every = every
        self._condition.degradation.criteria = criteria
        self._confirmation.reconfigure(config, every)

    def suspend(self) -> None:
        """Confirm nothing and reach no verdict until `resume`: the monitor is unhealthy."""
        self._confirmation.suspend()
        self._condition.health(self._now, healthy=False)
        self._publish()

    def resume(self, *, after: float = 0.0) -> None:
        """Observe again, beginning with an attempt after so many seconds."""
        self._condition.health(self._now, healthy=True)
        self._confirmation.resume(after)
        self._publish()

    def request_attempt(self) -> None:
        """Make an attempt soon, although none is due."""
        self._confirmation.request_attempt()

    def mark_unobserved(self, reason: str) -> None:
        """Note that a fault of this relay's own settings or task prevents a verdict; `reason` is for the operator."""
        self._condition.unobserved(self._now, reason)
        self._publish()

    def clear_unobserved(self) -> None:
        """Note that the fault is gone."""
        self._condition.unobserved(self._now, "")
        self._publish()

    async def stop(self) -> None:
        """Stop for good and wait for the tasks."""
        self._publisher.stop()
        await self._confirmation.stop()

    # What probes report.

    def observe(self, report: Run | Report, context: ProbeContext) -> None:
        """Take a run or a report into account: deliveries are noted, failures are confirmed."""
        if isinstance(report, Run):
            self._observe_run(report, context)
        elif isinstance(report, Disconnected):
            self._confirmation.handle_failure(context, report.pair, "request", reduced=reports_fewer(report))
        elif isinstance(report, Paired):
            if report.pairing.outcome is Outcome.FAILED:  # no run may report it for a long time
                self._confirmation.handle_failure(context, None, "request", reduced=reports_fewer(report))
        elif isinstance(report, MessagesJudged):
            if report.verdict is Verdict.LOST:
                cause = Cause(step=Step.DELIVER, reason=Reason.LOST, at=self._now)
                self._condition.lost(self._now, report.messages, cause)
        else:
            return
        self._publish()

    def _observe_run(self, run: Run, context: ProbeContext) -> None:
        started = self._now - run.duration
        for exchange in run.exchanges if run.untried is None else ():
            self._observe_exchange(run, exchange, started)
        failure = run.failure
        ends = [run.duration if each.ended is None else each.ended for each in run.exchanges if delivered(each)]
        if ends:
            reconnected = run.pair is None and run.outcome is Outcome.OK
            self._confirmation.run_delivered(
                started,
                started + max(ends),
                persistent=run.pair is not None,
                reconnected=reconnected,
                paired=reconnected and run.pairing is not None,
            )
        if run.outcome is Outcome.FAILED:
            direction = run.messages[-1].direction if run.messages else "request"
            self._confirmation.handle_failure(
                context,
                run.pair,
                direction,
                began=started,
                reduced=reports_fewer(run),
                withheld=int(failure is not None and is_missing(failure)),
            )
        elif failure is not None and failure.reason is Reason.UNREACHABLE:
            # An aborted run without a route from this host.
            self._confirmation.check_local_fault(LocalError(failure.step, failure.reason, failure.detail))

    def _observe_exchange(self, run: Run, exchange: Exchange, started: float) -> None:
        if exchange.outcome is Outcome.FAILED and exchange.failure is not None:
            self._condition.exchange(self._now, started, cause_of(exchange.failure, self._now))
        elif exchange.outcome is Outcome.OK:
            seconds = exchange.round_trip
            slow = seconds is not None and self._is_slow(run.probe, seconds)
            self._condition.exchange(self._now, started, slow=slow)

    # Common parts.

    @property
    def _now(self) -> float:
        return self._clock.monotonic()

    def _wall(self, ago: float) -> datetime:
        return utc(self._clock, ago)

    def _publish(self) -> None:
        self._publisher.publish()
