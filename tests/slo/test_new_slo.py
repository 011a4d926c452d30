"""An SLO added to config.yaml, and to no other file, is in everything that is generated from SLOs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

import pytest
import yaml
from typer.testing import CliRunner

from monitor.cli import app
from monitor.config import load
from monitor.metrics import Metrics
from tests.relays import ROOT
from tests.slo.dashboards.promql import Selector, selectors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINES: Final = """\
  - {name: quick, probe: steady,
     sli: latency, threshold: 150ms,
     objective: 95%, window: 7d}
"""
LABELS: Final = {"slo": "quick", "relay": "demo", "probe": "steady", "location": "local"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration with the new SLO, and the files generated from it."""
    made = tmp_path_factory.mktemp("deployed")
    text = (ROOT / "config.yaml").read_text("utf-8").replace("slos:\n", f"slos:\n{LINES}", 1)
    (made / "config.yaml").write_text(text, encoding="utf-8")
    done = CliRunner().invoke(app, ["generate", "--config", str(made / "config.yaml"), "--output", str(made)])
    assert done.exit_code == 0, done.output
    return made


def rules(folder: Path) -> list[dict[str, str]]:
    document = yaml.safe_load((folder / "alerts" / "relay-monitor.rules.yml").read_text("utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def shown(folder: Path) -> Iterator[tuple[str, str, Selector]]:
    """Yield each selector of the dashboards, with its dashboard and panel."""
    for path in sorted((folder / "dashboards").glob("*.json")):
        board = json.loads(path.read_text("utf-8"))
        panels = [inner for panel in board["panels"] for inner in (panel, *panel.get("panels", ()))]
        for panel in panels:
            for target in panel.get("targets", ()):
                for selector in selectors(target.get("expr", "")):
                    yield path.stem, panel["title"], selector


def fits(selector: Selector) -> bool:
    """Return whether it selects the new SLO's series; a dashboard variable may have any value."""
    for label, how, wanted in selector.matchers:
        if label in LABELS and not wanted.startswith("$"):
            equal = bool(re.fullmatch(wanted, LABELS[label])) if how.endswith("~") else wanted == LABELS[label]
            if equal == how.startswith("!"):
                return False
    return True


def test_the_configuration_is_valid(folder: Path) -> None:
    assert CliRunner().invoke(app, ["check", "--config", str(folder / "config.yaml")]).exit_code == 0


def test_the_monitor_exports_its_events(folder: Path) -> None:
    metrics = Metrics(load(folder / "config.yaml", {}), version="1")
    page = metrics.render("")[0].decode()
    for outcome in ("good", "bad"):
        labels = f'install="default",location="local",outcome="{outcome}",probe="steady",relay="demo",slo="quick"'
        assert f"relay_slo_events_total{{{labels}}} 0.0" in page


def test_the_rules_record_it_and_alert_on_it(folder: Path) -> None:
    found = rules(folder)
    recorded = {rule["record"]: rule["expr"] for rule in found if "record" in rule}
    assert ', slo="quick", relay=~"demo"}) + 0.95' in recorded["slo:objective:ratio"]
    assert ', slo="quick", relay=~"demo"}) + 0.05' in recorded["slo:error_budget:ratio"]
    assert ', slo="quick", relay=~"demo"}) + 0.15' in recorded["slo:threshold:seconds"]
    assert 'ratio_rate7d{install="default", slo=~"quick"}' in recorded["slo:period_error_budget_remaining:ratio"]
    burning = [rule for rule in found if rule.get("alert") == "RelayErrorBudgetBurn" and '"quick"' in rule["expr"]]
    # An hour of 30 days is 14 minutes of 7 days.
    assert [rule["expr"].split("{")[0].removeprefix("(slo:sli_error:ratio_rate") for rule in burning] == [
        "14m", "1h24m", "5h36m", "16h48m",
    ]  # fmt: skip


def test_the_runbook_has_its_objective(folder: Path) -> None:
    page = (folder / "docs" / "runbooks" / "RelayErrorBudgetBurn.md").read_text("utf-8")
    assert "| quick | latency | steady | all | 95% | 150ms | 7d |" in page
    assert 'slo:sli_error:ratio_rate14m{install="default", slo=~"quick"}' in page


def test_the_dashboards_include_it(folder: Path) -> None:
    """No selector names an SLO or excludes this one, and every selected series is recorded or exported."""
    numbers = ("objective_ratio", "threshold_seconds", "window_seconds")
    exported = {"relay_slo_events_total", *(f"relay_slo_{number}" for number in numbers)}
    there = {rule["record"] for rule in rules(folder) if "record" in rule} | exported
    asked = [each for each in shown(folder) if each[2].name.startswith(("slo:", "relay_slo_"))]
    assert {selector.name for _, _, selector in asked} >= {
        "slo:period_error_budget_remaining:ratio", "slo:current_burn_rate:ratio", "slo:objective:ratio",
    }  # fmt: skip
    assert [each for each in asked if each[2].name not in there or not fits(each[2])] == []


@pytest.mark.slow
def test_the_simulation_includes_it(folder: Path) -> None:
    few = ("--trials", "10", "--months", "1", "--noise", "0.001", "--output", "json")
    done = CliRunner().invoke(app, ["simulate", "--config", str(folder / "config.yaml"), *few])
    rows = [row for row in json.loads(done.stdout)["rows"] if row["slo"] == "quick"]
    assert {(row["alert"], row["severity"]) for row in rows} == {
        ("RelayErrorBudgetBurn", "critical"),
        ("RelayErrorBudgetBurn", "warning"),
    }
    assert {row["fault"] for row in rows} == {"all fail, relay up", "10 % errors", "2 % errors", "latency ×2"}
