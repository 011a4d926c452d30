"""The alerts of the shipped configuration and of variants of it."""

from __future__ import annotations

import re
from typing import Any

import yaml

from monitor.config import parse
from monitor.slo.generate import generated
from tests.relays import ROOT
from tests.slo.rules import location_cases, relay_cases

CONTRACT = {
    "RelayDown", "RelayPartialFailure", "RelayProbeFailing", "RelayErrorBudgetBurn", "RelayMessagesLost",
    "RelayLatencyTrend", "RelayPairsUnstable", "RelayProbeRateLimited", "RelayCertificateExpiring", "RelayProbeStale",
    "RelayMonitorAbsent", "RelayMonitorUnhealthy", "RelayMonitorConfigReloadFailed", "RelayMonitorRulesDrift",
    "Watchdog",
}  # fmt: skip
RELAY = "{{ $labels.relay }}"
LOCATION = "{{ $labels.location }}"
NAMED = dict.fromkeys(CONTRACT, RELAY) | {
    "RelayInMaintenance": RELAY,
    "RelayMonitorAbsent": "location local",
    "RelayMonitorUnhealthy": LOCATION,
    "RelayMonitorConfigReloadFailed": LOCATION,
    "RelayMonitorRulesDrift": "rules do not match",
    "Watchdog": "always fires",
}
"""What the summary of each alert names: the relay, the monitor or the cause."""

SHIPPED = (ROOT / "config.yaml").read_text("utf-8")


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
    assert set(found) == CONTRACT | {"RelayInMaintenance"}
    for name, made in found.items():
        assert (ROOT / "docs" / "runbooks" / f"{name}.md").exists()
        for rule in made:
            assert rule["labels"]["service"] == "relay-monitor"
            assert rule["labels"]["severity"] in {"critical", "warning", "info", "none"}
            assert set(rule["annotations"]) == {"summary", "description", "runbook_url", "dashboard_url"}
            assert rule["annotations"]["runbook_url"].endswith(f"/{name}")
            assert NAMED[name] in rule["annotations"]["summary"]


def test_every_alert_has_cases() -> None:
    asked = {alert for case in (*relay_cases.CASES, *relay_cases.SLOW) for _, alert, _, firing in case.expect if firing}
    assert asked >= CONTRACT | {"RelayInMaintenance"}


def test_max_severity_warning_turns_pages_into_warnings() -> None:
    text = SHIPPED.replace("max_severity: critical", "max_severity: warning")
    severities = {name: {rule["labels"]["severity"] for rule in made} for name, made in rules(text).items()}
    assert severities["RelayDown"] == {"warning"}
    assert "critical" not in severities["RelayErrorBudgetBurn"] | severities["RelayMessagesLost"]
    assert rules(text)["RelayDown"][0]["expr"] == 'relay_up{relay=~"demo"} == 0'


def test_several_locations_page_on_a_quorum_and_one_location_warns() -> None:
    text = SHIPPED.replace("locations: [local]", "locations: [local, remote, third]")
    found = rules(text)
    (down,) = found["RelayDown"]
    trusted = "(relay_up unless on (location, instance, job) relay_monitor_healthy == 0)"
    assert down["expr"] == f"count by (relay) ({trusted} == 0)\n> 0.5 * count by (relay) ({trusted})"
    probe, location = found["RelayProbeFailing"]
    assert "$labels.probe" in probe["annotations"]["description"]
    assert "$labels.probe" not in location["annotations"]["description"]
    assert location["expr"].startswith(f"{trusted} == 0\nunless on (relay)")
    assert [rule["labels"]["severity"] for rule in found["RelayMonitorAbsent"]] == [*["warning"] * 3, "critical"]
    pages = [rule for rule in found["RelayErrorBudgetBurn"] if rule["labels"]["severity"] == "critical"]
    pages += [rule for rule in found["RelayMessagesLost"] if rule["labels"]["severity"] == "critical"]
    assert all(rule["expr"].startswith("count by (slo, relay, probe)") for rule in pages)


def test_pauses_of_a_cron_schedule_are_not_stale() -> None:
    text = SHIPPED.replace("schedule: {every: 5m}", 'schedule: {cron: "*/30 8-17 * * mon-fri"}')
    (stale,) = (rule["expr"] for rule in rules(text)["RelayProbeStale"] if "session" in rule["expr"])
    # From Friday 17:30 to Monday 8:00, and two runs more.
    assert 'increase(relay_monitor_runs_total{result="started", probe=~"session"}[2d15h30m])' in stale


def test_only_probes_with_a_long_interval_have_separate_burn_rules() -> None:
    """The pauses of a cron schedule do not count as its interval."""
    often, nightly, rarely = (
        rules(SHIPPED.replace("schedule: {every: 5m}", f"schedule: {each}"))["RelayErrorBudgetBurn"]
        for each in ("{every: 2m}", '{cron: "*/2 8-17 * * *"}', "{every: 30m}")
    )
    assert nightly == often
    assert len(rarely) == 2 * len(often)
    assert {rule["labels"].get("longest_gap") for rule in rarely if "session" in rule["expr"]} == {"30m"}


def test_each_shard_of_each_location_has_its_absence_alert() -> None:
    found = [
        rule for rule in rules(location_cases.CONFIG)["RelayMonitorAbsent"] if rule["labels"]["severity"] == "warning"
    ]
    assert [rule["expr"] for rule in found] == [
        f'absent(relay_monitor_shard_info{{location="{location}", shard="{index}/2"}})'
        for location in location_cases.LOCATIONS
        for index in range(2)
    ]
    assert "shard 1/2 of location third" in found[-1]["annotations"]["description"]


def test_configured_labels_are_on_every_alert() -> None:
    text, replaced = re.subn(r"(?m)^  labels: \{\}", "  labels: {namespace: wallets}", SHIPPED)
    assert replaced == 1
    assert all(rule["labels"]["namespace"] == "wallets" for made in rules(text).values() for rule in made)


def test_dashboard_urls_have_the_relay_and_the_evaluated_window() -> None:
    found = rules(SHIPPED)
    detail = "http://127.0.0.1:3000/d/relay-monitor-relay?var-relay={{ $labels.relay }}"
    assert found["RelayDown"][0]["annotations"]["dashboard_url"] == f"{detail}&from=now-3600s&to=now"
    spans = {rule["annotations"]["dashboard_url"].removeprefix(detail) for rule in found["RelayErrorBudgetBurn"]}
    # 1 h, 6 h, 1 d and 3 d.
    assert spans == {f"&from=now-{span}s&to=now" for span in (3600, 21_600, 86_400, 259_200)}
    assert found["RelayMonitorAbsent"][0]["annotations"]["dashboard_url"].endswith("-health?from=now-3600s&to=now")


def test_the_operator_format_has_the_same_rules() -> None:
    plain, wrapped = rules(SHIPPED), rules(SHIPPED, operator=True)
    assert plain == wrapped
