"""The generated Alertmanager configuration, by amtool."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from monitor.config import parse
from monitor.slo.alertmanager import alertmanager_file
from tests.e2e.programs import AMTOOL, find
from tests.relays import ROOT
from tests.slo.rules.promtool import run

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@pytest.mark.required_counterpart("amtool")
class TestAmtool:
    FILE = ROOT / "alerts" / "alertmanager.yml"

    def test_check_config_passes(self) -> None:
        run(find(AMTOOL), "check-config", self.FILE)

    @pytest.mark.parametrize(
        ("labels", "receiver"),
        [
            ("alertname=RelayDown severity=critical relay=demo", "pages"),
            ("alertname=RelayNotAccepting severity=critical relay=demo", "pages"),
            ("alertname=RelayGroupDown severity=critical group=eu", "pages"),
            ("alertname=RelayErrorBudgetBurn severity=critical relay=demo slo=delivery", "pages"),
            ("alertname=RelayDown severity=warning relay=demo", "tickets"),
            ("alertname=RelayErrorBudgetBurn severity=warning relay=demo", "tickets"),
            ("alertname=RelayMonitorAbsent severity=critical", "pages"),
            ("alertname=Watchdog severity=none", "dead-mans-switch"),
            ("alertname=RelayMonitorDrill severity=none location=local shard=0/1 drill=k7m2", "drill"),
            ("alertname=RelayMonitorDrillFailed severity=warning location=local shard=0/1", "tickets"),
            ("alertname=RelayInMaintenance severity=none relay=demo", "nobody"),
        ],
    )
    def test_alerts_are_routed_to_their_receiver(self, labels: str, receiver: str) -> None:
        command = (find(AMTOOL), "config", "routes", "test", f"--config.file={self.FILE}", "service=relay-monitor")
        assert run(*command, "install=default", *labels.split()).strip() == receiver

    def test_another_install_has_its_own_routes(self) -> None:
        command = (find(AMTOOL), "config", "routes", "test", f"--config.file={self.FILE}", "service=relay-monitor")
        labels = "install=other alertname=RelayDown severity=critical relay=demo"
        assert run(*command, *labels.split()).strip() == "tickets"

    def test_alerts_of_an_owner_go_to_its_receiver(self, tmp_path: Path) -> None:
        text = """
install: prod
relays: [{name: demo, url: embedded, owner: Team "Wallets"}, {name: stage, url: embedded}]
probes: [{name: steady, scenario: steady-messaging}]
"""
        file = tmp_path / "alertmanager.yml"
        file.write_bytes(alertmanager_file(parse(text, "config.yaml", {})))
        run(find(AMTOOL), "check-config", file)
        command = (find(AMTOOL), "config", "routes", "test", f"--config.file={file}", "service=relay-monitor")
        labels = ("install=prod", "alertname=RelayDown", "severity=critical", "relay=demo")
        assert run(*command, *labels, 'owner="Team \\"Wallets\\""').strip() == 'pages of Team "Wallets"'
        assert run(*command, *labels).strip() == "pages"


def routes() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = alertmanager()["route"]["routes"]
    return made


def alertmanager() -> dict[str, Any]:
    made: dict[str, Any] = yaml.safe_load((ROOT / "alerts" / "alertmanager.yml").read_bytes())
    return made


def test_verdict_alerts_have_one_route_that_budgets_do_not_share() -> None:
    verdicts, budgets = (
        next(route for route in routes() if any(name in matcher for matcher in route["matchers"]))
        for name in ("RelayNotAccepting", "RelayErrorBudgetBurn")
    )
    assert verdicts["group_by"] == ["install", "relay"]
    assert (verdicts["group_wait"], verdicts["group_interval"]) == ("5s", "15s")
    assert budgets is not verdicts
    assert not any("RelayErrorBudgetBurn" in matcher for matcher in verdicts["matchers"])


def test_budgets_wait_for_the_slowest_verdict_on_their_relay() -> None:
    """46 s where the relay asks for less, a scrape and an evaluation, and `page_after`."""
    text = """
relays:
  - {name: quick, url: embedded, page_after: 0s}
  - {name: slow, url: embedded, page_after: 2m}
  - {name: usual.one, url: embedded}
  - {name: usual.two, url: embedded, confirm: {attempts: 4}}
