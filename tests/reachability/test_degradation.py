from __future__ import annotations

from monitor.reachability.degradation import Criteria, Degradation
from monitor.results import Cause
from monitor.vocabulary import Reason, Step

SILENT = Cause(step=Step.DELIVER, reason=Reason.SILENT, endpoint="n2")
UNRECOVERED = Cause(step=Step.DELIVER, reason=Reason.UNRECOVERED)
REFUSED = Cause(step=Step.TCP, reason=Reason.REFUSED)


def fail(degradation: Degradation, now: float, cause: Cause) -> None:
    for _ in range(3):
        degradation.exchange(now, cause)


def test_the_latest_cause_counts() -> None:
    degradation = Degradation(Criteria())
    fail(degradation, 0, UNRECOVERED)
    fail(degradation, 1, REFUSED)
    assert degradation.cause == REFUSED


def test_a_silent_node_stays_the_cause_of_the_exchanges_that_fail_after_it() -> None:
    degradation = Degradation(Criteria(window=300))
    fail(degradation, 0, UNRECOVERED)
    degradation.examined(1, SILENT)
    fail(degradation, 2, UNRECOVERED)
    assert degradation.cause == SILENT
    fail(degradation, 301, UNRECOVERED)
    assert degradation.cause == UNRECOVERED


def test_after_an_outage_nothing_is_explained_any_more() -> None:
    degradation = Degradation(Criteria())
    degradation.examined(0, SILENT)
    degradation.clear()
    fail(degradation, 1, UNRECOVERED)
    assert degradation.cause == UNRECOVERED
