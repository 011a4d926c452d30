"""What an exchange counts: decided from when it was due, what was tried, and the confirmed outages of its relay.

A slot due between the first and the last failed attempt of a confirmed outage counts bad, tried or not: the attempts
prove it. After the last failed attempt nothing untried counts until the first success. Outside an outage an untried
slot counts bad only for a client that waits as any client would after its own drop or failed attempt.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

from monitor.results import Failure, Mark, PairTime, Untried
from monitor.scenarios import SPECS
from monitor.vocabulary import Outcome

if TYPE_CHECKING:
    from monitor.reachability.outage import Outage
    from monitor.results import Run


class Outages(Protocol):
    """The confirmed outages of one relay; `RelayVerdict` is one."""

    def outage_before(self, at: float) -> Outage | None:
        """Return the latest outage that had begun at `at`."""

    def covers(self, at: float) -> bool | None:
        """Return whether `at` was inside an outage; None if that is not known yet."""


def counts_bad(untried: Untried, due: float, outages: Outages) -> bool | None:
    """Return whether a slot due at `due` counts bad although it was not tried; None if that is not known yet."""
    covered = outages.covers(due)
    if covered is not False:
        return covered
    if untried.withheld or untried.failed_at is None:
        return False
    outage = outages.outage_before(due)
    # After the repair the cause is out of date: others have been delivered since.
    repaired = outage is not None and outage.ended_at is not None and untried.failed_at <= outage.ended_at
    return not (repaired and outage is not None and due > outage.last_failed_at)


def bad_seconds(report: PairTime, outages: Outages) -> float | None:
    """Return how many of the seconds without a connection count bad; None if that is not known yet."""
    since, until, untried = report.since, report.until, report.untried
    if untried is None or until <= since:
        return report.seconds
    outage = outages.outage_before(until)
    edges = () if outage is None else (outage.first_failed_at, outage.last_failed_at)
    bounds = sorted({since, until, *(edge for edge in edges if since < edge < until)})
    share = 0.0
    for start, end in pairwise(bounds):
        bad = counts_bad(untried, (start + end) / 2, outages)
        if bad is None:
            return None
        share += (end - start) * bad
    return report.seconds * share / (until - since)


def cause_of(run: Run, outages: Outages) -> Failure | None:
    """Return the cause of an untried slot that counts bad: that of the latest real attempt, with its age.

    None if no attempt is known.
    """
    own_at = run.untried.failed_at if run.untried is not None else None
    outage = outages.outage_before(run.due)
    cause = outage.cause if outage is not None and outages.covers(run.due) else None
    if cause is not None and (own_at is None or run.failure is None or cause.at > own_at):
        step, reason = SPECS[run.scenario].nearest_failure(cause.step, cause.reason)
        detail = _with_age(cause.detail, run.due - cause.at)
        return Failure(step=step, reason=reason, detail=detail, status=cause.status, endpoint=cause.endpoint)
    if run.failure is None or own_at is None:
        return run.failure
    return replace(run.failure, detail=_with_age(run.failure.detail, run.due - own_at))


def as_failed(run: Run, failure: Failure | None) -> Run:
    """Return a run whose exchanges and pairing that did not succeed failed for this cause."""
    exchanges = tuple(
        exchange if exchange.outcome is Outcome.OK else exchange._replace(outcome=Outcome.FAILED, failure=failure)
        for exchange in run.exchanges
    )
    pairing = run.pairing
    if pairing is not None and pairing.outcome is not Outcome.OK:
        pairing = replace(pairing, outcome=Outcome.FAILED, failure=failure)
    timeline = run.timeline
    if failure is not None and not any(mark.failed for mark in timeline):
        timeline += (Mark("pair", failure.step, 0.0, 0.0, f"{failure.reason}: {failure.detail}", failed=True),)
    return run._replace(
        outcome=Outcome.FAILED, failure=failure, exchanges=exchanges, pairing=pairing, timeline=timeline
    )


def with_outcome(run: Run, outcome: Outcome) -> Run:
    """Return a run with this outcome for all its exchanges."""
    pairing = replace(run.pairing, outcome=outcome) if run.pairing is not None else None
    exchanges = tuple(exchange._replace(outcome=outcome) for exchange in run.exchanges)
    return run._replace(outcome=outcome, exchanges=exchanges, pairing=pairing)


def _with_age(detail: str, age: float) -> str:
    if abs(age) < 1:
        return detail
    text = f"as seen by an attempt {abs(age):.0f} s {'earlier' if age > 0 else 'later'}"
    return f"{detail}; {text}" if detail else text
