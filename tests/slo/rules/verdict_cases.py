"""Promtool cases about the verdict on relays: who pages, when, and what a page does not hold back."""

from __future__ import annotations

from typing import Final

from tests.slo.rules.series import Case, counter, growing, info, slo, then


def up(relay: str = "demo", location: str = "local", more: str = "") -> str:
    return f'relay_up{{location="{location}", relay="{relay}"{more}}}'


def accepting(relay: str = "demo", location: str = "local") -> str:
    return f'relay_accepting{{location="{location}", relay="{relay}"}}'


def cause(reason: str, relay: str = "demo", location: str = "local") -> str:
    return f'relay_cause_info{{location="{location}", relay="{relay}", step="upgrade", reason="{reason}", status=""}}'


def maintenance(relay: str = "demo", location: str = "local") -> str:
    return f'relay_maintenance{{location="{location}", relay="{relay}"}}'


OTHER: Final = 'install="other", '


def silent(*minutes: str, alert: str = "RelayDown", severity: str = "critical") -> list[tuple[str, str, str, int]]:
    return [(minute, alert, severity, 0) for minute in minutes]


GROUP: Final = tuple(f"node-{number}" for number in range(4))

CASES: Final = (
    Case(
        name="RelayDown: a failover of half a minute is no page",
        series={up(): then("1x40", *["0x1 1x40"] * 3)},
        expect=silent("10m15s", "10m30s", "10m45s", "11m", "21m", "31m", "32m"),
    ),
    Case(
        name="RelayDown: a page_after that the rules do not know waits half a minute",
        series={up(): then("1x39", "0x40"), info(page_after="7m"): "1x80"},
        expect=[*silent("10m15s"), ("10m45s", "RelayDown", "critical", 1)],
    ),
    Case(
        name="RelayDown: without page_after the verdict pages at once",
        series={up("zero"): then("1x39", "0x40"), info("zero", page_after="0s"): "1x80"},
        expect=[("10m45s", "RelayDown", "critical", 1)],
    ),
    Case(
        name="RelayDown: a relay that was added a minute ago and that the rules do not have pages",
        series={up("new"): then("_x40", "1x4", "0x40")},
        expect=[*silent("11m"), ("12m15s", "RelayDown", "critical", 1)],
    ),
    Case(
        name="RelayDown: a relay unknown to the rules with max_severity warning never pages",
        series={up("new"): then("1x40", "0x240"), info("new", max_severity="warning"): "1x280"},
        expect=[
            ("12m", "RelayDown", "warning", 1),
            *silent("12m", "45m", "60m"),
        ],
    ),
    Case(
        name="RelayDown: another team's install never pages here",
        series={
            up(): "1x80",
            f'relay_up{{{OTHER}location="local", relay="demo"}}': "0x80",
            f'relay_up{{{OTHER}location="local", relay="theirs"}}': "0x80",
        },
        expect=[*silent("5m", "15m"), *silent("15m", severity="warning")],
    ),
    Case(
        name="RelayDown: the same relay name in two installs makes no duplicates",
        series={
            up(): then("1x40", "0x80"),
            f'relay_up{{{OTHER}location="local", relay="demo"}}': "1x120",
            'relay_up{install="third", location="local", relay="demo"}': "0x120",
        },
        expect=[*silent("9m"), ("15m", "RelayDown", "critical", 1)],
    ),
    Case(
        name="RelayDown: a relay never seen up warns, and pages after half an hour",
        series={up(): "0x200"},
        expect=[
            ("2m", "RelayDown", "warning", 1),
            *silent("2m", "29m"),
            ("31m", "RelayDown", "critical", 1),
        ],
    ),
    Case(
        name="RelayDown: a Prometheus that starts amid an outage pages if the monitor remembers a success",
        series={
            up(): "0x40",
            'relay_probe_last_success_timestamp_seconds{location="local", relay="demo", probe="steady"}': "77x40",
        },
        expect=[*silent("15s"), ("45s", "RelayDown", "critical", 1)],
    ),
    Case(
        name="RelayDown: flapping every 45 s is one page",
        series={up(): then("1x40", *["0x3 1x2"] * 8, "1x40")},
        expect=[(minute, "RelayDown", "critical", 1) for minute in ("11m15s", "12m", "13m", "15m", "18m")]
        + silent("26m"),
    ),
    Case(
        name="RelayDown: a missed scrape neither resolves nor delays it",
        series={up(): then("1x39", "0 0 _ 0x40")},
        expect=[(minute, "RelayDown", "critical", 1) for minute in ("11m", "12m")],
    ),
    Case(
        name="RelayDown: the newest process of a shard votes",
        series={
            up(more=', instance="old:1"'): "1x80",
            up(more=', instance="new:1"'): then("1x40", "0x40"),
            'relay_monitor_start_time_seconds{location="local", shard="0/1", instance="old:1"}': "100x80",
            'relay_monitor_start_time_seconds{location="local", shard="0/1", instance="new:1"}': "200x80",
        },
        expect=[*silent("9m"), ("12m", "RelayDown", "critical", 1)],
    ),
    Case(
        name="RelayDown: an unhealthy newest process leaves the vote to the one before",
        series={
            up(more=', instance="old:1"'): then("1x40", "0x40"),
            up(more=', instance="new:1"'): "1x80",
            'relay_monitor_healthy{location="local", instance="new:1"}': "0x80",
            'relay_monitor_healthy{location="local", instance="old:1"}': "1x80",
            'relay_monitor_start_time_seconds{location="local", shard="0/1", instance="old:1"}': "100x80",
            'relay_monitor_start_time_seconds{location="local", shard="0/1", instance="new:1"}': "200x80",
        },
        expect=[*silent("9m"), ("12m", "RelayDown", "critical", 1)],
    ),
    Case(
        name="RelayDown: a restart of the monitor amid an outage is one page, without a resolution",
        series={up(): then("1x39", "0x20", "_x4", "0x20")},
        expect=[(f"{minute}", "RelayDown", "critical", 1) for minute in ("12m", "15m30s", "16m", "17m", "18m")],
    ),
    Case(
        name="RelayDown: an unhealthy monitor's 0 stays",
        series={up(): then("1x39", "0x80"), 'relay_monitor_healthy{location="local"}': then("1x60", "0x60")},
        expect=[("12m", "RelayDown", "critical", 1), ("25m", "RelayDown", "critical", 1)],
    ),
    Case(
        name="RelayNotAccepting: new clients are refused while existing ones deliver; then down; RelayDown alone",
        series={
            up(): then("1x79", "0x40"),
            accepting(): then("1x39", "0x80"),
        },
        expect=[
            *silent("10m15s", alert="RelayNotAccepting"),
            ("11m", "RelayNotAccepting", "critical", 1),
            *silent("19m"),
            ("21m", "RelayDown", "critical", 1),
            *silent("23m", alert="RelayNotAccepting"),
        ],
    ),
    Case(
        name="RelayNotAccepting: resolves two minutes after the repair",
        series={up(): "1x120", accepting(): then("1x39", "0x20", "1x60")},
        expect=[
            ("12m", "RelayNotAccepting", "critical", 1),
            ("16m30s", "RelayNotAccepting", "critical", 1),
            *silent("18m", alert="RelayNotAccepting"),
        ],
    ),
    Case(
        name="RelayNotAccepting: a monitor that is rate-limited alone waits five minutes",
        series={up(): "1x120", accepting(): then("1x39", "0x80"), cause("rate_limited"): then("_x40", "1x80")},
        expect=[
            *silent("11m", "14m30s", alert="RelayNotAccepting"),
            ("15m45s", "RelayNotAccepting", "critical", 1),
        ],
    ),
    Case(
        name="RelayGroupDown: three of four relays of a group are one page",
        series={
            **{up(relay): then("1x40", "0x40", "1x40") for relay in GROUP[:3]},
            up(GROUP[3]): "1x120",
            **{info(relay, group="eu-lb"): "1x120" for relay in GROUP},
        },
        expect=[
            *silent("10m", alert="RelayGroupDown"),
            ("11m", "RelayGroupDown", "critical", 1),
            *silent("11m"),
            # The relays' own alerts, which Alertmanager inhibits.
            ("14m", "RelayDown", "critical", 3),
            *silent("24m", alert="RelayGroupDown"),
        ],
    ),
    Case(
        name="RelayGroupDown: relays that fall in two scrapes are one page still",
        series={
            up(GROUP[0]): then("1x40", "0x40"),
            **{up(relay): then("1x41", "0x39") for relay in GROUP[1:]},
            **{info(relay, group="eu-lb"): "1x80" for relay in GROUP},
        },
        expect=[*silent("10m45s", "11m"), ("11m", "RelayGroupDown", "critical", 1)],
    ),
    Case(
        name="RelayGroupDown: two relays of a group are two pages",
        series={
            **{up(relay): then("1x40", "0x40") for relay in GROUP[:2]},
            **{up(relay): "1x80" for relay in GROUP[2:]},
            **{info(relay, group="eu-lb"): "1x80" for relay in GROUP},
        },
        expect=[*silent("15m", alert="RelayGroupDown"), ("15m", "RelayDown", "critical", 2)],
    ),
    Case(
        name="RelayGroupDown: relays in maintenance do not count",
        series={
            **{up(relay): then("1x40", "0x40") for relay in GROUP[:3]},
            up(GROUP[3]): "1x80",
            maintenance(GROUP[0]): "1x80",
            **{info(relay, group="eu-lb"): "1x80" for relay in GROUP},
        },
        expect=[*silent("15m", alert="RelayGroupDown"), ("15m", "RelayDown", "critical", 3)],
    ),
    Case(
        name="RelayGroupDown: a group of relays with max_severity warning warns",
        series={
            **{up(relay): then("1x40", "0x40") for relay in GROUP[:3]},
            **{info(relay, group="lab", max_severity="warning"): "1x80" for relay in GROUP[:3]},
        },
        expect=[*silent("15m", alert="RelayGroupDown"), ("15m", "RelayGroupDown", "warning", 1)],
    ),
    Case(
        name="RelayErrorBudgetBurn: one scrape of RelayDown does not take the page away",
        series={
            up(): then("1x360", "0x1", "1x40", "0x3", "1x80"),
            slo("delivery", "good"): growing(2, 2.5),
            slo("delivery", "bad"): growing(1, 2.5),
        },
        expect=[(f"{minute}m", "RelayErrorBudgetBurn", "critical", 2) for minute in (60, 89, 91, 92, 95, 98, 103, 105)],
    ),
    Case(
        name="RelayErrorBudgetBurn: one scrape of an outage every four minutes does not mute it",
        series={
            up(): then(*["1x15 0"] * 30),
            slo("delivery", "good"): growing(2, 2),
            slo("delivery", "bad"): growing(1, 2),
        },
        expect=[(f"{minute}m", "RelayErrorBudgetBurn", "critical", 2) for minute in range(30, 110, 3)],
    ),
    Case(
        name="RelayErrorBudgetBurn: outages too short to page are counted",
        series={
            up(): then("1x240", *["0 1x7"] * 40),
            slo("delivery", "good"): then(counter((3, 240)), counter(*[(0, 1), (3, 7)] * 40, start=720)),
            slo("delivery", "bad"): then("0x239", counter(*[(3, 1), (0, 7)] * 40)),
        },
        expect=[*silent("65m", "100m"), ("100m", "RelayErrorBudgetBurn", "critical", 2)],
    ),
    Case(
        name="RelayErrorBudgetBurn: failures before an outage that pages are told again after it",
        series={
            up(): then("1x360", "0x40", "1x120"),
            slo("delivery", "good"): counter((2, 360), (0, 40), (2, 120)),
            slo("delivery", "bad"): counter((1, 360), (3, 40), (1, 120)),
        },
        expect=[
            ("89m", "RelayErrorBudgetBurn", "critical", 2),
            ("98m", "RelayDown", "critical", 1),
            ("104m", "RelayErrorBudgetBurn", "critical", 2),
        ],
    ),
    Case(
        name="RelayErrorBudgetBurn: pairings that a relay refuses are told by RelayNotAccepting",
        series={
            up(): "1x600",
            accepting(): then("1x480", "0x40", "1x80"),
            slo("pairing", "good"): counter((3, 481), (0, 41), (3, 80)),
            slo("pairing", "bad"): counter((0, 481), (3, 41), (0, 80)),
        },
        expect=[
            ("125m", "RelayNotAccepting", "critical", 1),
            *silent("125m", "129m", "131m", "133m", alert="RelayErrorBudgetBurn"),
        ],
    ),
    Case(
        name="RelayInMaintenance: lasts while alerts of a relay that is up again still fire",
        series={
            up(): then("1x39", "0x20", "1x60"),
            accepting(): "1x120",
            maintenance(): then("0x19", "1x42", "0x60"),
        },
        expect=[
            ("4m", "RelayInMaintenance", "none", 0),
            ("12m", "RelayInMaintenance", "none", 1),
            ("12m", "RelayDown", "critical", 1),
            ("16m30s", "RelayInMaintenance", "none", 1),
            ("16m30s", "RelayDown", "critical", 1),
            ("20m", "RelayInMaintenance", "none", 0),
            *silent("18m"),
        ],
    ),
    Case(
        name="RelayInMaintenance: ends with the window while the relay is down",
        series={up(): then("1x39", "0x80"), maintenance(): then("0x19", "1x42", "0x60")},
        expect=[
            ("15m", "RelayInMaintenance", "none", 1),
            ("16m", "RelayInMaintenance", "none", 0),
            ("16m", "RelayDown", "critical", 1),
        ],
    ),
)
