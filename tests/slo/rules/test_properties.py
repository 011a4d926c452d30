"""Rules of random configurations: promtool accepts them, selectors have series, and the oracle agrees on alerts."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from monitor.burn_rate import burn_conditions
from monitor.config import parse, show_duration
from monitor.metrics import Metrics
from monitor.metrics.declared import DECLARED
from monitor.scenarios import PAIRED
from monitor.slo.rules import Alert, groups, rules_file
from monitor.slo.rules.recorded import budgeted, ratio_name, recorded_windows
from monitor.slo.rules.rule import Record
from monitor.vocabulary import Sli
from tests.e2e.programs import PROMTOOL, find
from tests.slo.dashboards.promql import Selector, selectors
from tests.slo.rules.oracle import Oracle
from tests.slo.rules.promtool import promtool_3, run, without_annotations, write_reduced
from tests.slo.rules.series import info
from tests.slo.rules.strategies import configs, histories, keys_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from monitor.config import Config, SloConfig
    from tests.slo.rules.explained import Events, History, Key

Labels = dict[str, str]

BATCH: Final = 3
"""Configurations in one call of promtool, whose start costs more than its run."""

INSTALL: Final = 'install="default", '

MAX_CHANGES: Final = 6
"""Changes of an alert between firing and not firing of which both sides are checked."""

UNEXPECTED: Final = {
    ("relay_monitor_shard_info", "location"),
    ("relay_monitor_shard_info", "shard"),
    ("relay_probe_relay_info", "relay"),
    ("relay_probe_relay_info", "max_severity"),
    ("relay_probe_relay_info", "page_after"),
    ("relay_probe_relay_info", "scope"),
    ("relay_probe_relay_info", "owner"),
    ("relay_probe_relay_info", "group"),
    ("relay_slo_window_seconds", "slo"),
}
"""Negative matchers of the drift alerts, by series and label: without drift they select nothing."""

OF_ANY_PROBE: Final = frozenset({"slo:explained_bad:delta"})
"""Recorded series whose rule also selects probes that no SLO is about."""

# No shrinking: each step would start a process.
PROMTOOL_SETTINGS: Final = settings(
    max_examples=3,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.slow
class TestNoAlertIsDead:
    """Every series that an alert selects is exported by the monitor or recorded by a rule."""

    @settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow], max_examples=40)
    @given(configs())
    def test_every_selector_finds_series(self, config: Config) -> None:
        world = exported(config)
        for group in groups(config):
            for rule in group.rules:
                if isinstance(rule, Record) and rule.name.startswith("relay"):
                    world[rule.name] = recorded_verdicts(config)  # before its selectors: it may read its own samples
                elif isinstance(rule, Record):
                    events = (each for each in selectors(rule.expr) if each.name == "relay_slo_events_total")
                    found = [labels for each in events for labels in matching(each, world)]
                    # A rule over recorded series has their labels.
                    world[rule.name] = found or world[ratio_name(300.0)]
                for selector in selectors(rule.expr):
                    if rule.name not in OF_ANY_PROBE and not any(
                        how.startswith("!") and (selector.name, label) in UNEXPECTED
                        for label, how, _ in selector.matchers
                    ):
                        found_any = any(fits(selector, labels) for labels in world.get(selector.name, ()))
                        assert found_any, f"{rule.name}: {selector}"

    @settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow], max_examples=40)
    @given(configs())
    def test_every_budget_has_its_alerts_and_every_alert_a_budget(self, config: Config) -> None:
        severities = {relay.name: relay.max_severity for relay in config.relays}
        objectives = {slo.name: slo for slo in budgeted(config)}
        expected = set()
        for key in keys_of(config):
            slo = objectives[key.slo]
            if slo.objective_for(key.relay) == 1:
                paging = {severities[key.relay], "warning"}
                expected |= {(strict_alert(config, slo), severity, key, "") for severity in paging}
                expected.add(("RelayErrorBudgetBurn", "warning", key, ""))  # of failures that lose no message
                continue
            for condition in burn_conditions(slo.window, config.prometheus.step):
                severity = severities[key.relay] if condition.severity == "critical" else "warning"
                # Equal windows have one alert, with the smaller factor.
                expected.add(
                    ("RelayErrorBudgetBurn", severity, key, f"{condition.long_window:g} {condition.short_window:g}")
                )
        assert set(judged(config)) == expected

    def test_the_exception_for_a_stability_slo_leaves_the_others_their_alerts(self) -> None:
        probes = "relays: [{name: one, url: embedded}]\nprobes: [{name: steady, scenario: steady-messaging}]\n"
        slo = "  - {{name: {0}, probe: steady, sli: {0}, objective: 90%, window: 1h}}\n"
        slos = "".join(slo.format(sli) for sli in ("availability", "stability"))
        config = parse(f"{probes}slos:\n{slos}prometheus: {{scrape_interval: 5s}}\n", "config.yaml", {})
        alerts = [key.slo for name, _, key, _ in judged(config) if name == "RelayErrorBudgetBurn"]
        assert alerts.count("availability") == alerts.count("stability") > 0

    @given(configs())
    @settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow], max_examples=40)
    def test_no_two_alerts_have_equal_labels(self, config: Config) -> None:
        """Prometheus rejects the second of two alerts with equal labels."""
        found = list(judged(config))
        assert len(found) == len(set(found))

    def test_short_windows_of_different_slos_have_different_labels(self) -> None:
        """A page and a warning may have the same windows; the page then selects the relays that may page."""
        relays = "relays: [{name: one, url: embedded, max_severity: warning}]\n"
        slo = "  - {{name: of-{0}, probe: steady, sli: latency, threshold: 400ms, objective: 90%, window: {0}}}\n"
        slos = "".join(slo.format(window) for window in ("1h", "6h"))
        probes = "probes: [{name: steady, scenario: steady-messaging}]\n"
        pace = "prometheus: {scrape_interval: 30s}\n"
        config = parse(f"{relays}{probes}slos:\n{slos}{pace}", "config.yaml", {})
        rules = [rule for group in groups(config) for rule in group.rules if isinstance(rule, Alert)]
        burning = [rule for rule in rules if rule.name == "RelayErrorBudgetBurn"]
        windows = [(rule.labels["long_window"], rule.labels["short_window"]) for rule in burning]
        assert windows.count(("4m", "2m")) > 1
        found = [(rule.name, severity_of(rule), tuple(rule.labels.items())) for rule in rules]
        assert len(found) == len(set(found))


def severity_of(rule: Alert) -> str:
    """Return the severity that an alert has for a relay whose `max_severity` is warning, if it may fire for it."""
    pages_only = 'severity="critical"' in rule.expr
    return "warning" if rule.capped and not pages_only else rule.severity


@pytest.mark.integration
@pytest.mark.timeout(300)
class TestPromtool:
    @pytest.mark.required_counterpart("promtool")
    @PROMTOOL_SETTINGS
    @given(st.lists(configs(), min_size=BATCH, max_size=BATCH))
    def test_check_rules_passes(self, configurations: list[Config]) -> None:
        with TemporaryDirectory() as folder:
            files = [Path(folder) / f"{number}.rules.yml" for number in range(len(configurations))]
            for file, config in zip(files, configurations, strict=True):
                file.write_bytes(rules_file(config))
            run(find(PROMTOOL), "check", "rules", "--lint=all", "--lint-fatal", *files, timeout=280)

    @pytest.mark.required_counterpart("promtool")
    @PROMTOOL_SETTINGS
    @given(st.data())
    def test_prometheus_2_agrees_with_the_oracle(self, data: st.DataObject) -> None:
        check_against_oracle(find(PROMTOOL), 2, data)

    @PROMTOOL_SETTINGS
    @given(st.data())
    def test_prometheus_3_agrees_with_the_oracle(self, data: st.DataObject) -> None:
        check_against_oracle(promtool_3(), 3, data)


def exported(config: Config) -> dict[str, list[Labels]]:
    """Return the series that the monitors of a configuration export, by name, those of later events included."""
    found: dict[str, list[Labels]] = {}
    text = Metrics(config, version="1", shard="0/1").render("")[0].decode()
    shards = [f"{index}/{config.shards}" for index in range(config.shards)]
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            for location, shard in product(config.locations, shards):
                labels = sample.labels | {"location": location}
                found.setdefault(sample.name, []).append(labels | {"shard": shard} if "shard" in labels else labels)
    for item in DECLARED:
        if item.name not in found and item.kind != "histogram":
            found[item.name] = [
                {
                    "install": config.install, "location": location, "relay": relay, "probe": probe.name,
                    "scenario": probe.scenario.value,
                }
                for location in config.locations
                for probe in config.probes
                for relay in probe.relays
            ]  # fmt: skip
    # Rules also serve probes with persistent pairs that a reload adds.
    for labels in found["relay_probe_up"]:
        failed = labels | {"over": "standing", "outcome": "failed"}
        found.setdefault("relay_probe_confirmations_total", []).append(failed)
    found["relay_cause_info"] = [
        labels | {"step": "upgrade", "reason": "rate_limited", "status": "429"} for labels in found["relay_cause_info"]
    ]
    return found


def recorded_verdicts(config: Config) -> list[Labels]:
    """Return the labels that recorded series about relays may have."""
    return [
        {
            "install": config.install, "location": location, "relay": relay.name, "severity": severity,
            "page_after": page_after, "scope": scope, "group": group,
        }
        for relay in config.relays
        for location in ("", *config.locations)
        for severity in ("critical", "warning")
        for page_after in (show_duration(relay.page_after), "another")
        for scope in ("global", "regional")
        for group in ("", "one")
    ]  # fmt: skip


def matching(selector: Selector, world: Mapping[str, Sequence[Labels]]) -> list[Labels]:
    return [labels for labels in world.get(selector.name, ()) if fits(selector, labels)]


def fits(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Return whether the selector matches a series with these labels."""
    for label, how, wanted in selector.matchers:
        has = labels.get(label, "")
        holds = re.fullmatch(wanted, has) is not None if how.endswith("~") else has == wanted
        if holds == how.startswith("!"):
            return False
    return True


