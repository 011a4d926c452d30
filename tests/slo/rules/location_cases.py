"""Promtool cases with three locations of two shards: quorum, absence, relays with max_severity warning."""

from __future__ import annotations

from typing import Final

from tests.slo.rules.series import HOUR, Case, counter, growing, info, then

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


def accepting(location: str, relay: str = "demo") -> str:
    return f'relay_accepting{{location="{location}", relay="{relay}"}}'


def maintenance(location: str, relay: str = "demo") -> str:
    return f'relay_maintenance{{location="{location}", relay="{relay}"}}'


def healthy(location: str, more: str = "") -> str:
    return f'relay_monitor_healthy{{location="{location}"{more}}}'


def events(location: str, outcome: str, relay: str = "demo", slo: str = "delivery") -> str:
    labels = f'location="{location}", relay="{relay}", probe="steady", slo="{slo}", outcome="{outcome}"'
    return f"relay_slo_events_total{{{labels}}}"


def lost(location: str, relay: str = "demo") -> str:
    return f'relay_probe_messages_total{{location="{location}", relay="{relay}", probe="steady", verdict="lost"}}'


TWO_LOSSES: Final = counter((0, 80), (1, 1), (0, 23), (1, 1), (0, 100))
VOTING: Final = {up(location): "1x700" for location in LOCATIONS}


