"""The rows of one relay's connections, and of its probes and their schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.config import show_duration
from monitor.scenarios import CONTINUOUS
from monitor.slo.dashboards import palette, shared_panels
from monitor.slo.dashboards.failures import bars
from monitor.slo.dashboards.latency import without_probe
from monitor.slo.dashboards.model import NO_DATA, Column, Kind, Panel, Query, Row, State
from monitor.slo.dashboards.promql import THIS_PROBE, THIS_RELAY, increase, or_text, ratio_of, select, worst_state
from monitor.slo.rules.certificate import EXPIRY, MIN_VALIDITY, handshake_window

if TYPE_CHECKING:
    from monitor.config import Config

ON_TIME: Final = "every run starts on time"
NO_DROP: Final = "no persistent connection is closed"
NO_RECONNECT: Final = "no persistent connection reconnects"
_NONE: Final = -1
"""Value of what does not expire."""

_SECONDS: Final = "relay_probe_pair_seconds_total"
_RECONNECTS: Final = "relay_probe_reconnect_seconds"
_CREDENTIALS: Final = "relay_probe_token_expiry_timestamp_seconds"
_INFO: Final = "relay_probe_relay_info"


def connection_row(config: Config) -> Row:
    """Return the collapsed row of persistent connections, certificate and token."""
    return Row(title="Connections", panels=(*_persistent_panels(config), *_validity_panels(config)), collapsed=True)


def _persistent_panels(config: Config) -> tuple[Panel, ...]:
    """Return the panels of persistent connections."""
    connected = increase(select(_SECONDS, THIS_PROBE, 'state="connected"'))
    no_value = without_probe(config, *sorted(CONTINUOUS))
    mean = ratio_of(
        increase(select(f"{_RECONNECTS}_sum", THIS_PROBE)),
        f"({increase(select(f'{_RECONNECTS}_count', THIS_PROBE))} > 0)",
        ("probe",),
    )
    return (
        Panel(
            kind=Kind.TIME_SERIES,
            title="Persistent pairs connected",
            description="Are persistent connections stable? Share of the time that they were connected, by probe; the "
            "idle ones show idle timeouts of a load balancer.",
            queries=(
                Query(
                    expr=ratio_of(connected, increase(select(_SECONDS, THIS_PROBE)), ("probe",)),
                    legend="{{probe}}",
                ),
            ),
            unit="percentunit",
            colours=_of_probes(config),
            width=8,
            height=7,
            maximum=1,
            no_value=no_value,
        ),
        bars(
            "Disconnects by code",
            "Who closes the connections, and why? Close and unsubscribe codes of persistent connections: 3001 is a "
            "shutdown, 2500 insufficient state, none a connection closed without a close frame.",
            select("relay_probe_disconnects_total", THIS_PROBE),
            ("code",),
            nothing=NO_DROP,
        ),
        Panel(
            kind=Kind.TIME_SERIES,
            title="Mean reconnect time",
            description="How long is a persistent pair disconnected? Mean time from a drop until the pair is ready "
            "again, of the reconnects of five minutes. One that is still disconnected is not in it.",
            queries=(
                # A quantile would end at the upper bound of the last bucket, and say minutes for any outage.
                Query(
                    expr=or_text(mean, select("relay_state", THIS_RELAY), "probe", NO_DATA),
                    legend="{{probe}}",
                    window=300,
                    empty_reason=NO_RECONNECT,
                ),
            ),
            unit="s",
            colours=_of_probes(config),
            width=8,
            height=7,
            minimum=0,
            no_value=NO_RECONNECT,
        ),
    )


def _validity_panels(config: Config) -> tuple[Panel, ...]:
    """Return the panels of what expires and of the labels."""
    expiry = f"min_over_time({select(EXPIRY, THIS_RELAY)}[{show_duration(handshake_window(config))}])"
    none = f"or {_NONE} + 0 * max({select('relay_state', THIS_RELAY)})"
    owned = ("owner", "group", *sorted({name for relay in config.relays for name in relay.labels}))
    settings = ("max_severity", "page_after", "scope")
    return (
        Panel(
            kind=Kind.STAT,
            title="Certificate and token expire in",
            description="When does the first certificate of the relay's chain expire, and when the monitor's own "
            "connection token? The earliest expiry that recent handshakes received; wss only.",
            queries=(
                Query(expr=f"min({expiry}) - time() {none}", legend="certificate"),
                Query(expr=f"min({select(_CREDENTIALS, THIS_RELAY)}) - time() {none}", legend="token"),
            ),
            unit="dtdurations",
            decimals=1,
            named=True,
            size=22,
            width=8,
            height=4,
            steps=(
                (-1e9, palette.RED),
                (MIN_VALIDITY["critical"], palette.AMBER),
                (MIN_VALIDITY["warning"], palette.GREEN),
            ),
            states=(State(value=_NONE, text="none", colour=palette.NEUTRAL),),
        ),
        Panel(
            kind=Kind.TABLE,
            title="Relay info",
            description="Who owns the relay, and what do its alerts wait for? The relay's labels, as configured.",
            queries=(
                Query(
                    expr=f"max by ({', '.join((*owned, *settings))}) ({select(_INFO, THIS_RELAY)})",
                    column="info",
                    unit="none",
                    hidden=True,
                ),
            ),
            width=16,
            height=4,
            labels=tuple(Column(label=name, title=name.replace("_", " ")) for name in (*owned, *settings)),
        ),
    )


def _of_probes(config: Config) -> tuple[tuple[str, str], ...]:
    return palette.of_names([probe.name for probe in config.probes])


def schedule_row(config: Config) -> Row:
    """Return the collapsed row of the relay's probes and their schedule."""
    since = f"max by (probe) ({shared_panels.intervals_since_success(THIS_PROBE)})"
    return Row(
        title="Probes and schedule",
        collapsed=True,
        panels=(
            Panel(
                kind=Kind.STATE_TIMELINE,
                title="Probe status",
                description="Which part is broken? A probe is down if its last two runs failed or the relay is down, "
                "at any location.",
                queries=(Query(expr=worst_state("relay_probe_up", THIS_PROBE, ("probe",)), legend="{{probe}}"),),
                unit="none",
                width=8,
                height=7,
                states=shared_panels.UP_STATES,
            ),
            Panel(
                kind=Kind.TIME_SERIES,
                title="Time since last success (intervals)",
                description="Which probe has not succeeded recently? In units of its interval: 1 is on time, 3 is "
                "late.",
                queries=(Query(expr=since, legend="{{probe}}"),),
                unit="none",
                colours=_of_probes(config),
                width=8,
                height=7,
                minimum=0,
                soft_maximum=3,
            ),
            bars(
                "Missed and skipped runs",
                "Which runs did not start? Missed: the monitor was late. Skipped: the previous run had not ended, or "
                "the relay's rate limits left no room.",
                select("relay_monitor_runs_total", THIS_PROBE, 'result=~"missed|skipped"'),
                ("result", "probe"),
                nothing=ON_TIME,
                colours=palette.RUNS,
            ),
        ),
    )