def judged(config: Config) -> Iterator[tuple[str, str, Key, str]]:
    """Yield alert, severity, error budget and windows of each alert about error budgets."""
    severities = {relay.name: relay.max_severity for relay in config.relays}
    objectives = {slo.name: slo for slo in budgeted(config)}
    for group in groups(config):
        for rule in group.rules:
            if not isinstance(rule, Alert) or rule.name not in {"RelayErrorBudgetBurn", "RelayMessagesLost"}:
                continue
            # An operand of `unless` takes series away; it does not restrict which SLOs the alert is for.
            restricting = re.sub(r"\nunless\n.*?<=[^\n]*|\nunless \(\n.*?\n\)", "", rule.expr, flags=re.DOTALL)
            asked = [each for each in selectors(restricting) if each.name.startswith(("slo:", "relay_slo"))]
            pages_only = 'relay:settings{install="default", severity="critical"}' in rule.expr
            keys = []
            for key in keys_of(config):
                labels = {
                    "install": "default",
                    "slo": key.slo,
                    "relay": key.relay,
                    "probe": key.probe,
                    "location": key.location,
                }
                zero = objectives[key.slo].objective_for(key.relay) == 1
                strict = "long_window" not in rule.labels
                if pages_only and severities[key.relay] != "critical":
                    continue
                if zero == strict and all(fits(each, labels | {"outcome": "bad"}) for each in asked):
                    keys.append(key)
            assert keys or pages_only, f"no budget is judged by {rule}"
            spans = [seconds(rule.labels[name]) for name in ("long_window", "short_window") if name in rule.labels]
            for key in keys:
                severity = severities[key.relay] if rule.capped else rule.severity
                yield rule.name, severity, key, " ".join(f"{span:g}" for span in spans)


