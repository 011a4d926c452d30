"""Rules of any configuration: promtool reads them, none of them is dead, and they come to what was computed by hand."""

from __future__ import annotations

import json
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
from monitor.config import parse
from monitor.metrics import Metrics
from monitor.metrics.declared import DECLARED
from monitor.slo.rules import Alert, groups, rules_file
from monitor.slo.rules.recorded import budgeted, ratio_name, recorded_windows
from monitor.slo.rules.rule import Record
from tests.e2e.programs import PROMTOOL, find
from tests.slo.dashboards.promql import Selector, selectors
from tests.slo.rules.oracle import Events, History, Key, Oracle
from tests.slo.rules.promtool import promtool_3, run
from tests.slo.rules.strategies import configs, histories, keys_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from monitor.config import Config

Labels = dict[str, str]

BATCH: Final = 3
"""Configurations that one call of promtool judges: to start it costs more than to run it."""

TURNS: Final = 6
"""Times an alert begins or ceases to fire that are looked at from both sides."""

UNEXPECTED: Final = {
    ("relay_monitor_shard_info", "location"),
    ("relay_monitor_shard_info", "shard"),
    ("relay_probe_relay_info", "relay"),
    ("relay_probe_relay_info", "max_severity"),
    ("relay_slo_window_seconds", "slo"),
}
"""What drift looks for that should not be, by series and label: such a selector finds nothing in health."""

# A failing example is as good as the smallest one, and finding that takes a process each.
PROMTOOL_SETTINGS: Final = settings(
    max_examples=3,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.slow
class TestNoAlertIsDead:
    """Whatever an alert asks for, the monitor exports or another rule records."""

    @settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow], max_examples=40)
    @given(configs())
    def test_every_selector_finds_series(self, config: Config) -> None:
        world = exported(config)
        for group in groups(config):
            for rule in group.rules:
                for selector in selectors(rule.expr):
                    if not any(
                        how.startswith("!") and (selector.name, label) in UNEXPECTED
                        for label, how, _ in selector.matchers
                    ):
                        assert matching(selector, world), f"{rule.name}: {selector}"
                if isinstance(rule, Record):
                    events = (each for each in selectors(rule.expr) if each.name == "relay_slo_events_total")
                    found = [labels for each in events for labels in matching(each, world)]
                    # What is made of recorded series has their labels.
                    world[rule.name] = found or world[ratio_name(300.0)]

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
                expected |= {("RelayMessagesLost", severity, key, "") for severity in paging}
                continue
            for burn in burn_conditions(slo.window, config.prometheus.scrape_interval):
                severity = severities[key.relay] if burn.severity == "critical" else "warning"
                # Windows that do not differ are judged once: the smaller factor says it.
                expected.add(("RelayErrorBudgetBurn", severity, key, f"{burn.long_window:g} {burn.short_window:g}"))
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
    def test_no_two_alerts_are_the_same(self, config: Config) -> None:
        """Where they would carry the same labels, Prometheus refuses to record the second."""
        told = list(judged(config))
        assert len(told) == len(set(told))

    def test_short_windows_of_different_slos_are_told_apart(self) -> None:
        """A relay that is worth no page is warned of what would be one, over windows that another SLO's warning has."""
        relays = "relays: [{name: one, url: embedded, max_severity: warning}]\n"
        slo = "  - {{name: of-{0}, probe: steady, sli: latency, threshold: 400ms, objective: 90%, window: {0}}}\n"
        slos = "".join(slo.format(window) for window in ("1h", "6h"))
        probes = "probes: [{name: steady, scenario: steady-messaging}]\n"
        pace = "prometheus: {scrape_interval: 30s}\n"
        config = parse(f"{relays}{probes}slos:\n{slos}{pace}", "config.yaml", {})
        rules = [rule for group in groups(config) for rule in group.rules if isinstance(rule, Alert)]
        burning = [rule for rule in rules if rule.name == "RelayErrorBudgetBurn"]
        spans = [(rule.severity, rule.labels["long_window"], rule.labels["short_window"]) for rule in burning]
        assert ("warning", "4m", "2m") in {each for each in spans if spans.count(each) > 1}
        told = [(rule.name, rule.severity, tuple(rule.labels.items())) for rule in rules]
        assert len(told) == len(set(told))


