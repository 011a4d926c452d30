"""The row of one relay's latencies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.scenarios import EXCHANGING, OFFLINE, PAIRED, Scenario
from monitor.slo.dashboards import palette, shared_panels
from monitor.slo.dashboards.model import NO_DATA, OBJECTIVE_PREFIX, Kind, Panel, Query, Row
from monitor.slo.dashboards.promql import THIS_PROBE, THIS_RELAY, buckets, mean, quantile, select

if TYPE_CHECKING:
    from collections.abc import Collection

    from monitor.config import Config

TRIPS: Final = "relay_probe_round_trip_seconds"
HANDSHAKES: Final = "relay_probe_handshake_seconds"
RECOVERIES: Final = "relay_probe_recovery_seconds"
MESSAGING: Final = f'scenario="{Scenario.STEADY_MESSAGING}"'
NEW_SESSION: Final = f'scenario="{Scenario.REALISTIC_SESSION}"'
_MAX_THRESHOLDS: Final = 3
_MIN_WINDOW: Final = 300.0
"""Shortest window in seconds of quantiles of what happens less often than exchanges of a persistent pair."""


def latency_row(config: Config) -> Row:
    """Return the row of one relay's latencies."""
    return Row(title="Latency", panels=(*_exchange_panels(config), *_part_panels(config), _session_panel(config)))


def thresholds() -> Query:
    """Return the query of the lowest thresholds in force of the relay's latency SLOs."""
    series = f"max by (slo) ({select('relay_slo_threshold_seconds', THIS_RELAY)})"
    return Query(expr=f"bottomk({_MAX_THRESHOLDS}, {series})", legend=f"{OBJECTIVE_PREFIX} {{{{slo}}}}")


def without_probe(config: Config, *scenarios: Scenario) -> str:
    """Return the text of a panel without a result: whether the configuration has a probe that could have made one."""
    if any(probe.scenario in scenarios for probe in config.probes):
        return NO_DATA
    return f"no probe with the scenario {' or '.join(scenarios)}"


def _reason(config: Config, scenarios: Collection[Scenario]) -> str:
    """Return why the queries of these scenarios have no result; "" if a probe makes one."""
    text = without_probe(config, *scenarios)
    return "" if text == NO_DATA else text


def _by_probe(config: Config, scenario: Scenario) -> tuple[tuple[str, ...], str]:
    """Return the labels and the end of the legend that tell probes of a scenario apart, if there are several."""
    several = sum(probe.scenario is scenario for probe in config.probes) > 1
    return (("probe",), " {{probe}}") if several else ((), "")


def _exchange_panels(config: Config) -> tuple[Panel, ...]:
    """Return the panels of exchanges of persistent pairs."""
    by, name = _by_probe(config, Scenario.STEADY_MESSAGING)
    hundred = shared_panels.window_of_100_exchanges(config, Scenario.STEADY_MESSAGING)
    reason = _reason(config, (Scenario.STEADY_MESSAGING,))
    windows = {0.5: 60.0, 0.9: 60.0, 0.99: hundred}
    no_value = without_probe(config, Scenario.STEADY_MESSAGING)
    return (
        Panel(
            kind=Kind.TIME_SERIES,
            title="Round-trip latency",
            description="How fast are exchanges of persistent pairs? Quantiles of the time from a request to its "
            "response, on a logarithmic axis; the points are single runs and link to their timelines. The P99 is "
            "calculated over the time in which 100 round trips are made; over shorter ranges use the distribution.",
            queries=(
                *(
                    Query(
                        expr=quantile(q, TRIPS, THIS_PROBE, MESSAGING, by=by),
                        legend=f"P{q * 100:.0f}{name}",
                        window=window,
                        exemplars=q == max(windows),
                        empty_reason=reason,
                    )
                    for q, window in windows.items()
                ),
                thresholds(),
            ),
            unit="s",
            colours=() if by else palette.by_word({f"P{q * 100:.0f}": hue for q, hue in palette.QUANTILES.items()}),
            log=True,
            no_value=no_value,
        ),
        Panel(
            kind=Kind.HEATMAP,
            title="Round-trip latency distribution",
            description="Are all round trips slow, or a few? Number of round trips by duration; the points are single "
            "runs.",
            queries=(
                Query(
                    expr=buckets(TRIPS, THIS_PROBE, MESSAGING),
                    legend="{{le}}",
                    window=240,
                    exemplars=True,
                    empty_reason=reason,
                ),
            ),
            unit="s",
            no_value=no_value,
        ),
    )


def _part_panels(config: Config) -> tuple[Panel, ...]:
    """Return the panels of the parts of an exchange and of a connect."""
    wire = _window(config, Scenario.STEADY_MESSAGING, Scenario.REALISTIC_SESSION)
    return (
        Panel(
            kind=Kind.TIME_SERIES,
            title="Relay (wire) latency",
            description="Is the relay slow, or something around it? P90 from the bytes written to one socket to the "
            "bytes read from the other, without encryption and without waits in the monitor; by direction.",
            queries=(
                Query(
                    expr=quantile(0.9, "relay_probe_wire_seconds", THIS_PROBE, by=("direction",)),
                    legend="{{direction}}",
                    window=wire,
                    empty_reason=_reason(config, EXCHANGING),
                ),
            ),
            unit="s",
            colours=palette.by_word(palette.DIRECTIONS),
            width=8,
            height=7,
            minimum=0,
            no_value=without_probe(config, *sorted(EXCHANGING)),
        ),
        Panel(
            kind=Kind.TIME_SERIES,
            title="Connection phases",
            description="Which phase of connecting is slow? Stacked means of DNS lookup, TCP, TLS, upgrade, hello and "
            "command replies, of all probes of the relay.",
            queries=(
                Query(
                    expr=mean("relay_probe_phase_seconds", THIS_RELAY, by=("phase",)),
                    legend="{{phase}}",
                    window=_window(config, Scenario.REALISTIC_SESSION, Scenario.ASYNC_DELIVERY),
                ),
            ),
            unit="s",
            width=8,
            height=7,
            stacked=True,
            minimum=0,
        ),
    )


def _session_panel(config: Config) -> Panel:
    """Return the panel of pairing, new sessions and offline recovery."""
    measured = (
        ("pairing", HANDSHAKES, (), PAIRED),
        ("new session", TRIPS, (NEW_SESSION,), frozenset({Scenario.REALISTIC_SESSION})),
        ("offline recovery", RECOVERIES, (), OFFLINE),
    )
    return Panel(
        kind=Kind.TIME_SERIES,
        title="Pairing, new sessions and offline recovery",
        description="How long does a user wait? P90 of pairing a wallet with a dApp, of the exchanges of a new "
        "session, and from the return of an offline wallet to the last message that was sent to it meanwhile; on a "
        "logarithmic axis.",
        queries=tuple(
            Query(
                expr=quantile(0.9, histogram, THIS_PROBE, *more),
                legend=name,
                window=_window(config, *scenarios),
                exemplars=True,
                empty_reason=_reason(config, scenarios),
            )
            for name, histogram, more, scenarios in measured
        ),
        unit="s",
        width=8,
        height=7,
        log=True,
        no_value=without_probe(config, *sorted(PAIRED)),
    )


def _window(config: Config, *scenarios: Scenario) -> float:
    return max(_MIN_WINDOW, shared_panels.window_of_five_runs(config, *scenarios))
