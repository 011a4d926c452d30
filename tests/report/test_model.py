"""When an objective is met, missed, or cannot be judged."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.report.model import Attainment, Exchanges, Verdict


def attainment(good: float, bad: float, *, objective: str = "0.999", coverage: float = 1.0) -> Attainment:
    return Attainment(relay="demo", slo="delivery", objective=Decimal(objective), good=good, bad=bad, coverage=coverage)


@pytest.mark.parametrize(
    ("each", "verdict"),
    [
        (attainment(999, 1), Verdict.MET),  # exactly the objective
        (attainment(998, 2), Verdict.MISSED),
        (attainment(1000, 0, objective="1"), Verdict.MET),
        (attainment(999, 1, objective="1"), Verdict.MISSED),
        (attainment(1000.4, 0.4, objective="1"), Verdict.MET),  # less than half an event, by extrapolation
        (attainment(998, 2, coverage=0.94), Verdict.INSUFFICIENT),
        (attainment(999, 1, coverage=0.95), Verdict.MET),
        (attainment(0, 0), Verdict.INSUFFICIENT),
    ],
)
def test_verdict(each: Attainment, verdict: Verdict) -> None:
    assert each.verdict is verdict


def test_budget_left() -> None:
    assert attainment(999.5, 0.5).budget_left == pytest.approx(0.5)
    assert attainment(997, 3).budget_left == pytest.approx(-2)
    assert attainment(999, 1, objective="1").budget_left is None
    assert attainment(0, 0).budget_left is None


def test_shares_are_of_all_exchanges() -> None:
    exchanges = Exchanges(counts={"ok": 90.0, "failed": 5.0, "excluded": 4.0, "aborted": 1.0})
    assert exchanges.share("excluded") == pytest.approx(0.04)
    assert Exchanges(counts={}).share("ok") == 0