probes: [{name: steady, scenario: steady-messaging}]
"""
    made = yaml.safe_load(alertmanager_file(parse(text, "config.yaml", {})))["route"]["routes"]
    budgets = [route for route in made if any("RelayErrorBudgetBurn" in matcher for matcher in route["matchers"])]
    found = [(route["group_wait"], *(each for each in route["matchers"] if "relay=" in each)) for route in budgets]
    assert found == [
        ("1m16s", 'relay=~"quick"'),
        ("1m46s", 'relay=~"usual[.]one"'),
        ("2m6s", 'relay=~"usual[.]two"'),
        ("3m16s",),
    ]


def inhibited(source: dict[str, str], target: dict[str, str]) -> bool:
    """Whether a firing alert with the labels of `source` inhibits one with those of `target`."""
    base = {"service": "relay-monitor", "install": "default"}
    source, target = base | source, base | target
    return any(
        matches(rule["source_matchers"], source)
        and matches(rule["target_matchers"], target)
        and all(source.get(label, "") == target.get(label, "") for label in rule["equal"])
        for rule in alertmanager()["inhibit_rules"]
    )


def matches(matchers: Iterable[str], labels: dict[str, str]) -> bool:
    """Whether an alert with these labels has what all matchers ask for."""
    for matcher in matchers:
        found = re.fullmatch(r'(\w+)(=~|!~|!=|=)"(.*)"', matcher)
        assert found is not None, matcher
        label, how, wanted = found.groups()
        if not holds(how, wanted, labels.get(label, "")):
            return False
    return True


def holds(how: str, wanted: str, value: str) -> bool:
    """Whether a label's value is what a matcher asks for."""
    is_it = re.fullmatch(wanted, value) is not None if how.endswith("~") else value == wanted
    return is_it != how.startswith("!")


def alert(name: str, severity: str, **labels: str) -> dict[str, str]:
    return {"alertname": name, "severity": severity, "relay": "demo"} | labels


DOWN = alert("RelayDown", "critical")
REFUSING = alert("RelayNotAccepting", "critical")


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (DOWN, alert("RelayProbeFailing", "warning", probe="steady")),
        (DOWN, alert("RelayPairsUnstable", "warning")),
        (DOWN, alert("RelayErrorBudgetBurn", "warning", slo="delivery")),
        (DOWN, alert("RelayErrorBudgetBurn", "critical", slo="delivery")),
        (DOWN, alert("RelayMessagesLost", "critical", slo="recovery")),
        (REFUSING, alert("RelayErrorBudgetBurn", "critical", slo="pairing")),
        (REFUSING, alert("RelayMessagesLost", "warning", slo="recovery", probe="offline-30s")),
        (alert("RelayErrorBudgetBurn", "critical", slo="a"), alert("RelayErrorBudgetBurn", "warning", slo="a")),
        (alert("RelayCertificateExpiring", "critical"), alert("RelayCertificateExpiring", "warning")),
        (alert("RelayGroupDown", "critical", group="eu", relay=""), DOWN | {"group": "eu"}),
        (alert("RelayInMaintenance", "none"), DOWN),
    ],
)
def test_an_alert_inhibits_what_it_explains(source: dict[str, str], target: dict[str, str]) -> None:
    assert inhibited(source, target)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (DOWN, alert("RelayNotAccepting", "critical")),
        (DOWN, alert("RelayErrorBudgetBurn", "critical", slo="delivery", relay="other")),
        (alert("RelayDown", "warning"), alert("RelayErrorBudgetBurn", "critical", slo="delivery")),
        (REFUSING, alert("RelayErrorBudgetBurn", "critical", slo="delivery", probe="steady")),
        (DOWN, alert("RelayCertificateExpiring", "warning")),
        (DOWN, alert("RelayProbeFailing", "warning", relay="other")),
        (DOWN, alert("RelayProbeFailing", "warning", install="other")),
        (DOWN, alert("RelayMonitorRulesDrift", "warning", relay="")),
        (alert("RelayCertificateExpiring", "critical"), alert("RelayErrorBudgetBurn", "warning", slo="delivery")),
        (alert("RelayCertificateExpiring", "critical"), alert("RelayPairsUnstable", "warning")),
        (alert("RelayErrorBudgetBurn", "critical", slo="a"), alert("RelayErrorBudgetBurn", "warning", slo="b")),
        (alert("RelayErrorBudgetBurn", "critical", slo="a"), alert("RelayProbeFailing", "warning")),
        (alert("RelayGroupDown", "critical", group="eu", relay=""), DOWN | {"group": "us"}),
        (alert("RelayGroupDown", "critical", group="eu", relay=""), DOWN),
        (alert("RelayInMaintenance", "none"), DOWN | {"relay": "other"}),
        (alert("RelayInMaintenance", "none"), alert("RelayMonitorAbsent", "critical", relay="")),
        (alert("RelayMonitorUnhealthy", "critical", relay="", location="eu"), DOWN),
    ],
)
def test_an_alert_inhibits_nothing_else(source: dict[str, str], target: dict[str, str]) -> None:
    assert not inhibited(source, target)
