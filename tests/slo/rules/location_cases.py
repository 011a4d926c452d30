"""Promtool cases with three locations of two shards: quorum, absence, relays with max_severity warning."""

from __future__ import annotations

from typing import Final

from tests.slo.rules.series import HOUR, Case, counter, growing, then

CONFIG: Final = """
location: here
locations: [here, there, third]
shards: 2
relays:
  - {name: demo, url: embedded}
  - {name: staging, url: embedded, max_severity: warning}
probes: [{name: steady, scenario: steady-messaging}]
slos:
  - {name: delivery, probe: steady, sli: availability, objective: 99.9%}
  - {name: strict, probe: steady, sli: availability, objective: 100%}
"""
LOCATIONS: Final = ("here", "there", "third")


def up(location: str, relay: str = "demo", more: str = "") -> str:
    return f'relay_up{{location="{location}", relay="{relay}"{more}}}'


def healthy(location: str, more: str = "") -> str:
    return f'relay_monitor_healthy{{location="{location}"{more}}}'


def events(location: str, outcome: str, relay: str = "demo", slo: str = "delivery") -> str:
    labels = f'location="{location}", relay="{relay}", probe="steady", slo="{slo}", outcome="{outcome}"'
    return f"relay_slo_events_total{{{labels}}}"


def failing(*locations: str, relay: str = "demo") -> dict[str, str]:
    """Return an hour without failures, then twenty minutes with failures at some locations, while the relay is up."""
    bad = counter((0, HOUR), (3, 80), (0, HOUR))
    good = counter((3, HOUR), (0, 80), (3, HOUR))
    made = {}
    for location in LOCATIONS:
        made[events(location, "good", relay)] = good if location in locations else growing(3, 2.3)
        made[events(location, "bad", relay)] = bad if location in locations else growing(0, 2.3)
    return made


def shard(location: str, index: int) -> str:
    return f'relay_monitor_shard_info{{location="{location}", shard="{index}/2"}}'


ABSENT: Final = (("here", 0), ("there", 0), ("third", 1))
SEVERITIES: Final = {"demo": "critical", "staging": "warning"}
RUNNING: Final = {
    series: value
    for location in LOCATIONS
    for relay, severity in SEVERITIES.items()
    for series, value in {
        f'relay_probe_relay_info{{location="{location}", relay="{relay}", max_severity="{severity}"}}': "1x80",
        events(location, "good", relay): "0x80",
        events(location, "good", relay, "strict"): "0x80",
        **{
            f'{name}{{location="{location}", relay="{relay}", slo="{slo}"}}': f"{value}x80"
            for slo, objective in (("delivery", 0.999), ("strict", 1))
            for name, value in (("relay_slo_objective_ratio", objective), ("relay_slo_window_seconds", 2_592_000))
        },
    }.items()
}
"""The series of monitors that run with this configuration."""


