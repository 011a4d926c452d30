"""The notification of a drill reaches the monitor that drills, and never a person."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from monitor.config import parse
from monitor.drill import ALERT, SERIES
from monitor.slo.alertmanager import alertmanager_file, route_part
from monitor.slo.generate import generated
from tests.e2e.programs import AMTOOL, find
from tests.relays import ROOT
from tests.slo.dashboards.promql import selectors
from tests.slo.rules.promtool import run
from tests.slo.test_alertmanager import holds, matches

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHIPPED: Final = (ROOT / "config.yaml").read_text("utf-8")
MANY: Final = """
install: prod
location: eu
locations: [eu, us]
shards: 2
relays:
  - {name: demo, url: embedded, owner: Team "Wallets", group: lb, page_after: 2m}
  - {name: stage, url: embedded, max_severity: warning, owner: .*}
probes: [{name: steady, scenario: steady-messaging}]
slos: [{name: delivery, probe: steady, sli: availability, objective: 99.9%}]
alerts: {external_url: "https://{location}-{shard}.example.com", labels: {team: wallets}}
"""
ONE_ADDRESS: Final = MANY.replace("{location}-{shard}", "monitors")

LABELS: Final[dict[str, tuple[str, ...]]] = {
    "severity": ("none", "critical", "warning", "info", ""),
    "location": ("eu", "us", "local", "elsewhere", ""),
    "shard": ("0/1", "0/2", "1/2", "7/9", ""),
    "relay": ("", "drill", "demo"),
    "owner": ("", 'Team "Wallets"', ".*"),
    "group": ("", "lb"),
    "slo": ("", "delivery"),
}
"""What the labels of a drill's alert could be, if its rule were changed or relabelled."""


def alertmanager(text: str) -> dict[str, Any]:
    made: dict[str, Any] = yaml.safe_load(alertmanager_file(parse(text, "config.yaml", {})))
    return made


def install_of(text: str) -> str:
    return "prod" if "install: prod" in text else "default"


def drills(text: str) -> Iterator[dict[str, str]]:
    """Yield all labels that the alert of a drill could have."""
    for values in itertools.product(*LABELS.values()):
        labels = dict(zip(LABELS, values, strict=True))
        yield {"alertname": ALERT, "service": "relay-monitor", "install": install_of(text), "drill": "k7m2"} | labels


def receivers(route: dict[str, Any], labels: dict[str, str]) -> list[str]:
    """Return the receivers of an alert, as Alertmanager finds them: the first child that matches, if not `continue`."""
    found: list[str] = []
    for child in route.get("routes", ()):
        if matches(child.get("matchers", ()), labels):
            found += receivers(child | {"receiver": child.get("receiver", route["receiver"])}, labels)
            if not child.get("continue", False):
                break
    return found or [route["receiver"]]


def addresses(file: dict[str, Any], name: str) -> list[str]:
    """Return the URLs that a receiver notifies; it must have nothing but webhooks."""
    (receiver,) = [each for each in file["receivers"] if each["name"] == name]
    assert receiver.keys() <= {"name", "webhook_configs"}
    return [each["url"] for each in receiver.get("webhook_configs", ())]


@pytest.mark.parametrize("text", [SHIPPED, MANY, ONE_ADDRESS], ids=["shipped", "many", "one address"])
class TestNeverToAPerson:
    def test_whatever_its_labels_only_the_webhook_of_a_monitor_is_notified(self, text: str) -> None:
        file = alertmanager(text)
        for labels in drills(text):
            for name in receivers(file["route"], labels):
                assert all(url.endswith("/-/drill") for url in addresses(file, name)), (labels, name)

    def test_its_route_is_the_first_and_ends_there(self, text: str) -> None:
        first, *others = alertmanager(text)["route"]["routes"]
        assert f'alertname="{ALERT}"' in first["matchers"]
        assert not any("continue" in route for route in (first, *first.get("routes", ())))
        assert not any(ALERT in matcher for route in others for matcher in route.get("matchers", ()))

    def test_no_other_alert_reaches_its_receivers(self, text: str) -> None:
        file = alertmanager(text)
        own = {receiver["name"] for receiver in file["receivers"] if receiver["name"].startswith("drill")}
        for labels in itertools.islice(drills(text), 0, None, 7):
            for name in ("RelayDown", "RelayMonitorDrillFailed", "Watchdog", f"{ALERT}s"):
                assert own.isdisjoint(receivers(file["route"], labels | {"alertname": name}))

    def test_without_its_route_the_severity_leads_to_nobody(self, text: str) -> None:
        file = alertmanager(text)
        del file["route"]["routes"][0]
        for labels in drills(text):
            if labels["severity"] == "none":
                assert receivers(file["route"], labels) == ["nobody"]
        assert addresses(file, "nobody") == []

    def test_no_alert_inhibits_it_and_it_inhibits_none(self, text: str) -> None:
        file = alertmanager(text)
        for labels in drills(text):
            for rule in file["inhibit_rules"]:
                assert labels["relay"] or not matches(rule["target_matchers"], labels), rule
                assert not matches(rule["source_matchers"], labels), rule

    def test_its_rule_has_the_severity_none_and_no_relay(self, text: str) -> None:
        rules = yaml.safe_load(generated(parse(text, "config.yaml", {}))["alerts/relay-monitor.rules.yml"])
        (rule,) = [rule for group in rules["groups"] for rule in group["rules"] if rule.get("alert") == ALERT]
        assert rule["labels"]["severity"] == "none"
        assert "relay" not in rule["labels"]
        assert rule["expr"].startswith("max by (install, location, shard, drill) (")
        assert "for" not in rule


