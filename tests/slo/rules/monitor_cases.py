"""Cases for promtool about the monitors themselves: what runs, what is absent, and what the rules know nothing of."""

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
"""What a monitor says that runs with the shipped configuration."""

CASES: Final = (
    Case(
        name="RelayMonitorUnhealthy: a monitor that is well for moments only is not well",
        series={HEALTHY: " ".join(["0 0 0 1"] * 40)},
        expect=[
            ("1m", "RelayMonitorUnhealthy", "warning", 0),
            ("6m", "RelayMonitorUnhealthy", "warning", 1),
            ("30m", "RelayMonitorUnhealthy", "critical", 1),
        ],
    ),
    Case(
        name="RelayMonitorUnhealthy: half a minute of distrust is over before it is told",
        series={HEALTHY: then("1x20", "0x1", "1x60")},
        expect=[(minute, "RelayMonitorUnhealthy", "warning", 0) for minute in ("5m30s", "6m", "7m", "8m", "9m")],
    ),
    Case(
        name="RelayProbeStale: at a cold start the first run may lie ahead; without it, stale after the window",
        series={RUNS: "0x80"},
        expect=[
            *((minute, "RelayProbeStale", "warning", 0) for minute in ("90s", "3m", "5m30s")),
            ("7m", "RelayProbeStale", "warning", 1),
        ],
    ),
    Case(
        name="RelayProbeStale: resolved by the next run",
        series={RUNS: then(counter((1, 80)), "80x79", "81x80")},
        expect=[("39m", "RelayProbeStale", "warning", 1), ("41m", "RelayProbeStale", "warning", 0)],
    ),
    Case(
        name="RelayProbeStale: counters that begin anew are no silence",
        series={RUNS: then(counter((1, 80)), counter((1, 80)))},
        expect=[(minute, "RelayProbeStale", "warning", 0) for minute in ("20m", "22m", "26m", "39m")],
    ),
    Case(
        name="RelayMonitorAbsent: resolved when it is back",
        series={SHARD: then("1x39", "_x40", "1x40")},
        expect=[("19m", "RelayMonitorAbsent", "critical", 1), ("21m", "RelayMonitorAbsent", "critical", 0)],
    ),
    Case(
        name="RelayMonitorConfigReloadFailed: resolved by a configuration that is taken",
        series={'relay_monitor_config_last_reload_successful{location="local"}': then("0x60", "1x40")},
        expect=[
            ("14m", "RelayMonitorConfigReloadFailed", "warning", 1),
            ("16m", "RelayMonitorConfigReloadFailed", "warning", 0),
        ],
    ),
    Case(
        name="RelayMonitorRulesDrift: none where all is as the rules have it",
        series=RUNNING,
        expect=[("15m", "RelayMonitorRulesDrift", "warning", 0)],
    ),
    Case(
        name="RelayMonitorRulesDrift: another window, and resolved when the configuration is the old one again",
        series=RUNNING | {window("delivery"): then("604800x80", "2592000x80")},
        expect=[
            ("5m", "RelayMonitorRulesDrift", "warning", 0),
            ("15m", "RelayMonitorRulesDrift", "warning", 1),
            ("22m", "RelayMonitorRulesDrift", "warning", 0),
        ],
    ),
    Case(
        name="RelayMonitorRulesDrift: a trend over another window than the rules compare",
        series=RUNNING | {window("trend"): "3600x160"},
        expect=[("15m", "RelayMonitorRulesDrift", "warning", 1)],
    ),
    Case(
        name="RelayMonitorRulesDrift: a relay that is worth no page, of which the rules page; and one they do not know",
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
        name="RelayMonitorRulesDrift: a monitor that is gone differs in nothing",
        series={series: then(values.split("x")[0] + "x30", "_x130") for series, values in RUNNING.items()},
        expect=[("20m", "RelayMonitorRulesDrift", "warning", 0), ("35m", "RelayMonitorRulesDrift", "warning", 0)],
    ),
)
