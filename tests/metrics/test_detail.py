"""`metrics.detail`: what `lean` leaves out, a reload between both, and that nothing that is read is left out."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
import yaml

from monitor.metrics.declared import DECLARED
from monitor.results import MessagesSent, PhaseTimed
from monitor.vocabulary import Outcome, Phase, Reason, Step
from tests.metrics.sample import (
    CONFIG,
    RUN_ID,
    config,
    exchange,
    exporter,
    failure,
    filled,
    of_relay,
    run,
    series,
    slo_events,
    status,
    value,
)
from tests.relays import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAN = CONFIG + "metrics: {detail: lean}\n"
NAME = re.compile(r"\brelay_[a-z_]+\b")
SUFFIX = re.compile(r"_(bucket|count|sum)$")


def names_in(text: str) -> set[str]:
    """The metrics of the program in PromQL."""
    declared = {item.name for item in DECLARED}
    found = {name if name in declared else SUFFIX.sub("", name) for name in NAME.findall(text)}
    return {
        name for name in found if name in declared or name.startswith(("relay_probe_", "relay_monitor_", "relay_slo_"))
    }


def expressions(value: object) -> Iterator[str]:
    """Every PromQL expression in a dashboard."""
    if isinstance(value, dict):
        yield from (text for key in ("expr", "query", "definition") if isinstance(text := value.get(key), str))
        for inner in value.values():
            yield from expressions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from expressions(inner)


def of_dashboard(name: str) -> set[str]:
    return names_in(" ".join(expressions(json.loads((ROOT / "dashboards" / name).read_text("utf-8")))))


def of_rules() -> set[str]:
    rules = yaml.safe_load((ROOT / "alerts" / "relay-monitor.rules.yml").read_text("utf-8"))
    return names_in(" ".join(rule["expr"] for group in rules["groups"] for rule in group["rules"]))


class TestWhatIsRead:
    def test_lean_has_what_the_rules_read(self) -> None:
        read = of_rules()
        assert "relay_slo_events_total" in read
        assert read <= {item.name for item in DECLARED if item.lean}

    def test_lean_has_what_the_overview_reads(self) -> None:
        read = of_dashboard("relays-overview.json")
        assert "relay_state" in read
        assert read <= {item.name for item in DECLARED if item.lean}

    @pytest.mark.parametrize("name", ["relays-overview.json", "relay-detail.json", "monitor-health.json"])
    def test_every_metric_of_a_dashboard_exists(self, name: str) -> None:
        assert of_dashboard(name) <= {item.name for item in DECLARED}

    def test_every_label_that_a_dashboard_selects_by_exists(self) -> None:
        labels = {item.name: {*item.labels, "job", "instance", "le"} for item in DECLARED}
        of_monitors = (path for path in (ROOT / "dashboards").glob("*.json") if path.stem != "load-test")
        for path in of_monitors:
            for expr in expressions(json.loads(path.read_text("utf-8"))):
                for name, matchers in re.findall(r"\b(relay_[a-z_]+)\{([^}]*)\}", expr):
                    known = labels.get(name) or labels[SUFFIX.sub("", name)]
                    assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) <= known, (path.name, name)


class TestReload:
    def test_lean_ends_the_series_that_nothing_reads_and_keeps_the_others_values(self) -> None:
        metrics = filled()
        metrics.publish(run(exchange(Outcome.FAILED)))
        metrics.reconfigure(config(LEAN))
        assert {name for name, _ in series(metrics)} < {name for name, _ in series(filled())}
        assert value(metrics, "relay_probe_exchanges_total", outcome="ok") is None
        assert value(metrics, "relay_probe_exchanges_total", outcome="failed") == 1
        assert value(metrics, "relay_probe_round_trip_seconds_count") == 1
        assert slo_events(metrics, "delivery") == (1, 1)
        assert of_relay(metrics, "relay_up") == 0
        assert of_relay(metrics, "relay_cause_info", step="upgrade", reason="http_status", status="502") == 1
        assert of_relay(metrics, "relay_probe_certificate_expiry_timestamp_seconds") == 1.9e9
        assert value(metrics, "relay_probe_up") == 0
        assert not [name for name, _ in series(metrics) if name.startswith("relay_probe_phase")]

    def test_standard_begins_the_others_at_0(self) -> None:
        metrics = filled()
        metrics.reconfigure(config(LEAN))
        metrics.publish(run(exchange()))
        metrics.reconfigure(config())
        metrics.publish(PhaseTimed("alpha", "steady", RUN_ID, Phase.HELLO, 0.1))
        assert value(metrics, "relay_probe_exchanges_total", outcome="ok") == 0
        assert value(metrics, "relay_probe_round_trip_seconds_count") == 2
        assert of_relay(metrics, "relay_probe_phase_seconds_count", phase="hello") == 1
        assert slo_events(metrics, "delivery") == (2, 0)
        assert of_relay(metrics, "relay_state", state="down") == 1
        assert of_relay(metrics, "relay_state", state="degraded") == 0

    def test_there_and_back_the_names_are_the_same(self) -> None:
        metrics = exporter()
        before = series(metrics)
        for text in (LEAN, CONFIG, LEAN, CONFIG):
            metrics.reconfigure(config(text))
        assert series(metrics).keys() == before.keys()

    def test_messages_without_a_verdict_stay_pending(self) -> None:
        metrics = exporter()
        metrics.publish(MessagesSent("alpha", "steady", RUN_ID, messages=3))
        metrics.reconfigure(config(LEAN))
        metrics.publish(MessagesSent("alpha", "steady", RUN_ID))
        metrics.reconfigure(config())
        assert value(metrics, "relay_probe_messages_pending") == 4

    def test_a_relay_that_changes_its_condition_in_lean_shows_it(self) -> None:
        metrics = exporter(LEAN)
        assert of_relay(metrics, "relay_state", state="unknown") == 1
        metrics.set_relay_status(status(up=True))
        assert of_relay(metrics, "relay_state", state="unknown") == 0
        assert of_relay(metrics, "relay_state", state="up") == 1
        assert of_relay(metrics, "relay_state", state="down") is None

    def test_lean_counts_rate_limits_only(self) -> None:
        metrics = exporter(LEAN)
        for reason in (Reason.RATE_LIMITED, Reason.HTTP_STATUS):
            metrics.publish(run(exchange(Outcome.FAILED, failure=failure(Step.UPGRADE, reason))))
        found = series(metrics, "relay_probe_failures_total")
        assert [dict(labels)["reason"] for _, labels in found] == ["rate_limited"]
