"""The rules of dashboard-linter --strict, and exclusions only where one is needed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.slo.dashboards.linter import allowed, lint

if TYPE_CHECKING:
    from collections.abc import Mapping


def test_the_dashboards_break_only_excluded_rules(written: Mapping[str, bytes]) -> None:
    exceptions = yaml.safe_load(written["dashboards/.lint"])
    found = [finding for name, text in written.items() if name.endswith(".json") for finding in lint(json.loads(text))]
    assert [finding for finding in found if finding.entry not in allowed(exceptions)] == []
    assert set(allowed(exceptions)) - {finding.entry for finding in found} == set()
    assert [
        entry for rule in exceptions["exclusions"].values() for entry in rule["entries"] if not entry["reason"]
    ] == []


GOOD = 'up{job=~"$job", instance=~"$instance"}'


@pytest.mark.parametrize(
    ("expr", "rules"),
    [
        (GOOD, []),
        (f"rate({GOOD}[$__rate_interval])", []),
        (f"rate({GOOD}[5m])", ["target-rate-interval-rule"]),
        ('a_total{job=~"$job", instance=~"$instance"}', ["target-counter-agg-rule"]),
        ('sum(a_total{job=~"$job", instance=~"$instance"})', ["target-counter-agg-rule"]),
        ('increase(a_total{job=~"$job", instance=~"$instance"}[$__range])', []),
        (f'{GOOD} / up{{instance=~"$instance"}}', ["target-job-rule"]),
        (f'{GOOD} / up{{job=~"$job"}}', ["target-instance-rule"]),
        ("1", ["target-promql-rule"]),
        ("centrifugo_up{${centrifugo_selector:raw}}", ["target-promql-rule"]),
    ],
)
def test_each_rule_on_expressions_can_fail(dashboard: dict[str, Any], expr: str, rules: list[str]) -> None:
    panel = dashboard["panels"][1] | {
        "title": "new",
        "targets": [dashboard["panels"][1]["targets"][0] | {"expr": expr}],
    }
    changed = dashboard | {"panels": [panel]}
    assert [finding.rule for finding in lint(changed)] == rules


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"title": ""}, "panel-title-description-rule"),
        ({"description": ""}, "panel-title-description-rule"),
        ({"datasource": {"type": "prometheus", "uid": "mine"}}, "panel-datasource-rule"),
        ({"targets": []}, "panel-no-targets-rule"),
        ({"fieldConfig": {"defaults": {}}}, "panel-units-rule"),
    ],
)
def test_each_rule_on_panels_can_fail(dashboard: dict[str, Any], change: dict[str, Any], rule: str) -> None:
    stats = (panel for panel in dashboard["panels"] if panel["type"] == "stat")
    panel = next(panel for panel in stats if not list(lint(dashboard | {"panels": [panel]})))
    assert [finding.rule for finding in lint(dashboard | {"panels": [panel | change]})] == [rule]


def test_rules_on_variables_and_the_dashboard_can_fail(dashboard: dict[str, Any]) -> None:
    source, install, job, *others = dashboard["templating"]["list"]
    bad = [source | {"label": "Source"}, install, job | {"allValue": ".*", "refresh": 1}, *others]
    changed = dashboard | {"templating": {"list": bad}, "panels": [], "editable": True}
    assert [finding.rule for finding in lint(changed)] == [
        "uneditable-dashboard",
        "template-datasource-rule",
        "template-job-rule",
        "template-on-time-change-reload-rule",
    ]
