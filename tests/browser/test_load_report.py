"""The report of a load test: legible and accessible at a desk, on a phone and in the dark, with labels apart."""

from __future__ import annotations

import random
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest

from monitor.load.conversion import result_of
from monitor.load.report import page as report_page
from monitor.load.verdict import judge, objectives
from tests.browser.checks import assert_accessible, assert_fits
from tests.browser.views import DESKTOP, PHONE, picture
from tests.load.sample import finished_with, plan_of, totals_of_samples

if TYPE_CHECKING:
    from tests.browser.views import Views

pytestmark = [pytest.mark.required_counterpart("Chromium"), pytest.mark.timeout(240)]

LABELS = """() => [...document.querySelectorAll("svg")].map((svg) => [...svg.querySelectorAll("text")].map((label) => {
  const { left, right, top, bottom } = label.getBoundingClientRect();
  return { text: label.textContent, left, right, top, bottom };
}))"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of a test whose round trips become slower until some exceed the objective, with a few failures."""
    rng = random.Random(1)
    samples = [(at / 5, rng.gammavariate(4, 0.03 + at / 18_000)) for at in range(450)]
    totals = totals_of_samples(samples)
    totals.reasons.update({"deliver/lost": 3, "answer/unrecovered": 1})
    totals.sent, totals.unanswered = totals.sent + 4, 4
    totals.verdicts["lost"] = 4
    plan, finished = plan_of(connection_pairs=450, duration=90.0), finished_with(totals)
    judged = judge(plan.scenario, totals, objectives(plan.scenario, None, {}))
    result = result_of(plan, finished, judged, version="1.2.3", passed=False)
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report_page(plan, finished, judged, result), encoding="utf-8")
    return path.as_uri()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_is_legible_and_accessible(views: Views, address: str, size: Any, scheme: Any) -> None:
    with views.open(address, size, scheme) as page:
        picture(page, f"load-report-{size['width']}-{scheme}", full_page=True)
        assert_fits(page)
        assert_accessible(page)
        for one, two in (pair for labels in page.evaluate(LABELS) for pair in combinations(labels, 2)):
            beside = one["right"] <= two["left"] or two["right"] <= one["left"]
            apart = beside or one["bottom"] <= two["top"] or two["bottom"] <= one["top"]
            assert apart, f"{one['text']} touches {two['text']}"