@pytest.mark.integration
@pytest.mark.timeout(300)
class TestPromtool:
    @pytest.mark.required_counterpart("promtool")
    @PROMTOOL_SETTINGS
    @given(st.lists(configs(), min_size=BATCH, max_size=BATCH))
    def test_it_finds_no_fault_in_any_rules(self, drawn: list[Config]) -> None:
        with TemporaryDirectory() as folder:
            files = [Path(folder) / f"{number}.rules.yml" for number in range(len(drawn))]
            for file, config in zip(files, drawn, strict=True):
                file.write_bytes(rules_file(config))
            run(find(PROMTOOL), "check", "rules", "--lint=all", "--lint-fatal", *files, timeout=280)

    @pytest.mark.required_counterpart("promtool")
    @PROMTOOL_SETTINGS
    @given(st.data())
    def test_prometheus_comes_to_what_was_computed_by_hand(self, data: st.DataObject) -> None:
        agree(find(PROMTOOL), 2, data)

    @PROMTOOL_SETTINGS
    @given(st.data())
    def test_and_so_does_prometheus_3(self, data: st.DataObject) -> None:
        agree(promtool_3(), 3, data)


def exported(config: Config) -> dict[str, list[Labels]]:
    """What the monitors of a configuration export, by name: what is there from the start, and what comes later."""
    found: dict[str, list[Labels]] = {"ALERTS": alerts_as_series(config)}
    text = Metrics(config, version="1", shard="0/1").render("")[0].decode()
    shards = [f"{index}/{config.shards}" for index in range(config.shards)]
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            for location, shard in product(config.locations, shards):
                labels = sample.labels | {"location": location}
                found.setdefault(sample.name, []).append(labels | {"shard": shard} if "shard" in labels else labels)
    for item in DECLARED:
        if item.name not in found and item.kind == "gauge":
            found[item.name] = [
                {"location": location, "relay": relay, "probe": probe.name, "scenario": probe.scenario.value}
                for location in config.locations
                for probe in config.probes
                for relay in probe.relays
            ]
    return found


def alerts_as_series(config: Config) -> list[Labels]:
    return [
        {"alertname": rule.name, "alertstate": "firing", "severity": rule.severity}
        for group in groups(config)
        for rule in group.rules
        if isinstance(rule, Alert)
    ]


def matching(selector: Selector, world: Mapping[str, Sequence[Labels]]) -> list[Labels]:
    return [labels for labels in world.get(selector.name, ()) if fits(selector, labels)]


