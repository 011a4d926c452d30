"""What reports and errors say of a relay: causes, deliveries, and whether it asks for fewer connects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.results import Cause, Disconnected, Paired, Run
from monitor.vocabulary import Outcome, Reason, Step
from monitor.wire.codes import CloseCode

if TYPE_CHECKING:
    from monitor.errors import ProbeError
    from monitor.results import Exchange, Failure

OVERLOAD_CODES: Final = frozenset({CloseCode.TOO_MANY_REQUESTS, CloseCode.CONNECTION_LIMIT})
"""Close codes of a relay that must not get more connections for an answer."""


def cause_of(error: ProbeError | Failure, at: float) -> Cause:
    """Return an error, or a failure, that ended at `at` as a cause."""
    return Cause(
        step=error.step,
        reason=error.reason,
        status=error.status,
        detail=error.detail,
        endpoint=error.endpoint,
        at=at,
    )


def delivered(exchange: Exchange) -> bool:
    """Return whether an exchange delivered a message; a bare connection delivers none."""
    return exchange.outcome is Outcome.OK and (exchange.round_trip is not None or exchange.recovery is not None)


def is_missing(failure: Failure) -> bool:
    """Return whether an exchange failed because one of its messages was accepted and did not arrive."""
    reasons = {Reason.LOST, Reason.SILENT, Reason.UNRECOVERED}
    return failure.step in {Step.DELIVER, Step.ANSWER} and failure.reason in reasons


def reports_fewer(report: Run | Disconnected | Paired) -> bool:
    """Return whether the relay asked for fewer connects by this failure."""
    if isinstance(report, Disconnected):
        return report.code in OVERLOAD_CODES
    failure = report.failure if isinstance(report, Run) else report.pairing.failure
    return failure is not None and failure.reason is Reason.RATE_LIMITED
