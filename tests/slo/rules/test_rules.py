"""The alerts of the shipped configuration and of variants of it."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from monitor.config import parse
from monitor.slo.generate import generated
from monitor.slo.rules import groups, rules_file
from tests.relays import ROOT
from tests.slo.dashboards.promql import selectors
from tests.slo.rules import location_cases, monitor_cases, relay_cases, verdict_cases

CONTRACT = {
    "RelayDown", "RelayNotAccepting", "RelayGroupDown", "RelayPartialFailure", "RelayProbeFailing", "RelayUnobserved",
    "RelayMonitorCredentials", "RelayInMaintenance", "RelayErrorBudgetBurn", "RelayMessagesLost",
    "RelayLatencyTrend", "RelayPairsUnstable", "RelayProbeRateLimited", "RelayCertificateExpiring", "RelayProbeStale",
    "RelayMonitorAbsent", "RelayMonitorUnhealthy", "RelayMonitorConfigReloadFailed", "RelayMonitorRulesDrift",
    "RelayMonitorTaskFailed", "RelayMonitorJournalFailed", "RelayMonitorDrill", "RelayMonitorDrillFailed", "Watchdog",
}  # fmt: skip
RELAY = "{{ $labels.relay }}"
LOCATION = "{{ $labels.location }}"
NAMED = dict.fromkeys(CONTRACT, RELAY) | {
    "RelayGroupDown": "{{ $labels.group }}",
    "RelayMonitorAbsent": "onitor",
    "RelayMonitorUnhealthy": LOCATION,
    "RelayMonitorConfigReloadFailed": LOCATION,
    "RelayMonitorTaskFailed": LOCATION,
    "RelayMonitorJournalFailed": LOCATION,
    "RelayMonitorRulesDrift": "onfigur",
    "RelayMonitorDrill": LOCATION,
    "RelayMonitorDrillFailed": LOCATION,
    "Watchdog": "always fires",
}
"""What the summary of each alert names: the relay, the monitor or the cause."""

SHIPPED = (ROOT / "config.yaml").read_text("utf-8")
IN_PROD = (
    re.sub(r"(?m)^install: \w+", "install: prod", SHIPPED) if "\ninstall:" in SHIPPED else f"install: prod\n{SHIPPED}"
)


def rules(text: str, **options: Any) -> dict[str, list[dict[str, Any]]]:
    """The alerts of a configuration, by name."""
    document = yaml.safe_load(generated(parse(text, "config.yaml", {}), **options)["alerts/relay-monitor.rules.yml"])
    found: dict[str, list[dict[str, Any]]] = {}
    for group in document.get("spec", document)["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                found.setdefault(rule["alert"], []).append(rule)
    return found


def test_every_alert_has_its_labels_and_annotations() -> None:
    found = rules(SHIPPED)
    assert set(found) == CONTRACT
    for name, made in found.items():
        assert (ROOT / "docs" / "runbooks" / f"{name}.md").exists()
        for rule in made:
            assert rule["labels"]["service"] == "relay-monitor"
            assert rule["labels"]["install"] == "default"
            # A page about a relay takes its severity from the relay's settings.
            if "severity" not in rule["labels"]:
                assert "group_left (severity" in rule["expr"] or name == "RelayGroupDown"
            else:
                assert rule["labels"]["severity"] in {"critical", "warning", "none"}
            links = {"runbook_url", "dashboard_url", "page_url"} | ({"incident_url"} if NAMED[name] == RELAY else set())
            assert set(rule["annotations"]) == {"summary", "description"} | links
            assert rule["annotations"]["runbook_url"].endswith(f"/{name}.md")
            assert NAMED[name] in rule["annotations"]["summary"]


def test_no_rule_reads_what_is_no_monitor() -> None:
    """Gauges of `once --textfile` and of load tests neither page nor hide that a monitor is absent."""
    made = rules_file(parse(SHIPPED, "config.yaml", {})).decode()
    assert re.findall(r"relay_(?:once|load)_\w+", made) == []


def test_every_alert_has_cases() -> None:
    cases = (*relay_cases.CASES, *relay_cases.SLOW, *monitor_cases.CASES, *verdict_cases.CASES)
    asked = {alert for case in cases for _, alert, _, firing in case.expect if firing}
    assert asked == CONTRACT


@pytest.mark.parametrize("text", [f"install: prod\n{location_cases.CONFIG}", IN_PROD], ids=["locations", "shipped"])
def test_every_selector_group_and_match_has_the_install(text: str) -> None:
    """No rule reads or joins series of another install."""
    for group in groups(parse(text, "config.yaml", {})):
        for rule in group.rules:
            for selector in selectors(rule.expr):
                assert selector.has("install", "=", "prod"), f"{rule.name}: {selector}"
            for labels in re.findall(r"\b(?:by|on) \(([^)]*)\)", rule.expr):
                assert "install" in labels.split(", "), f"{rule.name}: {labels}"


def test_no_rule_reads_alerts() -> None:
    assert "ALERTS" not in rules_file(parse(SHIPPED, "config.yaml", {})).decode()


@pytest.mark.parametrize("interval", ["1s", "15s", "5m"])
def test_groups_are_small_enough_for_mimir(interval: str) -> None:
    slos = "\n".join(
        f"  - {{name: slo-{number}, probe: steady, sli: availability, objective: 99%, window: {number + 7}d}}"
        for number in range(20)
    )
    text = f"""
