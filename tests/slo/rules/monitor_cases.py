"""Promtool cases about monitors: schedule, absence, health, and configurations that differ from the rules."""

from __future__ import annotations

from typing import Final

from tests.slo.rules.series import HEALTHY, RUNS, SHARD, UP, Case, counter, info, slo, then


def window(name: str) -> str:
    return f'relay_slo_window_seconds{{location="local", relay="demo", slo="{name}"}}'


def drilled(instance: str) -> str:
    labels = f'location="local", shard="0/1", relay="drill", drill="k7", instance="{instance}"'
    return f"relay_monitor_drill_relay_up{{{labels}}}"


BUDGETED: Final = {
    "round-trip": "0.99",
    "delivery": "0.999",
    "stability": "0.999",
    "recovery": "1",
    "pairing": "0.99",
}
RUNNING: Final = (
    {info(): "1x160", SHARD: "1x160", window("trend"): "86400x160"}
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
            ("45s", "RelayMonitorUnhealthy", "warning", 0),
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
        series={info(max_severity="warning"): "1x160", info("unheard-of"): "1x160"}
        | {series: values for series, values in RUNNING.items() if not series.startswith("relay_probe_relay_info")},
        expect=[("15m", "RelayMonitorRulesDrift", "warning", 1)],
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
    Case(
        name="RelayMonitorRulesDrift: two installs never differ from each other",
        series=RUNNING
        | {
            selector.replace("{", '{install="other", ', 1).replace("demo", "theirs"): values
            for selector, values in RUNNING.items()
        },
        expect=[("15m", "RelayMonitorRulesDrift", "warning", 0)],
    ),
    Case(
        name="RelayMonitorRulesDrift: 300 relays that the rules do not have are one alert",
        series=RUNNING | {info(f"relay-{number}"): "1x160" for number in range(300)},
        expect=[("15m", "RelayMonitorRulesDrift", "warning", 1)],
    ),
    Case(
        name="RelayMonitorRulesDrift: scraped every minute instead of every 15 s",
        series=RUNNING | {SHARD: then(*["1 _ _ _"] * 60)},
        expect=[("15m", "RelayMonitorRulesDrift", "warning", 0), ("35m", "RelayMonitorRulesDrift", "warning", 1)],
    ),
    Case(
        name="RelayMonitorRulesDrift: one missed scrape in three is no other interval",
        series=RUNNING | {SHARD: then(*["1 1 1 1 _"] * 60)},
        expect=[("35m", "RelayMonitorRulesDrift", "warning", 0)],
    ),
    Case(
        name="RelayMonitorAbsent: a restart of the monitor, and one missed scrape, are silent",
        series={SHARD: then("1x39", "_x7", "1x40", "_", "1x40")},
        expect=[(minute, "RelayMonitorAbsent", "critical", 0) for minute in ("11m", "11m45s", "22m", "23m")],
    ),
    Case(
        name="RelayMonitorAbsent: another install's monitor is none of ours",
        series={SHARD: then("1x39", "_x40"), SHARD.replace("{", '{install="other", '): "1x80"},
        expect=[("19m", "RelayMonitorAbsent", "critical", 1)],
    ),
    Case(
        name="RelayMonitorAbsent: a monitor that crashes every minute warns",
        series={
            SHARD: "1x120",
            'relay_monitor_start_time_seconds{location="local", shard="0/1"}': then(
                "0x39", *(f"{start}x3" for start in range(1, 20))
            ),
        },
        expect=[
            ("9m", "RelayMonitorAbsent", "warning", 0),
            ("11m30s", "RelayMonitorAbsent", "warning", 0),
            ("13m", "RelayMonitorAbsent", "warning", 1),
        ],
    ),
    Case(
        name="RelayMonitorAbsent: two restarts, and a second process of the shard, are no crash loop",
        series={
            SHARD: "1x120",
            'relay_monitor_start_time_seconds{location="local", shard="0/1"}': then("1x39", "2x10", "3x60"),
            'relay_monitor_start_time_seconds{location="local", shard="0/1", instance="b:1"}': "0x120",
        },
        expect=[("14m", "RelayMonitorAbsent", "warning", 0)],
    ),
    Case(
        name="RelayMonitorUnhealthy: all relays fail at once, and no reference answers: one page",
        series={
            info(): "1x80",
            HEALTHY: then("1x39", "0x40"),
            'relay_monitor_failed_check{location="local", check="all_relays"}': then("0x39", "1x40"),
            'relay_up{location="local", relay="demo"}': then("1x47", "_x32"),
        },
        expect=[
            ("10m15s", "RelayMonitorUnhealthy", "critical", 0),
            ("11m", "RelayMonitorUnhealthy", "critical", 1),
            ("15m", "RelayDown", "critical", 0),
            ("15m", "RelayMonitorUnhealthy", "critical", 1),
        ],
    ),
    Case(
        name="RelayUnobserved: a relay that is unknown to a healthy monitor",
        series={
            HEALTHY: "1x120",
            'relay_state{location="local", relay="demo", state="unknown"}': then("0x39", "1x40", "0x40"),
        },
        expect=[
            ("14m", "RelayUnobserved", "warning", 0),
            ("16m", "RelayUnobserved", "warning", 1),
            ("21m", "RelayUnobserved", "warning", 0),
        ],
    ),
    Case(
        name="RelayUnobserved: not while the monitor itself is unhealthy",
        series={HEALTHY: "0x80", 'relay_state{location="local", relay="demo", state="unknown"}': "1x80"},
        expect=[("16m", "RelayUnobserved", "warning", 0)],
    ),
    Case(
        name="RelayMonitorCredentials: a fifth of the token's life is left, and a renewed token",
        series={
            'relay_probe_token_expiry_timestamp_seconds{location="local", relay="demo"}': then("1200x79", "4800x40"),
            'relay_probe_token_lifetime_seconds{location="local", relay="demo"}': "1000x120",
        },
        expect=[
            ("16m", "RelayMonitorCredentials", "warning", 0),
            ("19m", "RelayMonitorCredentials", "warning", 1),
            ("21m", "RelayMonitorCredentials", "warning", 0),
        ],
    ),
    Case(
        name="RelayMonitorCredentials: an expired token of unknown life",
        series={'relay_probe_token_expiry_timestamp_seconds{location="local", relay="demo"}': "300x80"},
        expect=[
            ("5m", "RelayMonitorCredentials", "warning", 0),
            ("7m", "RelayMonitorCredentials", "warning", 1),
        ],
    ),
    Case(
        name="RelayProbeFailing: an endpoint that fails alone",
        series={
            'relay_up{location="local", relay="demo"}': "1x160",
            'relay_endpoint_failures_total{location="local", relay="demo", endpoint="n2"}': counter(
                (0, 40), (1, 5), (0, 100)
            ),
            'relay_endpoint_failures_total{location="local", relay="demo", endpoint="n1"}': counter(
                (0, 40), (1, 1), (0, 100)
            ),
        },
        expect=[
            ("9m", "RelayProbeFailing", "warning", 0),
            ("12m", "RelayProbeFailing", "warning", 1),
            ("25m", "RelayProbeFailing", "warning", 0),
        ],
    ),
    Case(
        name="RelayMonitorTaskFailed: one failure warns for a quarter of an hour",
        series={
            'relay_monitor_task_failures_total{location="local", task="reachability"}': then("0x39", "1x100"),
            'relay_monitor_task_failures_total{location="local", task="journal"}': "3x139",
        },
        expect=[
            ("9m", "RelayMonitorTaskFailed", "warning", 0),
            ("11m", "RelayMonitorTaskFailed", "warning", 1),
            ("27m", "RelayMonitorTaskFailed", "warning", 0),
        ],
    ),
    Case(
        name="RelayMonitorJournalFailed: the journal cannot be written for five minutes",
        series={'relay_monitor_journal_healthy{location="local"}': then("1x39", "0x40", "1x40")},
        expect=[
            ("14m", "RelayMonitorJournalFailed", "warning", 0),
            ("16m", "RelayMonitorJournalFailed", "warning", 1),
            ("21m", "RelayMonitorJournalFailed", "warning", 0),
        ],
    ),
    Case(
        name="RelayMonitorDrill: fires at the next evaluation, once for a pair of Prometheuses, and as nothing else",
        series={drilled(instance): then("_x40", "0x3", "stale", "_x80") for instance in ("a:9464", "b:9464")}
        | {drilled("a:9464").replace("{", '{install="other", ', 1): "0x120", UP: "1x120"},
        expect=[
            ("9m45s", "RelayMonitorDrill", "none", 0),
            ("10m", "RelayMonitorDrill", "none", 1),
            ("10m30s", "RelayMonitorDrill", "none", 1),
            ("10m30s", "RelayDown", "critical", 0),
            ("10m30s", "RelayProbeFailing", "warning", 0),
            ("11m", "RelayMonitorDrill", "none", 0),
        ],
    ),
    Case(
        name="RelayMonitorDrillFailed: warns until a drill succeeds",
        series={
            'relay_monitor_drill_last_successful{location="local", shard="0/1"}': then("_x20", "1x20", "0x40", "1x20")
        },
        expect=[
            ("9m", "RelayMonitorDrillFailed", "warning", 0),
            ("10m15s", "RelayMonitorDrillFailed", "warning", 1),
            ("20m", "RelayMonitorDrillFailed", "warning", 1),
            ("21m", "RelayMonitorDrillFailed", "warning", 0),
        ],
    ),
)
