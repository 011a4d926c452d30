"""Summaries and descriptions as Prometheus 2.42 and 3 write them, and their parts for any configuration."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from monitor.config import parse
from monitor.slo.rules import alerts, rules_file
from monitor.slo.rules.templates import LAYERS
from monitor.vocabulary import Step
from tests.conftest import ALL_CASES
from tests.e2e.programs import PROMTOOL, find
from tests.relays import ROOT
from tests.slo.rules import promtool
from tests.slo.rules.series import SCRAPE, Case
from tests.slo.rules.text_cases import ALONE, CONFIG, LOCATIONS, SMALL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.slo.rules.text_cases import TextCase

SHIPPED = (ROOT / "config.yaml").read_text("utf-8")
TEXTS: dict[str, list[dict[str, Any]]] = yaml.safe_load((Path(__file__).parent / "texts.yaml").read_text("utf-8"))
FIRST_LINE = 120
"""Characters that a pager shows of a summary."""


def _document(cases: Sequence[TextCase], interval: str) -> dict[str, Any]:
    tests = [
        {
            "name": case.name,
            "interval": f"{SCRAPE}s",
            "input_series": [
                {"series": series, "values": values}
                for series, values in Case(name=case.name, series=case.series, expect=()).inputs().items()
            ],
            "alert_rule_test": [
                {
                    "eval_time": case.at,
                    "alertname": case.alert,
                    "exp_alerts": [
                        {
                            "exp_labels": {"install": "default", "service": "relay-monitor", **text["labels"]},
                            "exp_annotations": {"summary": text["summary"], "description": text["description"]},
                        }
                        for text in TEXTS[case.name]
                    ],
                }
            ],
        }
        for case in cases
    ]
    return {"evaluation_interval": interval, "tests": tests}


def _without_links(rules: bytes) -> list[dict[str, Any]]:
    """Return the groups of a rule file with summaries and descriptions as the only annotations."""
    groups = promtool.loaded(rules)
    for group in groups:
        for rule in group["rules"]:
            texts = rule.get("annotations", {})
            for link in [name for name in texts if name not in {"summary", "description"}]:
                del texts[link]
    return groups


@pytest.mark.integration
@pytest.mark.parametrize(
    "which", [pytest.param("promtool", marks=pytest.mark.required_counterpart("promtool")), "promtool3"]
)
@pytest.mark.parametrize(
    ("config", "cases", "interval"),
    [(CONFIG, LOCATIONS, "1m"), (SMALL, ALONE, f"{SCRAPE}s")],
    ids=["locations", "one location"],
)
def test_the_texts_are_as_written(
    tmp_path: Path, which: str, config: str, cases: Sequence[TextCase], interval: str
) -> None:
    if which == "promtool3" and not ALL_CASES:
        pytest.skip("takes seconds, and promtool 2 runs it; `make promtool` runs all")
    program = find(PROMTOOL) if which == "promtool" else promtool.promtool_3()
    rules = _without_links(rules_file(parse(config, "config.yaml", {})))
    promtool.run(program, "test", "rules", *promtool.write_reduced(tmp_path, rules, _document(cases, interval)))


def test_every_text_that_is_shown_fits_a_pager() -> None:
    summaries = [text["summary"] for texts in TEXTS.values() for text in texts]
    assert max(len(summary) for summary in summaries) <= FIRST_LINE
    assert set(TEXTS) == {case.name for case in (*LOCATIONS, *ALONE)}


@pytest.mark.parametrize("config", [CONFIG, SHIPPED], ids=["locations", "shipped"])
def test_every_alert_says_since_when_and_what_to_do_first(config: str) -> None:
    for alert in alerts(parse(config, "config.yaml", {})):
        if alert.name in {"Watchdog", "RelayMonitorDrill"}:
            continue  # they are about the chain of notifications
        assert re.search(r"toTime|within|of the last", alert.description), alert.name
        assert re.search(r"First: |Most failures: ", alert.description), alert.name


@pytest.mark.parametrize("config", [CONFIG, SHIPPED, SMALL], ids=["locations", "shipped", "one location"])
def test_every_alert_about_a_relay_has_its_label_and_every_other_has_none(config: str) -> None:
    """Alerts about a relay keep the label in their expression; promtool finds it in the cases."""
    found = {case.alert: "relay" in text["labels"] for case in (*LOCATIONS, *ALONE) for text in TEXTS[case.name]}
    for alert in alerts(parse(config, "config.yaml", {})):
        if alert.name in found:
            assert alert.is_of_relay == found[alert.name], alert.name
        assert alert.is_of_relay == ("$labels.relay" in alert.summary), alert.name
        # All that is joined with the settings of a relay has its label.
        assert alert.is_of_relay == bool(re.search(r"group_left \((severity, )?owner, group\)", alert.expr)), alert.name


def test_every_alert_has_one_line_as_summary() -> None:
    for alert in alerts(parse(SHIPPED, "config.yaml", {})):
        assert "\n" not in alert.summary


def test_each_step_has_a_layer() -> None:
    assert sorted(step for steps, _, _ in LAYERS for step in steps.split()) == sorted(Step)