def fits(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Whether a series with these labels is selected."""
    for label, how, wanted in selector.matchers:
        has = labels.get(label, "")
        holds = re.fullmatch(wanted, has) is not None if how.endswith("~") else has == wanted
        if holds == how.startswith("!"):
            return False
    return True


def judged(config: Config) -> Iterator[tuple[str, str, Key, str]]:
    """Which alert of which severity and which windows judges whose budget."""
    objectives = {slo.name: slo for slo in budgeted(config)}
    for group in groups(config):
        for rule in group.rules:
            if not isinstance(rule, Alert) or rule.name not in {"RelayErrorBudgetBurn", "RelayMessagesLost"}:
                continue
            # An operand of `unless` takes series away; it does not restrict which SLOs the alert is for.
            restricting = re.sub(r"\nunless\n[^\n]*", "", rule.expr)
            asked = [
                each for each in selectors(restricting) if each.name not in {"ALERTS", "relay_probe_messages_total"}
            ]
            keys = []
            for key in keys_of(config):
                labels = {"slo": key.slo, "relay": key.relay, "probe": key.probe, "location": key.location}
                zero = objectives[key.slo].objective_for(key.relay) == 1
                by_name = rule.name == "RelayMessagesLost"
                if zero == by_name and all(fits(each, labels | {"outcome": "bad"}) for each in asked):
                    keys.append(key)
            assert keys, f"no budget is judged by {rule}"
            spans = [seconds(rule.labels[name]) for name in ("long_window", "short_window") if name in rule.labels]
            for key in keys:
                yield rule.name, rule.severity, key, " ".join(f"{span:g}" for span in spans)


def seconds(text: str) -> float:
    units = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    return round(sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)(ms|[dhms])", text)), 3)


def agree(program: str, version: int, data: st.DataObject) -> None:
    """Hold some configurations and histories against promtool, all in one go."""
    with TemporaryDirectory() as folder:
        files = []
        for number in range(BATCH):
            config = data.draw(configs(trend=False))
            history = data.draw(histories(config, most=4))
            last = len(history.evaluations()) - 1
            asked = data.draw(st.lists(st.integers(1, last), min_size=3, max_size=3, unique=True))
            rules = Path(folder) / f"{number}.rules.yml"
            rules.write_bytes(rules_file(config))
            case = document(rules.name, config, history, sorted(asked), version)
            files.append(Path(folder) / f"{number}_test.yml")
            files[-1].write_text(json.dumps(case), encoding="utf-8")  # which is YAML, and written in no time
        run(program, "test", "rules", *files, timeout=280)


def document(rules: str, config: Config, history: History, asked: Sequence[int], version: int) -> dict[str, Any]:
    """A history, and what the rules make of it at some evaluations, as promtool reads it."""
    oracle = Oracle(config, history, version)
    series = [
        {"series": selector_of("relay_slo_events_total", key, outcome), "values": values_of(values)}
        for key, events in history.events.items()
        for outcome, values in outcomes(events)
    ]
    series += [
        {"series": f'relay_up{{relay="{relay}", location="{location}"}}', "values": values_of(values)}
        for (relay, location), values in history.up.items()
    ]
    series += [
        {"series": f'relay_monitor_healthy{{location="{location}"}}', "values": values_of(values)}
        for location, values in history.healthy.items()
    ]
    series += [
        {
            "series": f'relay_probe_messages_total{{relay="{relay}", probe="{probe}", location="{location}", '
            'verdict="lost"}',
            "values": values_of(values),
        }
        for (relay, probe, location), values in history.gone.items()
    ]
    questions = []
    for at in asked:
        now = history.evaluations()[at]
        for key, window in product(history.events, recorded_windows(config)):
            questions.append((now, *ratio_question(key, ratio_name(window), oracle.ratio(key, now, window))))
    for firing, counts in oracle.firing():
        turns = [at for at in range(1, len(counts)) if counts[at] != counts[at - 1]]
        around = {*asked, *turns[:TURNS], *(turn - 1 for turn in turns[:TURNS])}
        fires = f"count({firing.selector()}) or vector(0)"
        questions += [(history.evaluations()[at], fires, counts[at]) for at in sorted(around)]
        # And in all: how many evaluations it fired at, from the first to the last.
        ever = f"sum(count_over_time({firing.selector()}[1d])) or vector(0)"
        questions.append((history.end, ever, sum(counts)))
    return {
        "rule_files": [rules],
        "evaluation_interval": f"{history.evaluation}s",
        "group_eval_order": [group.name for group in groups(config)],
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
    """An expression that is 1 where the recorded ratio is as computed; 0 where there should be none, and is none."""
    recorded = selector_of(name, key)
    if expected is None:
        return f"count({recorded}) or vector(0)", 0
    return f"count(abs({recorded} - {expected!r}) <= {1e-9 * expected!r}) or vector(0)", 1


def selector_of(name: str, key: Key, outcome: str | None = None) -> str:
    more = f', outcome="{outcome}"' if outcome is not None else ""
    return f'{name}{{slo="{key.slo}", relay="{key.relay}", probe="{key.probe}", location="{key.location}"{more}}}'


def outcomes(events: Events) -> Iterable[tuple[str, Sequence[int | None]]]:
    return ("good", events.good), ("bad", events.bad)


def values_of(values: Sequence[int | None]) -> str:
    return " ".join("_" if value is None else str(value) for value in values)
