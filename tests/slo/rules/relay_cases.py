"""Promtool cases for each alert of the shipped rules.

Without failures, pending, firing, resolved; one blip, cold start, counter reset, absent series, maintenance.
"""

from __future__ import annotations

from typing import Final

from tests.slo.rules.series import (
    BUILD,
    CONFIRMED,
    HEALTH,
    HEALTHY,
    HOUR,
    LATE_MESSAGES,
    LOST_MESSAGES,
    PROBE,
    PROBE_UP,
    RUNS,
    SHARD,
    UP,
    Case,
    counter,
    growing,
    slo,
    then,
)

CASES: Final[tuple[Case, ...]] = (
    Case(
        name="RelayDown: silent while up, fires when down, resolves when up again",
        series={UP: then("1x40", "0x40", "1x40")},
        expect=[
            ("5m", "RelayDown", "critical", 0),
            ("11m", "RelayDown", "critical", 1),
            ("25m", "RelayDown", "critical", 0),
        ],
    ),
    Case(
        name="RelayDown: silent before the first verdict",
        series={BUILD: "1x40"},
        expect=[("5m", "RelayDown", "critical", 0)],
    ),
    Case(
        name="RelayDown: NaN is no outage",
        series={UP: " ".join(["NaN"] * 40)},
        expect=[("5m", "RelayDown", "critical", 0)],
    ),
    Case(
        name="RelayPartialFailure: a failure over a persistent connection while new pairs succeed, and its end",
        series={CONFIRMED: counter((0, 40), (1, 20), (0, 80))},
        expect=[
            ("9m", "RelayPartialFailure", "critical", 0),
            ("13m", "RelayPartialFailure", "critical", 1),
            ("22m", "RelayPartialFailure", "critical", 0),
        ],
    ),
    Case(
        name="RelayPartialFailure: a restart of the monitor is no failure",
        series={CONFIRMED: then("5x40", "0x40")},
        expect=[("11m", "RelayPartialFailure", "critical", 0), ("19m", "RelayPartialFailure", "critical", 0)],
    ),
    Case(
        name="RelayProbeFailing: pending for a minute, then a warning, while the relay is up",
        series={UP: "1x80", PROBE_UP: then("1x40", "0x40")},
        expect=[("10m30s", "RelayProbeFailing", "warning", 0), ("12m", "RelayProbeFailing", "warning", 1)],
    ),
    Case(
        name="RelayProbeFailing: not while the relay itself is down",
        series={UP: then("1x4", "0x80"), PROBE_UP: "0x80"},
        expect=[("12m", "RelayProbeFailing", "warning", 0), ("12m", "RelayDown", "critical", 1)],
    ),
    Case(
        name="RelayErrorBudgetBurn: silent without failures",
        series=HEALTH,
        expect=[("2h", "RelayErrorBudgetBurn", "critical", 0), ("2h", "RelayErrorBudgetBurn", "warning", 0)],
    ),
    Case(
        name="RelayErrorBudgetBurn, RelayMessagesLost: an outage pages once, and not again after it",
        series={
            UP: then("1x480", "0x8", "1x80"),
            slo("delivery", "good"): counter((3, 481), (0, 8), (3, 80)),
            slo("delivery", "bad"): counter((0, 481), (3, 8), (0, 80)),
            slo("recovery", "good"): counter((1, 481), (0, 8), (1, 80)),
            slo("recovery", "bad"): counter((0, 481), (1, 8), (0, 80)),
        },
        expect=[
            ("121m", "RelayDown", "critical", 1),
            *(
                (minute, name, "critical", 0)
                for minute in ("121m", "122m15s", "123m", "125m")
                for name in ("RelayErrorBudgetBurn", "RelayMessagesLost")
            ),
            ("125m", "RelayDown", "critical", 0),
            # The refused runs lost no message.
            ("123m", "RelayMessagesLost", "warning", 0),
        ],
    ),
    Case(
        name="RelayErrorBudgetBurn: an outage whose verdict takes 41 s explains its first failures too",
        series={
            UP: then("1x484", "0x36", "1x80"),
            slo("delivery", "good"): counter((3, 480), (0, 42), (3, 80)),
            slo("delivery", "bad"): counter((0, 480), (3, 42), (0, 80)),
        },
        expect=[
            # It burns before the verdict: Alertmanager waits for that, and for what keeps firing.
            ("121m", "RelayErrorBudgetBurn", "critical", 2),
            ("122m30s", "RelayDown", "critical", 1),
            ("128m", "RelayErrorBudgetBurn", "critical", 0),
            ("140m", "RelayErrorBudgetBurn", "critical", 0),
        ],
    ),
    Case(
        name="RelayErrorBudgetBurn: a single failure does not page, at 99.9 % and twelve events a minute",
        series={
            slo("delivery", "good"): growing(3, 5),
            slo("delivery", "bad"): counter((0, 3 * HOUR), (1, 1), (0, 2 * HOUR)),
        },
        expect=[
            (f"{minute}m", "RelayErrorBudgetBurn", severity, 0)
            for minute in (181, 185, 200, 250)
            for severity in ("critical", "warning")
        ],
    ),
    Case(
        name="RelayErrorBudgetBurn: pages within minutes if all events fail, resolves after the repair",
        series={
            slo("delivery", "good"): counter((3, 3 * HOUR), (0, 80), (3, 2 * HOUR)),
            slo("delivery", "bad"): counter((0, 3 * HOUR), (3, 80), (0, 2 * HOUR)),
        },
        expect=[
            ("2h59m", "RelayErrorBudgetBurn", "critical", 0),
            ("3h5m", "RelayErrorBudgetBurn", "critical", 2),
            ("3h36m", "RelayErrorBudgetBurn", "critical", 0),
        ],
    ),
    Case(
        name="RelayErrorBudgetBurn: a slow burn is a warning, never a page",
        series={
            slo("delivery", "good"): growing(199, 4),
            slo("delivery", "bad"): growing(1, 4),
        },
        expect=[("3h", "RelayErrorBudgetBurn", "critical", 0), ("3h", "RelayErrorBudgetBurn", "warning", 2)],
    ),
    Case(
        name="RelayErrorBudgetBurn: the first failure after a cold start is a blip",
        series={slo("delivery", "good"): growing(3, 1), slo("delivery", "bad"): counter((0, 4), (1, 1), (0, 200))},
        expect=[("2m", "RelayErrorBudgetBurn", "critical", 0), ("4m", "RelayErrorBudgetBurn", "critical", 0)],
    ),
    Case(
        name="RelayErrorBudgetBurn: two connections disconnected for eight seconds are a blip, after a cold start too",
        series={
            slo("stability", "good"): counter((30, 5), (14, 1), (30, 60), (14, 1), (30, 100)),
            slo("stability", "bad"): counter((0, 5), (16, 1), (0, 60), (16, 1), (0, 100)),
        },
        expect=[
            (minute, "RelayErrorBudgetBurn", severity, 0)
            for minute in ("90s", "2m", "4m", "10m", "17m", "19m", "30m")
            for severity in ("critical", "warning")
        ],
    ),
    Case(
        name="RelayErrorBudgetBurn: two connections that disconnect repeatedly page, after a cold start too",
        series={slo("stability", "good"): growing(25, 2), slo("stability", "bad"): growing(5, 2)},
        expect=[
            ("2m", "RelayErrorBudgetBurn", "critical", 0),
            ("4m", "RelayErrorBudgetBurn", "critical", 1),
            ("10m", "RelayErrorBudgetBurn", "critical", 2),
        ],
    ),
    Case(
        name="RelayErrorBudgetBurn: a counter reset is no failure",
        series={
            slo("delivery", "good"): then(counter((3, 3 * HOUR)), growing(3, 2)),
            slo("delivery", "bad"): then("2x719", "0x480"),
        },
        expect=[("3h5m", "RelayErrorBudgetBurn", "critical", 0)],
    ),
    Case(
        name="RelayErrorBudgetBurn: events that a maintenance window excludes are not counted",
        series={slo("delivery", "good"): then(counter((3, 3 * HOUR)), "2160x480"), slo("delivery", "bad"): "0x1200"},
        expect=[("3h30m", "RelayErrorBudgetBurn", "critical", 0), ("3h30m", "RelayErrorBudgetBurn", "warning", 0)],
    ),
    Case(
        name="RelayMessagesLost: the first loss warns, the second within a quarter of an hour pages",
        series={
            slo("recovery", "good", "offline-30s"): growing(1, 3),
            slo("recovery", "bad", "offline-30s"): counter((0, 80), (1, 1), (0, 23), (1, 1), (0, 200)),
            LOST_MESSAGES: counter((0, 80), (1, 1), (0, 23), (1, 1), (0, 200)),
        },
        expect=[
            ("19m", "RelayMessagesLost", "warning", 0),
            ("22m", "RelayMessagesLost", "warning", 1),
            ("22m", "RelayMessagesLost", "critical", 0),
            ("22m", "RelayErrorBudgetBurn", "warning", 0),
            ("27m", "RelayMessagesLost", "critical", 1),
            ("34m", "RelayMessagesLost", "critical", 0),
            ("44m", "RelayMessagesLost", "warning", 0),
        ],
    ),
    Case(
        name="RelayMessagesLost: refused connections lose no message and do not page",
        series={
            slo("recovery", "good", "offline-30s"): growing(1, 3),
            slo("recovery", "bad", "offline-30s"): counter((0, 80), (1, 1), (0, 23), (1, 1), (0, 200)),
            LOST_MESSAGES: growing(0, 3),
            LATE_MESSAGES: counter((0, 80), (1, 1), (0, 23), (1, 1), (0, 200)),
            LOST_MESSAGES.replace("lost", "unrecovered"): counter((0, 80), (1, 1), (0, 23), (1, 1), (0, 200)),
        },
        expect=[
            ("19m", "RelayErrorBudgetBurn", "warning", 0),
            ("22m", "RelayErrorBudgetBurn", "warning", 1),
            ("27m", "RelayErrorBudgetBurn", "warning", 1),
            ("44m", "RelayErrorBudgetBurn", "warning", 0),
            *(("27m", "RelayMessagesLost", severity, 0) for severity in ("critical", "warning")),
        ],
    ),
    Case(
        name="RelayMessagesLost: a corrupted message is as bad as a lost one",
        series={
            slo("recovery", "good", "offline-30s"): growing(1, 1),
            slo("recovery", "bad", "offline-30s"): counter((0, 80), (1, 1), (0, 100)),
            LOST_MESSAGES: growing(0, 1),
            LOST_MESSAGES.replace("lost", "corrupted"): counter((0, 80), (1, 1), (0, 100)),
        },
        expect=[("22m", "RelayMessagesLost", "warning", 1), ("22m", "RelayErrorBudgetBurn", "warning", 0)],
    ),
    Case(
        name="RelayPairsUnstable: repeated disconnects; shutdowns of a deploy are not counted",
        series={
            f'relay_probe_pair_seconds_total{{{PROBE}, state="connected"}}': growing(14, 1),
            f'relay_probe_pair_seconds_total{{{PROBE}, state="disconnected"}}': growing(1, 1),
            f'relay_probe_disconnects_total{{{PROBE}, code="none"}}': counter((0, 60), (1, 10), (0, 170)),
            f'relay_probe_disconnects_total{{{PROBE}, code="3001"}}': growing(1, 1),
        },
        expect=[
            ("14m", "RelayPairsUnstable", "warning", 0),
            ("18m", "RelayPairsUnstable", "warning", 1),
            ("45m", "RelayPairsUnstable", "warning", 0),
        ],
    ),
    Case(
        name="RelayPairsUnstable: the disconnects of an outage that paged do not warn",
        series={
            UP: then("1x120", "0x3", "1x200"),
            f'relay_probe_pair_seconds_total{{{PROBE}, state="connected"}}': counter((30, 120), (0, 4), (30, 200)),
            f'relay_probe_pair_seconds_total{{{PROBE}, state="disconnected"}}': counter((0, 120), (30, 4), (0, 200)),
            f'relay_probe_disconnects_total{{{PROBE}, code="none"}}': counter((0, 120), (4, 1), (0, 203)),
        },
        expect=[
            ("30m45s", "RelayDown", "critical", 1),
            *((minute, "RelayPairsUnstable", "warning", 0) for minute in ("31m", "32m", "33m", "36m", "44m", "50m")),
        ],
    ),
    Case(
        name="RelayProbeRateLimited: fires and resolves",
        series={
            f'relay_probe_failures_total{{{PROBE}, step="upgrade", reason="rate_limited"}}': counter(
                (0, 40), (1, 4), (0, 100)
            )
        },
        expect=[
            ("9m", "RelayProbeRateLimited", "warning", 0),
            ("12m", "RelayProbeRateLimited", "warning", 1),
            ("30m", "RelayProbeRateLimited", "warning", 0),
        ],
    ),
    Case(
        name="RelayCertificateExpiring: warns below two weeks, pages below three days",
        series={
            'relay_probe_certificate_expiry_timestamp_seconds{location="local", relay="demo"}': f"{10 * 86400}x200",
            'relay_probe_certificate_expiry_timestamp_seconds{location="local", relay="late"}': f"{86400}x200",
            'relay_probe_certificate_expiry_timestamp_seconds{location="local", relay="good"}': f"{90 * 86400}x200",
        },
        expect=[
            ("2m", "RelayCertificateExpiring", "warning", 0),
            ("10m", "RelayCertificateExpiring", "warning", 2),
            ("10m", "RelayCertificateExpiring", "critical", 1),
        ],
    ),
    Case(
        name="RelayCertificateExpiring: one node of two still has its old certificate",
        series={
            'relay_probe_certificate_expiry_timestamp_seconds{location="local", relay="demo"}': " ".join(
                [f"{2 * 86400}x1 {90 * 86400}x1"] * 60
            ),
        },
        expect=[
            ("10m", "RelayCertificateExpiring", "warning", 1),
            ("50m", "RelayCertificateExpiring", "critical", 1),
        ],
    ),
    Case(
        name="RelayProbeStale: a probe removed from the configuration is not stale",
        series={
            RUNS.replace("steady", "session"): then(*(f"{runs}x19" for runs in range(8)), "8x13", "stale"),
        },
        expect=[(minute, "RelayProbeStale", "warning", 0) for minute in ("40m", "50m", "53m", "56m", "59m")],
    ),
    Case(
        name="RelayProbeStale: no run for five minutes",
        series={RUNS: then(counter((1, 80)), "80x80")},
        expect=[("19m", "RelayProbeStale", "warning", 0), ("28m", "RelayProbeStale", "warning", 1)],
    ),
    Case(
        name="RelayMonitorAbsent: absent for a minute",
        series={SHARD: then("1x40", "_x40")},
        expect=[("9m", "RelayMonitorAbsent", "critical", 0), ("19m", "RelayMonitorAbsent", "critical", 1)],
    ),
    Case(
        name="RelayMonitorUnhealthy: warns after two minutes, pages after a quarter of an hour",
        series={HEALTHY: then("1x20", "0x100", "1x20")},
        expect=[
            ("6m", "RelayMonitorUnhealthy", "warning", 0),
            ("8m", "RelayMonitorUnhealthy", "warning", 1),
            ("8m", "RelayMonitorUnhealthy", "critical", 0),
            ("22m", "RelayMonitorUnhealthy", "critical", 1),
            ("33m", "RelayMonitorUnhealthy", "critical", 0),
        ],
    ),
    Case(
        name="RelayMonitorConfigReloadFailed: a failed reload",
        series={'relay_monitor_config_last_reload_successful{location="local"}': then("1x20", "0x60")},
        expect=[
            ("9m", "RelayMonitorConfigReloadFailed", "warning", 0),
            ("12m", "RelayMonitorConfigReloadFailed", "warning", 1),
        ],
    ),
    Case(
        name="RelayMonitorRulesDrift: another objective than in the rules, and none for an SLO that is equal",
        series={
            slo("delivery", "good"): growing(3, 1),
            slo("round-trip", "good"): growing(3, 1),
            'relay_slo_objective_ratio{location="local", relay="demo", slo="delivery"}': "0.99x200",
            'relay_slo_objective_ratio{location="local", relay="demo", slo="round-trip"}': "0.99x200",
            'relay_slo_threshold_seconds{location="local", relay="demo", slo="round-trip"}': "0.4x200",
        },
        expect=[("5m", "RelayMonitorRulesDrift", "warning", 0), ("15m", "RelayMonitorRulesDrift", "warning", 1)],
    ),
    Case(
        name="RelayMonitorRulesDrift: an SLO that the rules do not have",
        series={
            slo("delivery", "good"): growing(3, 1),
            'relay_slo_objective_ratio{location="local", relay="demo", slo="unheard-of"}': "0.9x200",
        },
        expect=[("15m", "RelayMonitorRulesDrift", "warning", 1)],
    ),
    Case(
        name="RelayMonitorRulesDrift: a shard and a location that the rules do not have",
        series={
            SHARD: "1x200",
            'relay_monitor_shard_info{location="local", shard="1/2"}': "1x200",
            'relay_monitor_shard_info{location="elsewhere", shard="0/1"}': "1x200",
        },
        expect=[("5m", "RelayMonitorRulesDrift", "warning", 0), ("15m", "RelayMonitorRulesDrift", "warning", 2)],
    ),
    Case(
        name="RelayInMaintenance: fires, so that Alertmanager inhibits the other alerts",
        series={'relay_maintenance{location="local", relay="demo"}': then("0x20", "1x20", "0x20")},
        expect=[
            ("4m", "RelayInMaintenance", "none", 0),
            ("7m", "RelayInMaintenance", "none", 1),
            ("12m", "RelayInMaintenance", "none", 0),
        ],
    ),
    Case(name="Watchdog: always fires", series={BUILD: "1x20"}, expect=[("1m", "Watchdog", "none", 1)]),
    Case(
        name="RelayProbeFailing: resolves when the probe succeeds again",
        series={UP: "1x160", PROBE_UP: then("1x40", "0x40", "1x80")},
        expect=[("15m", "RelayProbeFailing", "warning", 1), ("21m", "RelayProbeFailing", "warning", 0)],
    ),
)

MINUTES: Final = 60
"""Samples an hour in the cases of a day; a sample each scrape takes minutes to evaluate."""

SLOW: Final = (
    Case(
        name="RelayLatencyTrend: four times as slow for two hours, resolves an hour later",
        series={
            f'relay_probe_round_trip_seconds_bucket{{{PROBE}, le="0.1"}}': counter(
                (12, 26 * MINUTES), (0, 2 * MINUTES), (12, 2 * MINUTES)
            ),
            f'relay_probe_round_trip_seconds_bucket{{{PROBE}, le="0.4"}}': f"0+12x{30 * MINUTES}",
            f'relay_probe_round_trip_seconds_bucket{{{PROBE}, le="+Inf"}}': f"0+12x{30 * MINUTES}",
            f"relay_probe_round_trip_seconds_count{{{PROBE}}}": f"0+12x{30 * MINUTES}",
        },
        expect=[
            ("25h", "RelayLatencyTrend", "warning", 0),
            ("27h30m", "RelayLatencyTrend", "warning", 1),
            ("29h30m", "RelayLatencyTrend", "warning", 0),
        ],
    ),
)
