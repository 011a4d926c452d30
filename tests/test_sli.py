"""Which report is an event of which SLO."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from monitor.config import SloConfig
from monitor.results import Exchange, MessagesJudged, Paired, Pairing, PairTime
from monitor.sli import CountedSlo, SloEvent, counted_slos, slo_events
from monitor.vocabulary import Outcome, Sli, Verdict
from tests.journal.sample import run

if TYPE_CHECKING:
    from monitor.results import Report, Run

pytestmark = pytest.mark.unit

SLOS = (
    CountedSlo("delivery", Sli.AVAILABILITY),
    CountedSlo("round-trip", Sli.LATENCY, 0.4),
    CountedSlo("pairing", Sli.PAIRING),
    CountedSlo("connected", Sli.STABILITY),
)


def paired(outcome: Outcome) -> Paired:
    return Paired("demo", "steady", "", Pairing(outcome=outcome))


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        pytest.param(
            run(1, exchanges=(Exchange(outcome=Outcome.OK, round_trip=0.4),)),
            [("delivery", True, 1), ("round-trip", True, 1)],
            id="an exchange at the threshold",
        ),
        pytest.param(
            run(1, exchanges=(Exchange(outcome=Outcome.OK, round_trip=0.41),)),
            [("delivery", True, 1), ("round-trip", False, 1)],
            id="a slow exchange",
        ),
        pytest.param(
            run(1, exchanges=(Exchange(outcome=Outcome.OK),)),
            [("delivery", True, 1), ("round-trip", False, 1)],
            id="an exchange whose round trip was not measured",
        ),
        pytest.param(run(1, failed=True), [("delivery", False, 1), ("round-trip", False, 1)], id="a failed exchange"),
        pytest.param(
            run(1, exchanges=tuple(Exchange(outcome=item) for item in (Outcome.ABORTED, Outcome.EXCLUDED))),
            [],
            id="exchanges that do not count",
        ),
        pytest.param(
            run(1, exchanges=(), pairing=Pairing(outcome=Outcome.FAILED)), [("pairing", False, 1)], id="a run's pairing"
        ),
        pytest.param(paired(Outcome.OK), [("pairing", True, 1)], id="a pairing"),
        pytest.param(paired(Outcome.EXCLUDED), [], id="a pairing that does not count"),
        pytest.param(
            PairTime("demo", "steady", "", connected=False, seconds=2.5), [("connected", False, 2.5)], id="time"
        ),
        pytest.param(MessagesJudged("demo", "steady", "", Verdict.LOST), [], id="a lost message alone"),
    ],
)
def test_the_events_of_a_report(report: Run | Report, expected: list[tuple[str, bool, float]]) -> None:
    assert list(slo_events(report, SLOS)) == [SloEvent(*event) for event in expected]
    assert list(slo_events(report, ())) == []


def test_the_slos_of_a_probe_at_a_relay() -> None:
    slos = [
        SloConfig.model_validate(
            {
                "name": "round-trip",
                "probe": ["steady"],
                "sli": "latency",
                "threshold": "400ms",
                "objective": "99%",
                "overrides": {"far": {"threshold": "1s"}},
            }
        ),
        SloConfig.model_validate({"name": "idle", "probe": ["idle"], "sli": "stability", "objective": "99%"}),
        SloConfig.model_validate({"name": "trend", "probe": ["steady"], "sli": "trend"}),
    ]
    assert counted_slos(slos, "steady", "near") == (CountedSlo("round-trip", Sli.LATENCY, 0.4),)
    assert counted_slos(slos, "steady", "far") == (CountedSlo("round-trip", Sli.LATENCY, 1.0),)
    assert counted_slos(slos, "idle", "near") == (CountedSlo("idle", Sli.STABILITY),)
    assert slos[0].objective == Decimal("0.99")
