"""Writes cases for promtool to alerts/tests/: `python -m tests.slo.promtool`.

They ask for `ALERTS`, which Prometheus records of every alert, so that no case repeats an annotation.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final

import yaml

from tests.relays import ROOT
from tests.slo import monitor_cases
from tests.slo.cases import CASES, SCRAPE, SLOW, slo, steady

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.slo.cases import Case

FOLDER: Final = ROOT / "alerts" / "tests"

ENVIRONMENT: Final = os.environ | {"GOGC": "800"}
"""What promtool runs with: collecting garbage less often saves a third of its time, and takes 200 MB."""

RECORDED: Final = (
    ("slo:objective:ratio", 0.999),
    ("round(slo:error_budget:ratio, 0.0001)", 0.001),
    ("round(slo:sli_error:ratio_rate1h, 0.0001)", 0.25),
    ("round(slo:sli_error:ratio_rate30d, 0.0001)", 0.25),
    ("round(slo:current_burn_rate:ratio)", 250),
    ("round(slo:period_error_budget_remaining:ratio)", -249),
)


def documents() -> dict[str, dict[str, Any]]:
    """All cases, as promtool reads them, by file."""
    where = '{slo="delivery", relay="demo", probe="steady", location="local"}'
    recorded = {
        "name": "what is recorded of an SLO of which a quarter fails",
        "interval": f"{SCRAPE}s",
        "input_series": [
            {"series": slo("delivery", "good"), "values": steady(3, 3)},
            {"series": slo("delivery", "bad"), "values": steady(1, 3)},
        ],
        "promql_expr_test": [
            {
                "expr": expr,
                "eval_time": "2h30m",
                "exp_samples": [{"labels": where if expr.startswith("round") else f"{expr}{where}", "value": value}],
            }
            for expr, value in RECORDED
        ],
    }
    tests = [_test(case, f"{SCRAPE}s") for case in CASES]
    budgets = [test for test in tests if test["name"].startswith("RelayErrorBudgetBurn")]
    return {
        "relay-monitor_test.yml": _document(f"{SCRAPE}s", [test for test in tests if test not in budgets]),
        # Several files, since promtool judges the cases of one file one after the other.
        "relay-monitor-budgets_test.yml": _document(f"{SCRAPE}s", [*budgets, recorded]),
        "relay-monitor-health_test.yml": _document(
            f"{SCRAPE}s", [_test(case, f"{SCRAPE}s") for case in monitor_cases.CASES]
        ),
        "relay-monitor-slow_test.yml": _document("1m", [_test(case, "1m") for case in SLOW]),
    }


def document(rules: str, cases: Sequence[Case], scrape: int = SCRAPE) -> dict[str, Any]:
    """Cases about the rules of a file, scraped and evaluated every so many seconds."""
    return _document(f"{scrape}s", [_test(case, f"{scrape}s") for case in cases]) | {"rule_files": [rules]}


def _document(interval: str, tests: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "rule_files": ["../relay-monitor.rules.yml"],
        "evaluation_interval": interval,
        # What is recorded comes first; promtool's own order is by chance.
        "group_eval_order": ["relay-slo", "relay-slo-long", "relay-alerts", "relay-monitor-alerts"],
        "tests": tests,
    }


def _test(case: Case, interval: str) -> dict[str, Any]:
    return {
        "name": case.name,
        "interval": interval,
        "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{alert}", severity="{severity}", alertstate="firing"}}) '
                "or vector(0)",
                "eval_time": minute,
                "exp_samples": [{"labels": "{}", "value": firing}],
            }
            for minute, alert, severity, firing in case.expect
        ],
    }


def files() -> dict[str, str]:
    """Every file's text, by its name."""
    return {
        name: "# Written by `python -m tests.slo.promtool`.\n" + yaml.safe_dump(made, sort_keys=False, width=10_000)
        for name, made in documents().items()
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    sys.exit(0)