CASES: Final = (
    Case(
        name="RelayDown: one location alone warns, the second pages",
        series={
            up("here"): then("1x40", "0x80"),
            up("there"): then("1x80", "0x40"),
            up("third"): "1x120",
        },
        expect=[
            ("5m", "RelayProbeFailing", "warning", 0),
            ("15m", "RelayDown", "critical", 0),
            ("15m", "RelayProbeFailing", "warning", 1),
            ("22m", "RelayDown", "critical", 1),
            ("25m", "RelayProbeFailing", "warning", 0),
        ],
    ),
    Case(
        name="RelayDown: a location without data does not vote",
        series={up("here"): then("1x40", "0x40"), up("there"): then("1x20", "_x60")},
        expect=[("3m", "RelayDown", "critical", 0), ("15m", "RelayDown", "critical", 1)],
    ),
    Case(
        name="RelayDown: unhealthy monitors that report up have no vote",
        series={
            up("here"): then("1x40", "0x80"),
            **{up(location): "1x120" for location in ("there", "third")},
            **{healthy(location): then("1x60", "0x60") for location in ("there", "third")},
            healthy("here"): "1x120",
        },
        expect=[
            ("14m", "RelayDown", "critical", 0),
            ("14m", "RelayProbeFailing", "warning", 1),
            ("16m", "RelayDown", "critical", 1),
            ("18m", "RelayProbeFailing", "warning", 0),
        ],
    ),
    Case(
        name="RelayDown: unhealthy monitors that report down have no vote, and each shard has its own",
        series={
            up("here"): "0x120",
            up("there"): "0x120",
            up("third", more=', instance="third:1"'): "1x120",
            healthy("here"): "0x120",
            healthy("there"): "1x120",
            healthy("third", more=', instance="third:0"'): "0x120",
            healthy("third", more=', instance="third:1"'): "1x120",
        },
        expect=[("14m", "RelayDown", "critical", 0), ("14m", "RelayProbeFailing", "warning", 1)],
    ),
    Case(
        name="RelayDown: a relay with max_severity warning warns",
        series={up(location, "staging"): "0x40" for location in LOCATIONS},
        expect=[("5m", "RelayDown", "critical", 0), ("5m", "RelayDown", "warning", 1)],
    ),
    Case(
        name="RelayErrorBudgetBurn: a burn at one location of three does not page",
        series=failing("here"),
        expect=[("1h10m", "RelayErrorBudgetBurn", "critical", 0), ("1h10m", "RelayErrorBudgetBurn", "warning", 2)],
    ),
    Case(
        name="RelayErrorBudgetBurn: a burn at two locations of three pages",
        series=failing("here", "third"),
        expect=[
            ("59m", "RelayErrorBudgetBurn", "critical", 0),
            ("1h10m", "RelayErrorBudgetBurn", "critical", 2),
            ("1h50m", "RelayErrorBudgetBurn", "critical", 0),
        ],
    ),
    Case(
        name="RelayErrorBudgetBurn: a relay with max_severity warning does not page",
        series=failing(*LOCATIONS, relay="staging"),
        expect=[
            ("1h10m", "RelayErrorBudgetBurn", "critical", 0),
            # Two conditions of warnings at each location, and two of pages, once each.
            ("1h10m", "RelayErrorBudgetBurn", "warning", 8),
        ],
    ),
    Case(
        name="RelayMessagesLost: losses at one location warn",
        series={
            **{events(location, "bad", slo="strict"): "0x200" for location in LOCATIONS},
            **{events(location, "good", slo="strict"): growing(1, 1) for location in LOCATIONS},
            events("there", "bad", slo="strict"): counter((0, 80), (1, 8), (0, 100)),
            up("there"): then("1x80", "0x40", "1x80"),
            up("here"): "1x200",
            up("third"): "1x200",
        },
        expect=[
            ("19m", "RelayMessagesLost", "warning", 0),
            ("24m", "RelayMessagesLost", "warning", 1),
            ("24m", "RelayMessagesLost", "critical", 0),
        ],
    ),
    Case(
        name="RelayMessagesLost: losses at two locations of three page, at different times too",
        series={
            **{events(location, "good", slo="strict"): growing(1, 1) for location in LOCATIONS},
            events("here", "bad", slo="strict"): "0x200",
            events("there", "bad", slo="strict"): counter((0, 80), (1, 2), (0, 100)),
            events("third", "bad", slo="strict"): counter((0, 112), (1, 2), (0, 100)),
        },
        expect=[
            ("27m", "RelayMessagesLost", "critical", 0),
            ("29m", "RelayMessagesLost", "critical", 1),
            ("34m", "RelayMessagesLost", "critical", 0),
        ],
    ),
    Case(
        name="RelayMessagesLost: a location without events has no vote",
        series={
            events("here", "bad", slo="strict"): counter((0, 80), (1, 2), (0, 100)),
            events("here", "good", slo="strict"): growing(1, 1),
            **{events(location, "good", slo="strict"): "7x200" for location in ("there", "third")},
        },
        expect=[("19m", "RelayMessagesLost", "critical", 0), ("22m", "RelayMessagesLost", "critical", 1)],
    ),
    Case(
        name="RelayMessagesLost: the second loss of a relay with max_severity warning is the same warning",
        series={events("here", "bad", "staging", "strict"): counter((0, 80), (1, 1), (0, 23), (1, 1), (0, 100))},
        expect=[
            ("22m", "RelayMessagesLost", "warning", 1),
            ("27m", "RelayMessagesLost", "critical", 0),
            ("27m", "RelayMessagesLost", "warning", 1),
        ],
    ),
    Case(
        name="RelayCertificateExpiring: a relay with max_severity warning has one warning",
        series={
            f'relay_probe_certificate_expiry_timestamp_seconds{{location="here", relay="{relay}"}}': f"{86400}x80"
            for relay in ("demo", "staging")
        },
        expect=[
            ("10m", "RelayCertificateExpiring", "critical", 1),
            ("10m", "RelayCertificateExpiring", "warning", 2),
        ],
    ),
    Case(
        name="RelayMonitorAbsent: one shard of one location is absent",
        series={
            shard(location, index): then("1x40", "_x40") if (location, index) == ("there", 1) else "1x80"
            for location in LOCATIONS
            for index in range(2)
        },
        expect=[
            ("9m", "RelayMonitorAbsent", "warning", 0),
            ("19m", "RelayMonitorAbsent", "warning", 1),
            ("19m", "RelayMonitorAbsent", "critical", 0),
        ],
    ),
    Case(
        name="RelayMonitorAbsent: two of three monitors of a shard are absent, one of the other: one page",
        series={
            shard(location, index): then("1x40", "_x40", "1x40") if (location, index) in ABSENT else "1x120"
            for location in LOCATIONS
            for index in range(2)
        },
        expect=[
            ("9m", "RelayMonitorAbsent", "critical", 0),
            ("19m", "RelayMonitorAbsent", "warning", 3),
            ("19m", "RelayMonitorAbsent", "critical", 1),
            ("22m", "RelayMonitorAbsent", "warning", 0),
            ("22m", "RelayMonitorAbsent", "critical", 0),
        ],
    ),
    Case(
        name="RelayMonitorAbsent: all monitors are absent: a page for each shard, a warning for each monitor",
        series={up("here"): "1x20"},
        expect=[("3m", "RelayMonitorAbsent", "warning", 6), ("3m", "RelayMonitorAbsent", "critical", 2)],
    ),
    Case(
        name="RelayMonitorRulesDrift: silent if all shards of all locations are those of the rules",
        series={shard(location, index): "1x80" for location in LOCATIONS for index in range(2)} | RUNNING,
        expect=[("15m", "RelayMonitorRulesDrift", "warning", 0)],
    ),
    Case(
        name="RelayMonitorRulesDrift: an absent shard exports no relays and does not differ",
        series={shard(location, 0): "1x80" for location in LOCATIONS}
        | {series: values for series, values in RUNNING.items() if 'relay="demo"' in series},
        expect=[("15m", "RelayMonitorRulesDrift", "warning", 0)],
    ),
    Case(
        name="RelayMonitorRulesDrift: no monitor monitors a relay of the rules, and none is absent",
        series={shard(location, index): "1x80" for location in LOCATIONS for index in range(2)}
        | {series: values for series, values in RUNNING.items() if 'relay="demo"' in series},
        expect=[("5m", "RelayMonitorRulesDrift", "warning", 0), ("15m", "RelayMonitorRulesDrift", "warning", 1)],
    ),
)
