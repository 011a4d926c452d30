"""What a reload of the configuration changes on `/metrics`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monitor.errors import MisuseError
from tests.metrics.sample import (
    CONFIG,
    config,
    exchange,
    exporter,
    families,
    filled,
    run,
    series,
    slo_events,
    status,
    value,
)

if TYPE_CHECKING:
    from monitor.metrics import Metrics


@pytest.fixture
def metrics() -> Metrics:
    return exporter()


class TestReconfigure:
    def test_all_series_of_a_removed_relay_or_probe_are_removed(self) -> None:
        metrics = filled()
        metrics.set_relay_status(status("beta", up=False))
        metrics.publish(run(exchange(), relay="beta"))
        left = "\n".join(
            line for line in CONFIG.splitlines() if "{name: beta" not in line and "{name: storm" not in line
        )
        metrics.reconfigure(config(left.replace(", overrides: {beta: {threshold: 1s}}", "")))
        page = metrics.render()[0]
        assert b"beta" not in page
        assert b"storm" not in page
        assert b'relay="alpha"' in page

    def test_a_reload_keeps_counts_and_new_series_start_at_0(self) -> None:
        metrics = filled()
        faster = CONFIG.replace("steady-messaging}", "steady-messaging, message_interval: 1s}")
        metrics.reconfigure(config(faster.replace("name: storm,", "name: hail,")))
        assert value(metrics, "relay_probe_exchanges_total", outcome="ok") == 1
        assert value(metrics, "relay_probe_interval_seconds") == 2.5
        labels = {
            "install": "default",
            "location": "here",
            "relay": "alpha",
            "probe": "hail",
            "scenario": "connection-storm",
        }
        assert series(metrics)["relay_probe_exchanges_total", frozenset((labels | {"outcome": "ok"}).items())] == 0

    def test_a_probe_of_another_kind_under_the_same_name_starts_at_0(self) -> None:
        metrics = filled()
        metrics.reconfigure(
            config(
                CONFIG.replace(
                    "{name: steady, scenario: steady-messaging}",
                    "{name: steady, scenario: steady-messaging, schedule: {every: 5m}}",
                ).replace("stability, probe: [steady, idle]", "stability, probe: idle")
            )
        )
        assert value(metrics, "relay_probe_exchanges_total", outcome="ok") == 0
        assert value(metrics, "relay_probe_pair_seconds_total", state="connected") is None

    def test_the_objective_and_the_events_of_a_removed_slo_are_removed(self, metrics: Metrics) -> None:
        metrics.publish(run(exchange()))
        metrics.reconfigure(config(CONFIG.replace("name: fast,", "name: quick,")))
        assert b'"fast"' not in metrics.render()[0]
        assert slo_events(metrics, "quick") == (0, 0)
        assert slo_events(metrics, "delivery") == (1, 0)

    def test_the_events_of_an_slo_are_removed_from_a_probe_it_no_longer_covers(self, metrics: Metrics) -> None:
        metrics.reconfigure(config(CONFIG.replace("delivery, probe: [steady, session]", "delivery, probe: session")))
        with pytest.raises(KeyError):
            slo_events(metrics, "delivery")
        assert slo_events(metrics, "delivery", probe="session") == (0, 0)

    def test_a_new_threshold_applies_from_then_on(self, metrics: Metrics) -> None:
        metrics.publish(run(exchange(round_trip=0.3)))
        metrics.reconfigure(config(CONFIG.replace("400ms", "200ms")))
        metrics.publish(run(exchange(round_trip=0.3)))
        assert slo_events(metrics, "fast") == (1, 1)

    def test_all_labels_of_a_relay_can_change(self, metrics: Metrics) -> None:
        other = '{tier: gold, zone: a}, centrifugo_selector: job="centrifugo"'
        metrics.reconfigure(config(CONFIG.replace("{team: wallets}", other)))
        labels = families(metrics)["relay_probe_relay_info"].samples[0].labels
        assert labels == {
            "install": "default", "location": "here", "relay": "alpha", "max_severity": "critical", "page_after": "30s",
            "scope": "global", "owner": "", "group": "", "centrifugo_selector": 'job="centrifugo"', "tier": "gold",
            "zone": "a",
        }  # fmt: skip

    def test_the_location_cannot_change(self, metrics: Metrics) -> None:
        with pytest.raises(MisuseError, match="restart"):
            metrics.reconfigure(config(CONFIG.replace("location: here", "location: there")))
