"""The row of one relay's latencies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.scenarios import Scenario
from monitor.slo.dashboards import shared_panels
from monitor.slo.dashboards.model import Kind, Panel, Query, Row
from monitor.slo.dashboards.promql import PROBE, RELAY, buckets, mean, quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.config import Config

WITH_RUN_EXEMPLARS: Final = frozenset(
    {"relay_probe_round_trip_seconds", "relay_probe_handshake_seconds", "relay_probe_recovery_seconds"}
)
"""The histograms whose exemplars have the id of a run."""


TRIPS: Final = "relay_probe_round_trip_seconds"
MESSAGING: Final = f'scenario="{Scenario.STEADY_MESSAGING}"'
NEW_SESSION: Final = f'scenario="{Scenario.REALISTIC_SESSION}"'


def _quantiles(
    histogram: str, *more: str, by: Sequence[str], legend: str, windows: dict[float, float]
) -> tuple[Query, ...]:
    return tuple(
        Query(
            expr=quantile(q, histogram, PROBE, *more, by=by),
            legend=f"p{round(q * 100)} {legend}",
            window=window,
            exemplars=histogram in WITH_RUN_EXEMPLARS and q == max(windows),
        )
        for q, window in windows.items()
    )


def latency_row(config: Config) -> Row:
    """Return the row of one relay's latencies."""
    return Row(title="Latency", panels=(*_exchange_panels(config), *_session_panels(config)))


def _exchange_panels(config: Config) -> tuple[Panel, ...]:
    """Return the panels of exchanges and connections."""
    session_window = shared_panels.window_of_five_runs(config, Scenario.REALISTIC_SESSION)
    bounded_window = shared_panels.window_of_five_runs(config, Scenario.REALISTIC_SESSION, Scenario.ASYNC_DELIVERY)
    p99_window = shared_panels.window_of_100_exchanges(config, Scenario.STEADY_MESSAGING)
    return (
        Panel(
            kind=Kind.TIME_SERIES,
            title="Round-trip latency",
            description="How fast are exchanges of persistent pairs? Quantiles of the time from a request to "
            "its response; the points are single runs and link to their timelines. The P99 is calculated over "
            "the time in which 100 round trips are made; over shorter ranges use the heatmap.",
            queries=(
                *_quantiles(
                    TRIPS,
                    MESSAGING,
                    by=("probe",),
                    legend="{{probe}}",
                    windows={0.5: 60, 0.9: 60, 0.99: p99_window},
                ),
                shared_panels.thresholds(),
            ),
            unit="s",
            minimum=0,
        ),
        Panel(
            kind=Kind.HEATMAP,
            title="Round-trip latency distribution",
            description="Are all round trips slow, or a few? Number of round trips by duration.",
            queries=(Query(expr=buckets(TRIPS, PROBE, MESSAGING), legend="{{le}}", exemplars=True),),
            unit="s",
        ),
        Panel(
            kind=Kind.TIME_SERIES,
            title="Relay (wire) latency",
            description="Is the relay slow, or something around it? From the bytes written to one socket to the "
            "bytes read from the other, without encryption and without waits in the monitor; by direction.",
            queries=_quantiles(
                "relay_probe_wire_seconds",
                by=("direction",),
                legend="{{direction}}",
                windows={0.5: session_window or 60, 0.9: session_window or 60},
            ),
            unit="s",
            minimum=0,
        ),
        Panel(
            kind=Kind.TIME_SERIES,
            title="Connection phases",
            description="Which phase of connecting is slow? Stacked means of DNS lookup, TCP, TLS, upgrade, "
            "hello and command replies, of all probes of the relay.",
            queries=(
                Query(
                    expr=mean("relay_probe_phase_seconds", RELAY, by=("phase",)),
                    legend="{{phase}}",
                    window=max(300.0, bounded_window),
                ),
            ),
            unit="s",
            stacked=True,
            minimum=0,
        ),
    )


def _session_panels(config: Config) -> tuple[Panel, ...]:
    """Return the panels of pairing, new sessions and offline recovery."""
    session_window = shared_panels.window_of_five_runs(config, Scenario.REALISTIC_SESSION)
    bounded_window = shared_panels.window_of_five_runs(config, Scenario.REALISTIC_SESSION, Scenario.ASYNC_DELIVERY)
    return (
        Panel(
            kind=Kind.TIME_SERIES,
            title="Pairing time",
            description="How long does it take to pair a wallet with a dApp?",
            queries=_quantiles(
                "relay_probe_handshake_seconds",
                by=("probe",),
                legend="{{probe}}",
                windows={0.5: bounded_window or 900, 0.9: bounded_window or 900},
            ),
            unit="s",
            width=8,
            minimum=0,
        ),
        Panel(
            kind=Kind.TIME_SERIES,
            title="Round-trip latency of new sessions",
            description="How long do exchanges of a newly paired session take?",
            queries=_quantiles(
                TRIPS,
                NEW_SESSION,
                by=("probe",),
                legend="{{probe}}",
                windows={0.5: session_window or 60, 0.9: session_window or 60},
            ),
            unit="s",
            width=8,
            minimum=0,
        ),
        Panel(
            kind=Kind.TIME_SERIES,
            title="Offline recovery time",
            description="How long does a wallet that was offline wait for the messages sent meanwhile?",
            queries=_quantiles(
                "relay_probe_recovery_seconds",
                by=("probe",),
                legend="{{probe}}",
                windows=dict.fromkeys(
                    (0.5, 0.9), shared_panels.window_of_five_runs(config, Scenario.ASYNC_DELIVERY) or 60
                ),
            ),
            unit="s",
            width=8,
            minimum=0,
        ),
    )
