"""The rules by promtool 2.42 and 3: `check rules`, and the cases of the shipped and of other configurations."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from monitor.config import parse
from monitor.slo.generate import generated
from tests.conftest import CI
from tests.e2e.programs import PROMTOOL, find
from tests.relays import ROOT
from tests.slo.rules import location_cases, monitor_cases, promtool, series, slow_probe_cases
from tests.slo.rules.promtool import promtool_3, run
from tests.slo.rules.series import Case

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.timeout(600)

RULES = ROOT / "alerts" / "relay-monitor.rules.yml"
LONG = frozenset(f"relay-monitor-{topic}_test.yml" for topic in ("explained", "health", "budgets-long", "slow"))
"""Cases that CI runs with one version of promtool only."""

SHIPPED = (ROOT / "config.yaml").read_text("utf-8")


def test_the_committed_cases_are_up_to_date() -> None:
    for name, text in promtool.files().items():
        assert (ROOT / "alerts" / "tests" / name).read_text("utf-8") == text


@pytest.mark.required_counterpart("promtool")
class TestPromtool:
    def test_check_rules_passes(self) -> None:
        run(find(PROMTOOL), "check", "rules", "--lint=all", "--lint-fatal", RULES)

    @pytest.mark.parametrize("name", sorted(promtool.files()))
    def test_cases_pass(self, name: str, tmp_path: Path) -> None:
        run(find(PROMTOOL), "test", "rules", shipped_cases(tmp_path, name))


@pytest.mark.integration
class TestPrometheus3:
    def test_check_rules_passes(self) -> None:
        run(promtool_3(), "check", "rules", "--lint=all", "--lint-fatal", RULES)

    @pytest.mark.parametrize("name", sorted(promtool.files()))
    def test_cases_pass(self, name: str, tmp_path: Path) -> None:
        if name in LONG:
            leave_to_promtool_2()
        run(promtool_3(), "test", "rules", shipped_cases(tmp_path, name))


def shipped_cases(folder: Path, name: str) -> Path:
    """Return a committed test file: in CI a copy of it that reads the rules without their annotations."""
    committed = ROOT / "alerts" / "tests" / name
    if not CI or os.environ.get("ALL_CASES"):
        return committed
    (folder / RULES.name).write_bytes(promtool.without_annotations(RULES.read_bytes()))
    (folder / "tests").mkdir()
    return Path(shutil.copy(committed, folder / "tests" / name))


def leave_to_promtool_2() -> None:
    """Skip in CI what takes long and is also run with promtool 2; `make promtool` runs all."""
    if CI and not os.environ.get("ALL_CASES"):
        pytest.skip("takes long, and promtool 2 runs it; `make promtool` runs all")


def check_and_test(folder: Path, program: str, made: bytes, asked: Sequence[Case], scrape: int = series.SCRAPE) -> None:
    """`check rules` and the cases pass."""
    (folder / "rules.yml").write_bytes(promtool.without_annotations(made))
    cases = promtool.document("rules.yml", promtool.group_names(made), asked, scrape)
    (folder / "cases.yml").write_text(yaml.safe_dump(cases, width=10_000), encoding="utf-8")
    (folder / "whole.yml").write_bytes(made)
    run(program, "check", "rules", "--lint=all", "--lint-fatal", folder / "whole.yml")
    run(program, "test", "rules", folder / "cases.yml")


@pytest.mark.integration
@pytest.mark.parametrize(
    "which", [pytest.param("promtool", marks=pytest.mark.required_counterpart("promtool")), "promtool3"]
)
@pytest.mark.parametrize(
    ("config", "about", "scrape"),
    [
        pytest.param(location_cases.CONFIG, location_cases.CASES, series.SCRAPE, id="several locations and shards"),
        pytest.param(slow_probe_cases.ALONE, slow_probe_cases.CASES_ALONE, slow_probe_cases.SCRAPE, id="slow probes"),
        pytest.param(slow_probe_cases.LARGE, slow_probe_cases.CASES_LARGE, series.SCRAPE, id="large budgets"),
        pytest.param(slow_probe_cases.SLOW, slow_probe_cases.CASES_SLOW, series.SCRAPE, id="slow pairs"),
        pytest.param(
            slow_probe_cases.SPREAD,
            slow_probe_cases.CASES_SPREAD,
            slow_probe_cases.SCRAPE,
            id="slow probes at several locations",
        ),
    ],
)
def test_cases_of_other_configurations_pass(
    tmp_path: Path, which: str, config: str, about: Sequence[Case], scrape: int
) -> None:
    if which == "promtool3":
        leave_to_promtool_2()
    program = find(PROMTOOL) if which == "promtool" else promtool_3()
    made = generated(parse(config, "config.yaml", {}))["alerts/relay-monitor.rules.yml"]
    check_and_test(tmp_path, program, made, about, scrape)


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