relays: [{{name: demo, url: embedded, page_after: 1m}}, {{name: other, url: embedded}}]
probes: [{{name: steady, scenario: steady-messaging}}]
slos:
{slos}
prometheus: {{scrape_interval: {interval}, evaluation_interval: {interval}}}
"""
    made = groups(parse(text, "config.yaml", {}))
    assert max(len(group.rules) for group in made) <= 20
    assert len({group.name for group in made}) == len(made)


def test_several_locations_warn_for_each_monitor_and_page_for_most() -> None:
    text = SHIPPED.replace("locations: [local]", "locations: [local, remote, third]")
    found = rules(text)
    severities = [rule["labels"]["severity"] for rule in found["RelayMonitorAbsent"]]
    assert severities == [*["warning"] * 3, "critical", "warning"]
    pages = [rule for rule in found["RelayErrorBudgetBurn"] if "severity" not in rule["labels"]]
    pages += [rule for rule in found["RelayMessagesLost"] if rule["labels"]["severity"] == "critical"]
    assert pages
    assert all(rule["expr"].startswith("(count by (install, relay, probe, slo)") for rule in pages)


@pytest.mark.parametrize("name", ["stability", "latency"])
def test_an_objective_of_100_percent_on_what_loses_no_message_is_no_message_loss(name: str) -> None:
    threshold = ", threshold: 400ms" if name == "latency" else ""
    text = f"""
