"""The rules by promtool 2.42 and 3: `check rules`, and the cases of the shipped and of other configurations."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from monitor.config import parse
from monitor.slo.generate import generated
from tests.conftest import ALL_CASES
from tests.e2e.programs import PROMTOOL, find
from tests.relays import ROOT
from tests.slo.rules import location_cases, monitor_cases, promtool, series, slow_probe_cases
from tests.slo.rules.promtool import promtool_3, run
from tests.slo.rules.series import Case

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from _pytest.mark.structures import ParameterSet

pytestmark = pytest.mark.timeout(600)

RULES = ROOT / "alerts" / "relay-monitor.rules.yml"
LONG = frozenset(f"relay-monitor-{topic}_test.yml" for topic in ("explained", "health", "budgets-long", "slow"))
"""Cases that take ten seconds or more."""

SHIPPED = (ROOT / "config.yaml").read_text("utf-8")


def test_the_committed_cases_are_up_to_date() -> None:
    for name, text in promtool.files().items():
        assert (ROOT / "alerts" / "tests" / name).read_text("utf-8") == text


def versions(*, long: bool) -> list[str]:
    """Return the versions of promtool that run a case; of the two, version 3 is faster, and is not everywhere.

    With `make promtool`, each case runs with both versions, and with all rules.
    """
    if long and not ALL_CASES:
        return ["promtool3"] if promtool.PROMTOOL_3.exists() else ["promtool"]
    return ["promtool", "promtool3"]


def with_versions(case: Sequence[object], name: str, *, long: bool) -> list[ParameterSet]:
    """Return the parameters of a case for each version that runs it."""
    required = {"promtool": [pytest.mark.required_counterpart("promtool")]}
    return [
        pytest.param(*case, which, marks=required.get(which, []), id=f"{name}-{which}") for which in versions(long=long)
    ]


def program(which: str) -> str:
    """Return the path of a version; without it the test skips."""
    return find(PROMTOOL) if which == "promtool" else promtool_3()


@pytest.mark.integration
@pytest.mark.parametrize("which", with_versions([], "rules", long=False))
def test_check_rules_passes(which: str) -> None:
    run(program(which), "check", "rules", "--lint=all", "--lint-fatal", RULES)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "which"),
    [each for name in sorted(promtool.files()) for each in with_versions([name], name, long=name in LONG)],
)
def test_cases_pass(name: str, which: str, tmp_path: Path) -> None:
    committed = [ROOT / "alerts" / "tests" / name]
    run(program(which), "test", "rules", *(committed if ALL_CASES else reduced(tmp_path, name)))


def reduced(folder: Path, name: str) -> list[Path]:
    """Return the cases of a committed test file with the rules that they read."""
    rules = promtool.without_annotations(RULES.read_bytes())
    return promtool.write_reduced(folder, rules, promtool.documents()[name])


def test_a_case_has_the_rules_that_it_reads_and_no_other(tmp_path: Path) -> None:
    groups: list[dict[str, Any]] = [
        {
            "name": "first",
            "rules": [
                {"record": "relay:up:vote", "expr": "max(\nrelay_up\n)"},
                {"record": "relay:down", "expr": "relay:up:vote\nunless\nrelay_maintenance"},
                {"record": "relay:other", "expr": "relay_other"},
            ],
        },
        {
            "name": "second",
            "rules": [{"alert": "RelayDown", "expr": "relay:down > 0"}, {"alert": "RelayOther", "expr": "relay:other"}],
        },
        {"name": "third", "rules": [{"record": "slo:objective:ratio", "expr": "0.9"}]},
    ]
    asked = ('ALERTS{alertname="RelayDown"}', "slo:objective:ratio", "slo:objective:ratio > 0")
    tests = [{"promql_expr_test": [{"expr": expr}]} for expr in asked]
    files = promtool.write_reduced(tmp_path, groups, {"tests": tests})
    read = [json.loads(file.read_text("utf-8")) for file in files]
    rules = [json.loads((tmp_path / each["rule_files"][0]).read_text("utf-8"))["groups"] for each in read]
    assert [each["tests"] for each in read] == [tests[:1], tests[1:]]
    assert [each["group_eval_order"] for each in read] == [["first", "second"], ["third"]]
    assert rules[0] == [
        {"name": "first", "rules": groups[0]["rules"][:2]},
        {"name": "second", "rules": groups[1]["rules"][:1]},
    ]


def check_and_test(folder: Path, program: str, made: bytes, asked: Sequence[Case], scrape: int = series.SCRAPE) -> None:
    """`check rules` and the cases pass."""
    complete = folder / "rules.yml"
    complete.write_bytes(made)
    run(program, "check", "rules", "--lint=all", "--lint-fatal", complete)
    cases = promtool.document(complete.name, promtool.group_names(made), asked, scrape)
    run(program, "test", "rules", *promtool.write_reduced(folder, promtool.without_annotations(made), cases))


OTHERS = {
    "several locations and shards": (location_cases.CONFIG, location_cases.CASES, series.SCRAPE),
    "slow probes": (slow_probe_cases.ALONE, slow_probe_cases.CASES_ALONE, slow_probe_cases.SCRAPE),
    "large budgets": (slow_probe_cases.LARGE, slow_probe_cases.CASES_LARGE, series.SCRAPE),
    "slow pairs": (slow_probe_cases.SLOW, slow_probe_cases.CASES_SLOW, series.SCRAPE),
    "slow probes at several locations": (
        slow_probe_cases.SPREAD,
        slow_probe_cases.CASES_SPREAD,
        slow_probe_cases.SCRAPE,
    ),
}
"""Configurations with their cases and scrape intervals."""


@pytest.mark.integration
@pytest.mark.parametrize(
    ("config", "about", "scrape", "which"),
    [each for name, case in OTHERS.items() for each in with_versions(case, name, long=True)],
)
def test_cases_of_other_configurations_pass(
    tmp_path: Path, config: str, about: Sequence[Case], scrape: int, which: str
) -> None:
    made = generated(parse(config, "config.yaml", {}))["alerts/relay-monitor.rules.yml"]
    check_and_test(tmp_path, program(which), made, about, scrape)


@pytest.mark.required_counterpart("promtool")
def test_rules_without_slos_report_the_slos_of_a_monitor(tmp_path: Path) -> None:
    text = SHIPPED[: SHIPPED.index("\nslos:")]
    made = generated(parse(text, "config.yaml", {}))["alerts/relay-monitor.rules.yml"]
    check_and_test(
        tmp_path,
        find(PROMTOOL),
        made,
        [
            Case(
                name="RelayMonitorRulesDrift: the first SLO",
                series={monitor_cases.window("delivery"): "2592000x80"},
                expect=[
                    ("5m", "RelayMonitorRulesDrift", "warning", 0),
                    ("15m", "RelayMonitorRulesDrift", "warning", 1),
                ],
            )
        ],
    )


@pytest.mark.required_counterpart("promtool")
def test_a_window_with_milliseconds_differs_from_no_equal_one(tmp_path: Path) -> None:
    """The rules had it in whole seconds."""
    objective = "sli: availability, objective: 99.9%, window: 30d"
    assert objective in SHIPPED
    text = SHIPPED.replace(objective, f"{objective}1ms")
    made = generated(parse(text, "config.yaml", {}))["alerts/relay-monitor.rules.yml"]
    cases = [
        Case(
            name=f"RelayMonitorRulesDrift: a window of {seconds} s",
            series=monitor_cases.RUNNING | {monitor_cases.window("delivery"): f"{seconds}x160"},
            expect=[("15m", "RelayMonitorRulesDrift", "warning", differ)],
        )
        for seconds, differ in (("2592000.001", 0), ("2592000", 1), ("2592000.002", 1))
    ]
    check_and_test(tmp_path, find(PROMTOOL), made, cases)