@pytest.mark.parametrize("text", [SHIPPED, MANY], ids=["shipped", "many"])
def test_in_the_tree_of_other_teams_it_reaches_none_of_their_people(text: str) -> None:
    part = yaml.safe_load(route_part(parse(text, "config.yaml", {})))
    pager = {"name": "pager", "pagerduty_configs": [{"routing_key": "x"}]}
    file: dict[str, Any] = {
        "route": {"receiver": "pager", "routes": [part["route"], {"matchers": ['severity="critical"']}]},
        "receivers": [pager, *part["receivers"]],
    }
    reached = set()
    for labels in drills(text):
        for name in receivers(file["route"], labels):
            reached |= set(addresses(file, name))
            assert all(url.endswith("/-/drill") for url in addresses(file, name)), (labels, name)
    assert reached


def test_each_monitor_has_its_own_webhook() -> None:
    file = alertmanager(MANY)
    base = {"alertname": ALERT, "service": "relay-monitor", "install": "prod", "severity": "none", "drill": "k7m2"}
    for location, index in itertools.product(("eu", "us"), (0, 1)):
        (name,) = receivers(file["route"], base | {"location": location, "shard": f"{index}/2"})
        assert addresses(file, name) == [f"https://{location}-{index}.example.com/-/drill"]
    assert receivers(file["route"], base | {"location": "elsewhere", "shard": "0/2"}) == ["nobody"]


def test_monitors_at_one_address_share_a_receiver() -> None:
    file = alertmanager(ONE_ADDRESS)
    names = [each["name"] for each in file["receivers"] if each["name"].startswith("drill")]
    assert names == ["drill"]
    assert addresses(file, "drill") == ["https://monitors.example.com/-/drill"]


def test_each_drill_is_a_group_and_its_end_is_not_told() -> None:
    file = alertmanager(SHIPPED)
    assert "drill" in file["route"]["routes"][0]["group_by"]
    (receiver,) = [each for each in file["receivers"] if each["name"] == "drill"]
    assert receiver["webhook_configs"][0]["send_resolved"] is False


def test_alertmanager_sends_the_token_if_the_monitor_asks_for_one(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a token")
    file = alertmanager(MANY + f"drill: {{token_file: {tmp_path / 'token'}}}\n")
    drills = [each["webhook_configs"][0] for each in file["receivers"] if each["name"].startswith("drill")]
    assert [each["http_config"] for each in drills] == [
        {"authorization": {"credentials_file": "/etc/alertmanager/secrets/drill"}}
    ] * 4
    assert "http_config" not in json.dumps(alertmanager(MANY))


def test_no_dashboard_shows_its_alert_or_its_relay() -> None:
    files = generated(parse(SHIPPED, "config.yaml", {}))
    found = [
        selector
        for name, content in files.items()
        if name.startswith("dashboards/") and name.endswith(".json")
        for expression in expressions(json.loads(content))
        for selector in selectors(expression)
    ]
    assert any(selector.name == "ALERTS" for selector in found)
    for selector in found:
        assert selector.name != SERIES
        if selector.name.startswith("ALERTS"):
            assert not all(
                holds(how, wanted, ALERT) for label, how, wanted in selector.matchers if label == "alertname"
            )


def expressions(value: Any) -> Iterator[str]:
    """Yield the expressions of a dashboard."""
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if key == "expr":
            yield each
        else:
            yield from expressions(each)


@pytest.mark.required_counterpart("amtool")
@pytest.mark.parametrize("text", [SHIPPED, MANY], ids=["shipped", "many"])
def test_amtool_finds_the_same_receivers(tmp_path: Path, text: str) -> None:
    path = tmp_path / "alertmanager.yml"
    path.write_bytes(alertmanager_file(parse(text, "config.yaml", {})))
    run(find(AMTOOL), "check-config", path)
    file = alertmanager(text)
    for labels in itertools.islice(drills(text), 0, None, 613):
        # A value with a quote needs quotes of its own.
        words = [f"{name}={value}" for name, value in labels.items() if value and '"' not in value]
        known = {name: value for name, value in labels.items() if '"' not in value}
        found = run(find(AMTOOL), "config", "routes", "test", f"--config.file={path}", *words).strip()
        assert found == ",".join(receivers(file["route"], known))
