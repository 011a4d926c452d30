"""The HTML report."""

from __future__ import annotations

import re

from monitor.load.report import page
from monitor.scenarios import Scenario
from tests.load.sample import model_of, plan_of, totals_of_samples


def test_the_page_is_self_contained() -> None:
    totals = totals_of_samples([(float(at), 0.01 * (at + 1)) for at in range(30)])
    totals.reasons["deliver/lost"] = 3
    result = model_of(plan_of(), totals, passed=True)
    made = page(totals, result, text=["<summary & more>"], slos=[("delivery", "100 %", True)])
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#)|url\((?!#)|@import|<script|<link""", made)
    assert made.count("<svg") == 1
    assert "&lt;summary &amp; more&gt;" in made
    assert "round trip" in made
    assert page(totals, result, text=[], slos=[]) == page(totals, result, text=[], slos=[])


def test_a_page_without_any_figure_can_be_made() -> None:
    plan = plan_of(Scenario.CONNECTION_STORM)
    totals = totals_of_samples([])
    assert "FAIL" in page(totals, model_of(plan, totals, passed=False), text=[], slos=[])
