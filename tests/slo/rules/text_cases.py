"""Promtool cases of the texts: what an on-call engineer reads, whole, in `texts.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.slo.rules.series import CONFIRMED, PROBE, UP, info, slo, then

if TYPE_CHECKING:
    from collections.abc import Mapping

FAR: Final = "1x2000"

CONFIG: Final = """
location: eu
locations: [eu, us, ap]
relays: [{name: demo, url: embedded, group: lb, owner: wallets}, {name: one, url: embedded, group: lb},
         {name: two, url: embedded, group: lb}]
probes: [{name: steady, scenario: steady-messaging}]
slos: [{name: delivery, probe: steady, sli: availability, objective: 99.9%}]
"""
"""Three locations, and a group of three relays."""

SMALL: Final = """
relays: [{name: demo, url: embedded}]
probes:
  - {name: steady, scenario: steady-messaging}
  - {name: offline-30s, scenario: async-delivery, schedule: {every: 1m}, delay: 30s}
slos:
  - {name: round-trip, probe: steady, sli: latency, threshold: 400ms, objective: 99%}
  - {name: recovery, probe: offline-30s, sli: availability, objective: 100%}
"""
"""One location, an SLO with an error budget and one without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextCase:
    """Series, and a time at which `texts.yaml` has the texts of every firing alert of one name."""

    name: str
    series: Mapping[str, str]
    at: str
    alert: str


def state(name: str, since: int, scrapes: int, where: str = 'location="local", relay="demo"') -> dict[str, str]:
    """Return the series of a relay that is up and then, after so many scrapes, in another state since a Unix time."""
    return {
        f'relay_state{{{where}, state="up"}}': then(f"1x{scrapes}", "0x2000"),
        f'relay_state{{{where}, state="{name}"}}': then(f"0x{scrapes}", "1x2000"),
        f"relay_state_since_timestamp_seconds{{{where}}}": then(f"3x{scrapes}", f"{since}x2000"),
    }


def cause(
    step: str, reason: str, status: str = "", scrapes: int = 40, where: str = 'location="local", relay="demo"'
) -> str:
    """Return the series of a cause; its values are `then(f"_x{scrapes}", FAR)`."""
    return f'relay_cause_info{{{where}, step="{step}", reason="{reason}", status="{status}"}}'


def _eu_and_us() -> dict[str, str]:
    """Three locations, of which two have seen the relay down for hours."""
    made: dict[str, str] = {}
    for location, since in (("eu", 590), ("us", 593), ("ap", 3)):
        where = f'location="{location}", relay="demo"'
        made[info(location=location, owner="wallets", group="lb")] = FAR
        if location == "ap":
            made |= {f"relay_up{{{where}}}": FAR, f'relay_state{{{where}, state="up"}}': FAR}
            continue
        made |= {f"relay_up{{{where}}}": then("1x40", "0x2000"), **state("down", since, 40, where)}
        made[cause("upgrade", "http_status", "502", where=where)] = then("_x41", FAR)
        failed = f'relay_probe_confirmations_total{{{where}, probe="steady", over="fresh", outcome="failed"}}'
        made[failed] = then("0x40", "0+3x2000")
    return made


def _without_network() -> dict[str, str]:
    """Three locations, of which two have no network; the third sees the relay down."""
    made: dict[str, str] = {}
    for location, reason in (("eu", "refused"), ("us", "unreachable"), ("ap", "unreachable")):
        where = f'location="{location}", relay="demo"'
        made[info(location=location)] = FAR
        made |= {f"relay_up{{{where}}}": then("1x40", "0x2000"), **state("down", 590, 40, where)}
        made[cause("tcp", reason, where=where)] = then("_x41", FAR)
        made[f'relay_monitor_healthy{{location="{location}"}}'] = FAR if location == "eu" else then("1x40", "0x2000")
    return made


LOCATIONS: Final[tuple[TextCase, ...]] = (
    TextCase(
        name="a relay that is down while two of three locations have no network",
        series=_without_network(),
        at="20m",
        alert="RelayDown",
    ),
    TextCase(
        name="a relay that is down for five hours, at two of three locations",
        series=_eu_and_us(),
        at="5h",
        alert="RelayDown",
    ),
    TextCase(
        name="a group that falls together",
        series={
            series: values
            for relay, since in (("demo", 590), ("one", 580), ("two", 597))
            for where in (f'location="eu", relay="{relay}"',)
            for series, values in (
                (info(relay, "eu", group="lb"), FAR),
                (f"relay_up{{{where}}}", then("1x40", "0x2000")),
                *state("down", since, 40, where).items(),
                (cause("tcp", "refused", where=where), then("_x41", FAR)),
            )
        },
        at="12m",
        alert="RelayGroupDown",
    ),
)
"""With `CONFIG`."""

_OFFLINE: Final = 'location="local", relay="demo", probe="offline-30s", scenario="async-delivery"'
_BUCKET: Final = f"relay_probe_round_trip_seconds_bucket{{{PROBE}"
_WINDOW: Final = 'relay_maintenance{location="local", relay="demo"}'
_SECOND: Final = "0x80 1x23 2x200"

