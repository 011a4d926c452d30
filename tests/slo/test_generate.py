"""What `generate` writes: in step with the configuration, accepted by the real tools, and right in every case."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from typer.testing import CliRunner

from monitor.cli import app
from monitor.config import parse
from monitor.slo.generate import generated
from tests.relays import ROOT
from tests.slo import cases, monitor_cases, promtool, rare, spread

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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

RULES = ROOT / "alerts" / "relay-monitor.rules.yml"
PROMTOOL_3 = ROOT / "build" / "promtool3"
SHIPPED = (ROOT / "config.yaml").read_text("utf-8")


def tool(*names: str) -> str:
    for name in names:
        if (found := shutil.which(name)) is not None:
            return found
    return str(pytest.skip(f"{names[0]} is not there: apt-get install -y prometheus prometheus-alertmanager"))


def promtool_3() -> str:
    if not PROMTOOL_3.exists():
        pytest.skip(f"{PROMTOOL_3.relative_to(ROOT)} is not there: CONTRIBUTING.md says how to build it")
    return str(PROMTOOL_3)


def run(*command: str | Path, timeout: float = 110) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False, env=promtool.ENVIRONMENT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules(text: str, **options: Any) -> dict[str, list[dict[str, Any]]]:
    """The alerts of a configuration, by name."""
    document = yaml.safe_load(generated(parse(text, "config.yaml", {}), **options)["alerts/relay-monitor.rules.yml"])
    found: dict[str, list[dict[str, Any]]] = {}
    for group in document.get("spec", document)["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                found.setdefault(rule["alert"], []).append(rule)
    return found


def test_the_committed_files_are_those_of_the_shipped_configuration() -> None:
    done = CliRunner().invoke(
        app, ["generate", "--check", "--config", str(ROOT / "config.yaml"), "--output", str(ROOT)]
    )
    assert done.stdout == ""
    assert done.exit_code == 0


def test_what_drifted_is_named(tmp_path: Path) -> None:
    arguments = ["generate", "--config", str(ROOT / "config.yaml"), "--output", str(tmp_path)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    (tmp_path / "alerts" / "alertmanager.yml").unlink()
    (tmp_path / "docs" / "runbooks" / "RelayDown.md").write_text("mine", encoding="utf-8")
    (tmp_path / "docs" / "runbooks" / "Forgotten.md").write_text("", encoding="utf-8")
    done = CliRunner().invoke(app, [*arguments, "--check"])
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        f"{tmp_path}/alerts/alertmanager.yml: is missing",
        f"{tmp_path}/docs/runbooks/RelayDown.md: differs from the configuration",
        f"{tmp_path}/docs/runbooks/Forgotten.md: belongs to no alert",
        "run: relay-monitor generate",
    ]


def test_every_alert_is_there_with_all_it_must_carry() -> None:
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


def test_a_relay_worth_no_page_pages_nobody() -> None:
    text = SHIPPED.replace("max_severity: critical", "max_severity: warning")
    severities = {name: {rule["labels"]["severity"] for rule in made} for name, made in rules(text).items()}
    assert severities["RelayDown"] == {"warning"}
    assert "critical" not in severities["RelayErrorBudgetBurn"] | severities["RelayMessagesLost"]
    assert rules(text)["RelayDown"][0]["expr"] == 'relay_up{relay=~"demo"} == 0'


def test_several_locations_page_on_a_quorum_and_warn_alone() -> None:
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


def test_the_nights_of_a_cron_line_are_no_silence() -> None:
    text = SHIPPED.replace("schedule: {every: 5m}", 'schedule: {cron: "*/30 8-17 * * mon-fri"}')
    (stale,) = (rule["expr"] for rule in rules(text)["RelayProbeStale"] if "session" in rule["expr"])
    # From Friday 17:30 to Monday 8:00, and two runs more.
    assert 'increase(relay_monitor_runs_total{result="started", probe=~"session"}[2d15h30m])' in stale


def test_only_the_probes_that_run_rarely_have_rules_of_their_own() -> None:
    """And the nights of a cron line make none rare: nobody tries, and what pages may end."""
    often, nightly, rarely = (
        rules(SHIPPED.replace("schedule: {every: 5m}", f"schedule: {each}"))["RelayErrorBudgetBurn"]
        for each in ("{every: 2m}", '{cron: "*/2 8-17 * * *"}', "{every: 30m}")
    )
    assert nightly == often
    assert len(rarely) == 2 * len(often)
    assert {rule["labels"].get("longest_gap") for rule in rarely if "session" in rule["expr"]} == {"30m"}


def test_each_shard_of_each_location_is_missed_by_itself() -> None:
    found = [rule for rule in rules(spread.CONFIG)["RelayMonitorAbsent"] if rule["labels"]["severity"] == "warning"]
    assert [rule["expr"] for rule in found] == [
        f'absent(relay_monitor_shard_info{{location="{location}", shard="{index}/2"}})'
        for location in spread.PLACES
        for index in range(2)
    ]
    assert "shard 1/2 of location third" in found[-1]["annotations"]["description"]


def test_labels_of_ones_own_are_on_every_alert() -> None:
    text = SHIPPED.replace(
        "  labels: {}                         # on every alert", "  labels: {namespace: wallets}  # on every"
    )
    assert all(rule["labels"]["namespace"] == "wallets" for made in rules(text).values() for rule in made)


def test_an_alert_opens_its_relay_over_what_it_looks_back_on() -> None:
    found = rules(SHIPPED)
    detail = "http://127.0.0.1:3000/d/relay-monitor-relay?var-relay={{ $labels.relay }}"
    assert found["RelayDown"][0]["annotations"]["dashboard_url"] == f"{detail}&from=now-3600s&to=now"
    spans = {rule["annotations"]["dashboard_url"].removeprefix(detail) for rule in found["RelayErrorBudgetBurn"]}
    # 1 h, 6 h, 1 d and 3 d.
    assert spans == {f"&from=now-{span}s&to=now" for span in (3600, 21_600, 86_400, 259_200)}
    assert found["RelayMonitorAbsent"][0]["annotations"]["dashboard_url"].endswith("-health?from=now-3600s&to=now")


def test_a_runbook_has_the_objectives_of_every_relay_and_the_address_of_the_page() -> None:
    text = """
