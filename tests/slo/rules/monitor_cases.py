"""Promtool cases about monitors: schedule, absence, health, and configurations that differ from the rules."""

from __future__ import annotations

from typing import Final

from tests.slo.rules.series import HEALTHY, RUNS, SHARD, Case, counter, slo, then


def info(relay: str, severity: str) -> str:
    return f'relay_probe_relay_info{{location="local", relay="{relay}", max_severity="{severity}"}}'


def window(name: str) -> str:
    return f'relay_slo_window_seconds{{location="local", relay="demo", slo="{name}"}}'


BUDGETED: Final = {
    "round-trip": "0.99",
    "delivery": "0.999",
    "stability": "0.999",
    "recovery": "1",
    "pairing": "0.99",
}
RUNNING: Final = (
    {info("demo", "critical"): "1x160", SHARD: "1x160", window("trend"): "86400x160"}
    | {window(name): "2592000x160" for name in BUDGETED}
    | {slo(name, "good"): "0x160" for name in BUDGETED}
    | {
        f'relay_slo_objective_ratio{{location="local", relay="demo", slo="{name}"}}': f"{ratio}x160"
        for name, ratio in BUDGETED.items()
    }
    | {'relay_slo_threshold_seconds{location="local", relay="demo", slo="round-trip"}': "0.4x160"}
)
"""The series of a monitor that runs with the shipped configuration."""

CASES: Final = (
    Case(
        name="RelayMonitorUnhealthy: a monitor that is healthy for one scrape in four is unhealthy",
        series={HEALTHY: " ".join(["0 0 0 1"] * 40)},
        expect=[
            ("1m", "RelayMonitorUnhealthy", "warning", 0),
            ("6m", "RelayMonitorUnhealthy", "warning", 1),
            ("30m", "RelayMonitorUnhealthy", "critical", 1),
        ],
    ),
    Case(
        name="RelayMonitorUnhealthy: half a minute does not fire",
        series={HEALTHY: then("1x20", "0x1", "1x60")},
        expect=[(minute, "RelayMonitorUnhealthy", "warning", 0) for minute in ("5m30s", "6m", "7m", "8m", "9m")],
    ),
    Case(
        name="RelayProbeStale: after a cold start the first run may not be due; stale after the window",
        series={RUNS: "0x80"},
        expect=[
            *((minute, "RelayProbeStale", "warning", 0) for minute in ("90s", "3m", "5m30s")),
            ("7m", "RelayProbeStale", "warning", 1),
        ],
    ),
    Case(
        name="RelayProbeStale: resolves with the next run",
        series={RUNS: then(counter((1, 80)), "80x79", "81x80")},
        expect=[("39m", "RelayProbeStale", "warning", 1), ("41m", "RelayProbeStale", "warning", 0)],
    ),
    Case(
        name="RelayProbeStale: a counter reset is not stale",
        series={RUNS: then(counter((1, 80)), counter((1, 80)))},
        expect=[(minute, "RelayProbeStale", "warning", 0) for minute in ("20m", "22m", "26m", "39m")],
    ),
    Case(
        name="RelayMonitorAbsent: resolves when the monitor is scraped again",
        series={SHARD: then("1x39", "_x40", "1x40")},
        expect=[("19m", "RelayMonitorAbsent", "critical", 1), ("21m", "RelayMonitorAbsent", "critical", 0)],
    ),
    Case(
        name="RelayMonitorConfigReloadFailed: resolves with a successful reload",
        series={'relay_monitor_config_last_reload_successful{location="local"}': then("0x60", "1x40")},
        expect=[
            ("14m", "RelayMonitorConfigReloadFailed", "warning", 1),
            ("16m", "RelayMonitorConfigReloadFailed", "warning", 0),
        ],
    ),
    Case(
        name="RelayMonitorRulesDrift: silent if the configuration matches the rules",
        series=RUNNING,
        expect=[("15m", "RelayMonitorRulesDrift", "warning", 0)],
    ),
    Case(
        name="RelayMonitorRulesDrift: another window, and resolved with the previous configuration",
        series=RUNNING | {window("delivery"): then("604800x80", "2592000x80")},
        expect=[
            ("5m", "RelayMonitorRulesDrift", "warning", 0),
            ("15m", "RelayMonitorRulesDrift", "warning", 1),
            ("22m", "RelayMonitorRulesDrift", "warning", 0),
        ],
    ),
    Case(
        name="RelayMonitorRulesDrift: another window of a trend",
        series=RUNNING | {window("trend"): "3600x160"},
        expect=[("15m", "RelayMonitorRulesDrift", "warning", 1)],
    ),
    Case(
        name="RelayMonitorRulesDrift: another max_severity than in the rules, and a relay that the rules do not have",
        series={info("demo", "warning"): "1x160", info("unheard-of", "critical"): "1x160"}
        | {series: values for series, values in RUNNING.items() if not series.startswith("relay_probe_relay_info")},
        expect=[("15m", "RelayMonitorRulesDrift", "warning", 2)],
    ),
    Case(
        name="RelayMonitorRulesDrift: an SLO that the monitor does not have",
        series={series: values for series, values in RUNNING.items() if 'slo="pairing"' not in series},
        expect=[("5m", "RelayMonitorRulesDrift", "warning", 0), ("15m", "RelayMonitorRulesDrift", "warning", 1)],
    ),
    Case(
        name="RelayMonitorRulesDrift: an absent monitor does not differ",
        series={series: then(values.split("x")[0] + "x30", "_x130") for series, values in RUNNING.items()},
        expect=[("20m", "RelayMonitorRulesDrift", "warning", 0), ("35m", "RelayMonitorRulesDrift", "warning", 0)],
    ),
)
