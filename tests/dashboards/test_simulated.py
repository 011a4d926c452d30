"""Simulated monitors, and rules that promtool can evaluate over them."""

from __future__ import annotations

import yaml

from monitor.config import parse
from tests.dashboards.simulated import Fault, SimulatedMonitor
from tests.dashboards.simulation import as_recorded, levels
from tests.metrics.sample import series

CONFIG = """
relays: [{name: tokyo, url: embedded}, {name: dublin, url: embedded}]
probes: [{name: steady, scenario: steady-messaging, pairs: 2, message_interval: 1s, settle: 500ms}]
"""
START = 1_790_000_000.0


def total(monitor: SimulatedMonitor, name: str, **labels: str) -> float:
    """Return the sum of the series with these labels."""
    found = series(monitor.metrics, name)
    return sum(value for (_, own), value in found.items() if labels.items() <= dict(own).items())


def test_each_pair_makes_its_exchanges() -> None:
    monitor = SimulatedMonitor(parse(CONFIG, "config.yaml", {}), START)
    monitor.advance(START + 250)
    assert total(monitor, "relay_probe_exchanges_total", relay="tokyo", outcome="ok") == 200
    assert total(monitor, "relay_up") == 2


def test_a_relay_fails_while_it_has_a_fault_and_no_longer() -> None:
    faults = {"tokyo": Fault(START + 100, START + 200), "dublin": Fault(START + 100, START + 200, 0.5)}
    monitor = SimulatedMonitor(parse(CONFIG, "config.yaml", {}), START, faults)
    monitor.advance(START + 199)
    assert [total(monitor, "relay_up", relay=name) for name in ("tokyo", "dublin")] == [0, 1]
    assert total(monitor, "relay_state", relay="dublin", state="degraded") == 1
    monitor.advance(START + 300)
    assert total(monitor, "relay_up") == 2
    failed = [
        total(monitor, "relay_probe_exchanges_total", relay=name, outcome="failed") for name in ("tokyo", "dublin")
    ]
    assert failed[0] == 80
    assert 20 < failed[1] < 60


def test_the_same_seed_gives_the_same_series() -> None:
    made = []
    for _ in range(2):
        monitor = SimulatedMonitor(parse(CONFIG, "config.yaml", {}), START, {"dublin": Fault(START, START + 99, 0.3)})
        monitor.advance(START + 100)
        made.append(series(monitor.metrics))
    assert made[0] == made[1]


def test_alerts_become_recorded_series() -> None:
    rule = {"alert": "RelayDown", "expr": "relay:outage == 1", "for": "1m", "labels": {"service": "x"}}
    recorded = {"record": "a:b", "expr": "1"}
    text = yaml.safe_dump({"groups": [{"name": "g", "rules": [recorded, rule]}]})
    labels = {"service": "x", "alertname": "RelayDown"}
    assert as_recorded(text, 5.0) == [
        recorded,
        {"record": "ALERTS", "expr": "1 + 0 * (relay:outage == 1)", "labels": labels | {"alertstate": "firing"}},
        {"record": "ALERTS_FOR_STATE", "expr": "5.0 + 0 * (relay:outage == 1)", "labels": labels},
    ]


def test_rules_are_evaluated_after_those_they_read() -> None:
    alert = {"record": "ALERTS", "expr": "relay:outage and relay:vote"}
    outage = {"record": "relay:outage", "expr": "relay:vote == 0 or relay:outage offset 1m"}
    vote = {"record": "relay:vote", "expr": "max(relay_up)"}
    assert list(levels([alert, outage, vote])) == [[vote], [outage], [alert]]