def strict_alert(config: Config, slo: SloConfig) -> str:
    """Return the alert about an SLO with an objective of 100 %."""
    scenarios = {probe.name: probe.scenario for probe in config.probes}
    sends = any(scenarios[name] in PAIRED for name in slo.probe)
    return "RelayMessagesLost" if slo.sli is Sli.AVAILABILITY and sends else "RelayErrorBudgetBurn"


def seconds(text: str) -> float:
    units = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    return round(sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)(ms|[dhms])", text)), 3)


def check_against_oracle(program: str, version: int, data: st.DataObject) -> None:
    """Compare promtool with the oracle, for some configurations and histories in one call."""
    with TemporaryDirectory() as folder:
        files: list[Path] = []
        for number in range(BATCH):
            config = data.draw(configs(trend=False))
            history = data.draw(histories(config, most=4))
            last = len(history.evaluations()) - 1
            asked = data.draw(st.lists(st.integers(1, last), min_size=3, max_size=3, unique=True))
            case = document(config, history, sorted(asked), version)
            each = Path(folder) / str(number)
            each.mkdir()
            files += write_reduced(each, without_annotations(rules_file(config)), case)
        run(program, "test", "rules", *files, timeout=280)


def document(config: Config, history: History, asked: Sequence[int], version: int) -> dict[str, Any]:
    """Return a test file: a history, and the expected ratios and alerts at some evaluations."""
    oracle = Oracle(config, history, version)
    series = [
        {"series": selector_of("relay_slo_events_total", key, outcome), "values": values_of(values)}
        for key, events in history.events.items()
        for outcome, values in outcomes(events)
    ]
    series += [
        {"series": f'relay_up{{{INSTALL}relay="{relay}", location="{location}"}}', "values": values_of(values)}
        for (relay, location), values in history.up.items()
    ]
    series += [
        {"series": f'relay_monitor_healthy{{{INSTALL}location="{location}"}}', "values": values_of(values)}
        for location, values in history.healthy.items()
    ]
    series += [
        {
            "series": f'relay_probe_messages_total{{{INSTALL}relay="{relay}", probe="{probe}", location="{location}", '
            'verdict="lost"}',
            "values": values_of(values),
        }
        for (relay, probe, location), values in history.gone.items()
    ]
    length = history.duration // 1000 // history.scrape
    series += [
        {
            "series": info(relay.name, location, max_severity=relay.max_severity, install="default"),
            "values": f"1x{length}",
        }
        for relay in config.relays
        for location in config.locations
    ]
    questions = []
    for at in asked:
        now = history.evaluations()[at]
        for key, window in product(history.events, recorded_windows(config)):
            questions.append((now, *ratio_question(key, ratio_name(window), oracle.ratio(key, now, window))))
    for firing, counts in oracle.firing():
        changes = [at for at in range(1, len(counts)) if counts[at] != counts[at - 1]]
        around = {*asked, *changes[:MAX_CHANGES], *(change - 1 for change in changes[:MAX_CHANGES])}
        fires = f"count({firing.selector()}) or vector(0)"
        questions += [(history.evaluations()[at], fires, counts[at]) for at in sorted(around)]
        # And the number of evaluations at which it fired.
        ever = f"sum(count_over_time({firing.selector()}[1d])) or vector(0)"
        questions.append((history.duration, ever, sum(counts)))
    return {
        "evaluation_interval": f"{history.evaluation}s",
        "tests": [
            {
                "interval": f"{history.scrape}s",
                "input_series": series,
                "promql_expr_test": [
                    {
                        "expr": expr,
                        "eval_time": f"{now // 1000}s",
                        "exp_samples": [{"labels": "{}", "value": value}],
                    }
                    for now, expr, value in questions
                ],
            }
        ],
    }


def ratio_question(key: Key, name: str, expected: float | None) -> tuple[str, int]:
    """Return an expression that is 1 if the recorded ratio is as expected, and 0 if none is expected nor recorded."""
    recorded = selector_of(name, key)
    if expected is None:
        return f"count({recorded}) or vector(0)", 0
    return f"count(abs({recorded} - {expected!r}) <= {1e-9 * expected!r}) or vector(0)", 1


def selector_of(name: str, key: Key, outcome: str | None = None) -> str:
    more = f', outcome="{outcome}"' if outcome is not None else ""
    return (
        f'{name}{{{INSTALL}slo="{key.slo}", relay="{key.relay}", probe="{key.probe}", location="{key.location}"{more}}}'
    )


def outcomes(events: Events) -> Iterable[tuple[str, Sequence[int | None]]]:
    return ("good", events.good), ("bad", events.bad)


def values_of(values: Sequence[int | None]) -> str:
    return " ".join("_" if value is None else str(value) for value in values)