ALONE: Final[tuple[TextCase, ...]] = (
    TextCase(
        name="a relay without the series of its start, of an older monitor",
        series={UP: then("1x40", "0x400"), cause("hello", "silent"): then("_x41", FAR)},
        at="20m",
        alert="RelayDown",
    ),
    TextCase(
        name="a relay that asks for fewer connects",
        series={
            UP: "1x80",
            f'relay_probe_failures_total{{{PROBE}, step="upgrade", reason="rate_limited"}}': "0x40 3x80",
            **state("down", 590, 40),
        },
        at="12m",
        alert="RelayProbeRateLimited",
    ),
    TextCase(
        name="a relay that is down and answers 429",
        series={
            UP: then("1x40", "0x400"),
            **state("down", 590, 40),
            cause("upgrade", "rate_limited", "429"): then("_x41", FAR),
        },
        at="12m",
        alert="RelayDown",
    ),
    TextCase(
        name="a relay that refuses new connections",
        series={
            UP: "1x80",
            'relay_accepting{location="local", relay="demo"}': then("1x40", "0x400"),
            **state("not_accepting", 590, 40),
            cause("upgrade", "http_status", "502"): then("_x41", FAR),
        },
        at="12m",
        alert="RelayNotAccepting",
    ),
    TextCase(
        name="a silent node",
        series={UP: "1x80", CONFIRMED: then("0x40", "1+1x20"), **state("degraded", 590, 40)},
        at="12m",
        alert="RelayPartialFailure",
    ),
    TextCase(
        name="lost messages",
        series={
            UP: "1x400",
            slo("recovery", "good", "offline-30s"): "0+1x300",
            slo("recovery", "bad", "offline-30s"): _SECOND,
            f'relay_probe_messages_total{{{_OFFLINE}, verdict="lost"}}': _SECOND,
            f'relay_probe_failures_total{{{_OFFLINE}, step="recover", reason="lost"}}': _SECOND,
            **state("degraded", 1590, 104),
        },
        at="27m",
        alert="RelayMessagesLost",
    ),
    TextCase(
        name="slow round trips",
        series={
            UP: "1x400",
            slo("round-trip", "good"): "0+3x40 120x100",
            slo("round-trip", "bad"): "0x40 0+3x100",
            _BUCKET + ', le="0.4"}': "0+3x40 120x100",
            _BUCKET + ', le="1.0"}': "0+3x141",
            _BUCKET + ', le="+Inf"}': "0+3x141",
            f'relay_probe_failures_total{{{PROBE}, step="deliver", reason="timeout"}}': "0x40 0+1x100",
            **state("degraded", 650, 44),
        },
        at="16m",
        alert="RelayErrorBudgetBurn",
    ),
    TextCase(
        name="a certificate of two days",
        series={
            'relay_probe_certificate_expiry_timestamp_seconds{location="local", relay="demo"}': f"{2 * 86400}x200",
            UP: "1x400",
        },
        at="10m",
        alert="RelayCertificateExpiring",
    ),
    TextCase(
        name="a certificate that expired a day ago",
        series={
            'relay_probe_certificate_expiry_timestamp_seconds{location="local", relay="demo"}': "-86400x200",
            UP: "1x400",
        },
        at="10m",
        alert="RelayCertificateExpiring",
    ),
    TextCase(
        name="a monitor that is gone",
        series={'relay_monitor_shard_info{location="local", shard="0/1"}': "1x40 _x400"},
        at="25m",
        alert="RelayMonitorAbsent",
    ),
    TextCase(
        name="an unhealthy monitor",
        series={
            'relay_monitor_healthy{location="local"}': "1x20 0x100",
            'relay_monitor_failed_check{location="local", check="clock"}': "0x20 1x100",
        },
        at="8m",
        alert="RelayMonitorUnhealthy",
    ),
    TextCase(
        name="an unhealthy monitor whose check succeeds again",
        series={
            'relay_monitor_healthy{location="local"}': "1x20 0x16 1x100",
            'relay_monitor_failed_check{location="local", check="clock"}': "0x20 1x16 0x100",
        },
        at="9m30s",
        alert="RelayMonitorUnhealthy",
    ),
    TextCase(
        name="a relay in a maintenance window",
        series={UP: "1x80", **state("not_accepting", 590, 40), _WINDOW: "1x80"},
        at="12m",
        alert="RelayInMaintenance",
    ),
    TextCase(
        name="a relay whose maintenance window has ended",
        series={UP: "1x80", 'relay_accepting{location="local", relay="demo"}': "1x80", _WINDOW: "1x40 0x40"},
        at="11m",
        alert="RelayInMaintenance",
    ),
    TextCase(
        name="a failed reload, at an unknown time",
        series={'relay_monitor_config_last_reload_successful{location="local"}': "0x40"},
        at="8m",
        alert="RelayMonitorConfigReloadFailed",
    ),
    TextCase(
        name="a drill that failed",
        series={
            'relay_monitor_drill_last_successful{location="local", shard="0/1"}': then("1x20", "0x30"),
            'relay_monitor_drill_last_success_timestamp_seconds{location="local", shard="0/1"}': "300x50",
            'relay_monitor_drill_last_success_timestamp_seconds{location="local", shard="1/2"}': "420x50",
        },
        at="8m",
        alert="RelayMonitorDrillFailed",
    ),
)
"""With `SMALL`."""