relays: [{{name: demo, url: embedded}}]
probes: [{{name: steady, scenario: steady-messaging}}]
slos: [{{name: strict, probe: steady, sli: {name}, objective: 100%{threshold}}}]
"""
    found = rules(text)
    assert "RelayMessagesLost" not in found
    assert {rule["labels"]["about"] for rule in found["RelayErrorBudgetBurn"]} == {"no budget"}
    assert not any("essage" in rule["annotations"]["summary"] for rule in found["RelayErrorBudgetBurn"])


@pytest.mark.parametrize(("interval", "waits"), [("1s", "5m"), ("1m", "5m"), ("5m", "11m15s")])
def test_one_missed_scrape_is_no_absent_monitor(interval: str, waits: str) -> None:
    text = SHIPPED.replace("scrape_interval: 15s", f"scrape_interval: {interval}").replace(
        "locations: [local]", "locations: [local, remote]"
    )
    warning = rules(text)["RelayMonitorAbsent"][0]
    assert warning["for"] == waits


def test_the_page_url_has_location_and_relay() -> None:
    text = re.sub(r"(?m)^  external_url: .*$", '  external_url: "https://{location}.mon.example.com"', SHIPPED)
    url = rules(text)["RelayNotAccepting"][0]["annotations"]["page_url"]
    own = "{{ if $labels.location }}{{ $labels.location }}{{ else }}local{{ end }}"
    assert url == f"https://{own}.mon.example.com/?relay={{{{ $labels.relay | urlquery }}}}"


def test_pauses_of_a_cron_schedule_are_not_stale() -> None:
    text = SHIPPED.replace("schedule: {every: 5m}", 'schedule: {cron: "*/30 8-17 * * mon-fri"}')
    (stale,) = (rule["expr"] for rule in rules(text)["RelayProbeStale"] if "session" in rule["expr"])
    # From Friday 17:30 to Monday 8:00, and two runs more.
    assert 'result="started", probe=~"session"}[2d15h30m])' in stale


def test_only_probes_with_a_long_interval_have_separate_burn_rules() -> None:
    """The pauses of a cron schedule do not count as its interval."""
    often, nightly, rarely = (
        [
            rule
            for rule in rules(SHIPPED.replace("schedule: {every: 5m}", f"schedule: {each}"))["RelayErrorBudgetBurn"]
            if "long_window" in rule["labels"]
        ]
        for each in ("{every: 2m}", '{cron: "*/2 8-17 * * *"}', "{every: 30m}")
    )
    assert nightly == often
    assert len(rarely) == 2 * len(often)
    assert {rule["labels"].get("longest_gap") for rule in rarely if "session" in rule["expr"]} == {"30m"}


def test_each_shard_of_each_location_has_its_absence_alert() -> None:
    found = [rule for rule in rules(location_cases.CONFIG)["RelayMonitorAbsent"] if rule["expr"].startswith("absent")]
    assert [rule["expr"] for rule in found] == [
        f'absent(relay_monitor_shard_info{{install="default", location="{location}", shard="{index}/2"}})'
        for location in location_cases.LOCATIONS
        for index in range(2)
    ]
    assert "shard 1/2 of location third" in found[-1]["annotations"]["summary"]


def test_configured_labels_are_on_every_alert() -> None:
    text, replaced = re.subn(r"(?m)^  labels: \{\}", "  labels: {namespace: wallets}", SHIPPED)
    assert replaced == 1
    assert all(rule["labels"]["namespace"] == "wallets" for made in rules(text).values() for rule in made)


def test_dashboards_open_before_the_fault_and_by_the_evaluated_window() -> None:
    found = rules(SHIPPED)
    assert "/d/relay-monitor-relay?" in found["RelayDown"][0]["annotations"]["dashboard_url"]
    assert "/d/relay-monitor-health?" in found["RelayMonitorAbsent"][0]["annotations"]["dashboard_url"]
    before = [re.findall(r" - (\d+)\)", rule["annotations"]["dashboard_url"]) for rule in found["RelayErrorBudgetBurn"]]
    # 1 h, 6 h, 1 d and 3 d.
    assert {seconds for some in before for seconds in some} == {"3600", "21600", "86400", "259200"}


def test_the_runbook_is_that_of_the_owner() -> None:
    text = """
relays: [{name: demo, url: embedded, owner: 'Team "Wallets"'}]
probes: [{name: steady, scenario: steady-messaging}]
alerts: {owners: {'Team "Wallets"': {runbook_base_url: "https://wallets.example.com/runbooks/"}}}
"""
    url = rules(text)["RelayDown"][0]["annotations"]["runbook_url"]
    assert url == (
        r'{{ if eq $labels.owner "Team \"Wallets\"" }}https://wallets.example.com/runbooks/RelayDown.md'
        "{{ else }}https://runbooks.example.com/relay-monitor/RelayDown.md{{ end }}"
    )


def test_the_operator_format_has_the_same_rules() -> None:
    plain, wrapped = rules(SHIPPED), rules(SHIPPED, operator=True)
    assert plain == wrapped
    document = yaml.safe_load(rules_file(parse(SHIPPED, "config.yaml", {}), operator=True))
    # kube-prometheus-stack selects by this label.
    assert document["metadata"]["labels"]["release"] == "kube-prometheus-stack"