def failing(*locations: str, relay: str = "demo") -> dict[str, str]:
    """Return an hour without failures, then twenty minutes with failures at some locations, while the relay is up."""
    bad = counter((0, HOUR), (3, 80), (0, HOUR))
    good = counter((3, HOUR), (0, 80), (3, HOUR))
    made = VOTING | {up(location, "staging"): "1x700" for location in LOCATIONS}
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
        info(relay, location, max_severity=severity): "1x80",
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
        name="RelayDown: unhealthy monitors that report down have no vote; two that disagree page after five minutes",
        series={
            up("here"): "0x120",
            up("there"): "0x120",
            up("third", more=', instance="third:1"'): "1x120",
            healthy("here"): "0x120",
            healthy("there"): "1x120",
            healthy("third", more=', instance="third:0"'): "0x120",
            healthy("third", more=', instance="third:1"'): "1x120",
        },
        expect=[
            ("1m", "RelayProbeFailing", "warning", 1),
            ("4m45s", "RelayDown", "critical", 0),
            ("5m15s", "RelayDown", "critical", 1),
        ],
    ),
    Case(
        name="RelayDown: a regional relay pages for each location that has proof of its own network",
        series={
            info("demo", "here", scope="regional"): "1x120",
            info("demo", "there", scope="regional"): "1x120",
            info("demo", "third", scope="regional"): "1x120",
            up("here"): then("1x40", "0x80"),
            up("here", "other"): "1x120",
            # Nothing else is up from there: its own network may be at fault.
            up("there"): then("1x40", "0x40", "1x40"),
            up("third"): "1x120",
        },
        expect=[
            ("10m", "RelayDown", "critical", 0),
            ("11m", "RelayDown", "critical", 1),
            ("11m", "RelayProbeFailing", "warning", 1),
            ("29m", "RelayDown", "critical", 1),
        ],
    ),
    Case(
        name="RelayDown: a reference that answers is proof of a location's network",
        series={
            info("demo", "there", scope="regional"): "1x120",
            up("there"): then("1x40", "0x80"),
            up("third"): "1x120",
            info("demo", "third", scope="regional"): "1x120",
            'relay_monitor_reference_up{location="there"}': "1x120",
        },
        expect=[("10m", "RelayDown", "critical", 0), ("11m", "RelayDown", "critical", 1)],
    ),
    Case(
        name="RelayDown: a regional relay does not page from an unhealthy monitor",
        series={
            info("demo", "here", scope="regional"): "1x120",
            info("demo", "there", scope="regional"): "1x120",
            up("here"): then("1x40", "0x80"),
            up("here", "other"): "1x120",
            healthy("here"): "0x120",
            up("there"): "1x120",
            healthy("there"): "1x120",
        },
        expect=[("15m", "RelayDown", "critical", 0)],
    ),
    Case(
        name="RelayNotAccepting: at one location of three it warns, at two it pages",
        series={
            **{up(location): "1x160" for location in LOCATIONS},
            accepting("here"): then("1x40", "0x120"),
            accepting("there"): then("1x80", "0x80"),
            accepting("third"): "1x160",
        },
        expect=[
            ("15m", "RelayProbeFailing", "warning", 1),
            ("15m", "RelayNotAccepting", "critical", 0),
            ("22m", "RelayNotAccepting", "critical", 1),
        ],
    ),
    Case(
        name="RelayNotAccepting: rate-limited at two of three locations is not the monitors' fault",
        series={
            **{up(location): "1x160" for location in LOCATIONS},
            **{accepting(location): then("1x40", "0x120") for location in LOCATIONS[:2]},
            accepting("third"): "1x160",
            **{
                f'relay_cause_info{{location="{location}", relay="demo", reason="rate_limited"}}': "1x160"
                for location in LOCATIONS[:2]
            },
        },
        expect=[("11m", "RelayNotAccepting", "critical", 1)],
    ),
    Case(
        name="RelayInMaintenance: only while every location that votes is in its window",
        series={
            **{up(location): "1x160" for location in LOCATIONS},
            maintenance("here"): "1x160",
            maintenance("there"): then("0x40", "1x120"),
            maintenance("third"): "0x160",
            healthy("third"): then("1x80", "0x80"),
        },
        expect=[
            ("9m", "RelayInMaintenance", "none", 0),
            ("15m", "RelayInMaintenance", "none", 0),
            # The location without a window has no vote any more.
            ("25m", "RelayInMaintenance", "none", 1),
        ],
    ),
    Case(
        name="RelayMonitorUnhealthy: all relays fail from one location only: its network, and no page",
        series={
            **{up(location): "1x160" for location in LOCATIONS},
            healthy("here"): then("1x40", "0x120"),
            'relay_monitor_failed_check{location="here", check="all_relays"}': then("0x40", "1x120"),
        },
        expect=[
            ("14m", "RelayMonitorUnhealthy", "critical", 0),
            ("14m", "RelayMonitorUnhealthy", "warning", 1),
        ],
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
        name="RelayErrorBudgetBurn: rare events of the locations that are well vote for as long as the long window",
        series={
            **VOTING,
            # A pairing every ten minutes, here one that fails every half a minute.
            **{
                events(location, "good"): then(*(f"{count}x39" for count in range(14)))
                for location in ("there", "third")
            },
            **{events(location, "bad"): "0x560" for location in ("there", "third")},
            events("here", "good"): then(*(f"{count}x39" for count in range(6)), "6x320"),
            events("here", "bad"): counter((0, HOUR), *[(1, 1), (0, 1)] * 150),
        },
        expect=[(minute, "RelayErrorBudgetBurn", "critical", 0) for minute in ("70m", "77m", "84m", "99m", "108m")],
    ),
    Case(
        name="RelayErrorBudgetBurn: a location whose monitor is gone has no vote",
        series=failing("here") | {up(location): then("1x200", "stale", "_x500") for location in ("there", "third")},
        expect=[("1h10m", "RelayErrorBudgetBurn", "critical", 2)],
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
            **dict.fromkeys((events("there", "bad", slo="strict"), lost("there")), counter((0, 80), (1, 8), (0, 100))),
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
            **VOTING,
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
            **VOTING,
            events("here", "bad", slo="strict"): counter((0, 80), (1, 2), (0, 100)),
            events("here", "good", slo="strict"): growing(1, 1),
            **{events(location, "good", slo="strict"): "7x200" for location in ("there", "third")},
        },
        expect=[("19m", "RelayMessagesLost", "critical", 0), ("22m", "RelayMessagesLost", "critical", 1)],
    ),
    Case(
        name="RelayMessagesLost: the second loss of a relay with max_severity warning is the same warning",
        series=dict.fromkeys((events("here", "bad", "staging", "strict"), lost("here", "staging")), TWO_LOSSES),
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
            shard(location, index): then("1x39", "stale", "_x80") if (location, index) == ("there", 1) else "1x120"
            for location in LOCATIONS
            for index in range(2)
        },
        expect=[
            ("14m45s", "RelayMonitorAbsent", "warning", 0),
            ("15m15s", "RelayMonitorAbsent", "warning", 1),
            ("25m", "RelayMonitorAbsent", "critical", 0),
        ],
    ),
    Case(
        name="RelayMonitorAbsent: two of three monitors of a shard are absent, one of the other: one page",
        series={
            shard(location, index): then("1x39", "stale", "_x38", "1x40") if (location, index) in ABSENT else "1x120"
            for location in LOCATIONS
            for index in range(2)
        },
        expect=[
            ("12m45s", "RelayMonitorAbsent", "critical", 0),
            ("13m15s", "RelayMonitorAbsent", "critical", 1),
            ("19m", "RelayMonitorAbsent", "warning", 3),
            ("19m", "RelayMonitorAbsent", "critical", 1),
            ("22m", "RelayMonitorAbsent", "warning", 0),
            ("22m", "RelayMonitorAbsent", "critical", 0),
        ],
    ),
    Case(
        name="RelayMonitorAbsent: all monitors are absent: a page for each shard, a warning for each monitor",
        series={up("here"): "1x30"},
        expect=[("4m", "RelayMonitorAbsent", "critical", 2), ("6m", "RelayMonitorAbsent", "warning", 6)],
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