relays: [{name: demo, url: embedded}, {name: stage, url: embedded}]
probes: [{name: steady, scenario: steady-messaging}]
slos:
  - {name: delivery, probe: steady, sli: availability, objective: 99.9%}
  - name: round-trip
    probe: steady
    sli: latency
    threshold: 400ms
    objective: 99%
    window: 7d
    overrides: {stage: {objective: 95%, threshold: 1s}}
alerts: {external_url: "http://mon.example.com/"}
"""
    made = generated(parse(text, "config.yaml", {}))["docs/runbooks/RelayErrorBudgetBurn.md"].decode()
    assert made[made.index("| delivery") :].splitlines() == [
        "| delivery | availability | steady | all | 99.9% | – | 30d |",
        "| round-trip | latency | steady | demo | 99% | 400ms | 7d |",
        "| round-trip | latency | steady | stage | 95% | 1s | 7d |",
    ]
    assert "<http://mon.example.com/>" in made


def test_the_operator_gets_the_same_rules() -> None:
    plain, wrapped = rules(SHIPPED), rules(SHIPPED, operator=True)
    assert plain == wrapped


def test_no_rule_is_a_yaml_alias() -> None:
    """Prometheus takes them, and never evaluates what they stand for."""
    for name in ("relay-monitor.rules.yml", "alertmanager.yml"):
        text = (ROOT / "alerts" / name).read_text("utf-8")
        assert not [line for line in text.splitlines() if line.strip().startswith(("&", "*", "- &", "- *"))]


def test_the_cases_are_those_that_are_committed() -> None:
    for name, text in promtool.files().items():
        assert (ROOT / "alerts" / "tests" / name).read_text("utf-8") == text


def test_every_alert_has_cases() -> None:
    asked = {alert for case in (*cases.CASES, *cases.SLOW) for _, alert, _, firing in case.expect if firing}
    assert asked >= CONTRACT | {"RelayInMaintenance"}


@pytest.mark.required_counterpart("promtool")
class TestPromtool:
    def test_it_finds_no_fault_in_the_rules(self) -> None:
        run(tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", RULES)

    @pytest.mark.parametrize("name", sorted(promtool.files()))
    def test_every_case_comes_out_as_it_should(self, name: str) -> None:
        run(tool("promtool"), "test", "rules", ROOT / "alerts" / "tests" / name)


@pytest.mark.integration
class TestPrometheus3:
    def test_it_finds_no_fault_in_the_rules(self) -> None:
        run(promtool_3(), "check", "rules", "--lint=all", "--lint-fatal", RULES)

    @pytest.mark.parametrize("name", sorted(promtool.files()))
    def test_every_case_comes_out_as_it_should(self, name: str) -> None:
        run(promtool_3(), "test", "rules", ROOT / "alerts" / "tests" / name)


def come_out(folder: Path, program: str, made: bytes, told: Sequence[cases.Case], scrape: int = cases.SCRAPE) -> None:
    """The rules have no fault, and what the cases say comes out."""
    (folder / "rules.yml").write_bytes(made)
    (folder / "cases.yml").write_text(
        yaml.safe_dump(promtool.document("rules.yml", told, scrape), width=10_000), encoding="utf-8"
    )
    run(program, "check", "rules", "--lint=all", "--lint-fatal", folder / "rules.yml")
    run(program, "test", "rules", folder / "cases.yml")


@pytest.mark.integration
@pytest.mark.parametrize(
    "which", [pytest.param("promtool", marks=pytest.mark.required_counterpart("promtool")), "promtool3"]
)
@pytest.mark.parametrize(
    ("config", "about", "scrape"),
    [
        pytest.param(spread.CONFIG, spread.CASES, cases.SCRAPE, id="several locations and shards"),
        pytest.param(rare.ALONE, rare.CASES_ALONE, rare.SCRAPE, id="rare probes"),
        pytest.param(rare.SLOW, rare.CASES_SLOW, cases.SCRAPE, id="slow pairs"),
        pytest.param(rare.SPREAD, rare.CASES_SPREAD, rare.SCRAPE, id="rare probes at several locations"),
    ],
)
def test_other_configurations_come_out_as_they_should(
    tmp_path: Path, which: str, config: str, about: Sequence[cases.Case], scrape: int
) -> None:
    program = tool("promtool") if which == "promtool" else promtool_3()
    made = generated(parse(config, "config.yaml", {}))["alerts/relay-monitor.rules.yml"]
    come_out(tmp_path, program, made, about, scrape)


@pytest.mark.required_counterpart("promtool")
def test_rules_without_objectives_know_that_a_monitor_has_some(tmp_path: Path) -> None:
    text = SHIPPED[: SHIPPED.index("\nslos:")]
    made = generated(parse(text, "config.yaml", {}))["alerts/relay-monitor.rules.yml"]
    come_out(
        tmp_path,
        tool("promtool"),
        made,
        [
            cases.Case(
                name="RelayMonitorRulesDrift: the first SLO",
                series={monitor_cases.window("delivery"): "2592000x80"},
                expect=[
                    ("5m", "RelayMonitorRulesDrift", "warning", 0),
                    ("15m", "RelayMonitorRulesDrift", "warning", 1),
                ],
            )
        ],
    )


@pytest.mark.required_counterpart("amtool")
class TestAmtool:
    FILE = ROOT / "alerts" / "alertmanager.yml"

    def test_it_accepts_the_routes(self) -> None:
        run(tool("amtool"), "check-config", self.FILE)

    @pytest.mark.parametrize(
        ("labels", "receiver"),
        [
            ("alertname=RelayDown severity=critical relay=demo", "pages"),
            ("alertname=RelayErrorBudgetBurn severity=warning relay=demo", "tickets"),
            ("alertname=RelayMonitorAbsent severity=critical", "pages"),
            ("alertname=Watchdog severity=none", "dead-mans-switch"),
            ("alertname=RelayInMaintenance severity=info relay=demo", "nobody"),
        ],
    )
    def test_an_alert_goes_where_it_should(self, labels: str, receiver: str) -> None:
        command = (tool("amtool"), "config", "routes", "test", f"--config.file={self.FILE}", "service=relay-monitor")
        assert run(*command, *labels.split()).strip() == receiver
