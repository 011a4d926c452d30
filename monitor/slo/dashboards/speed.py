"""How fast one relay is, and which part of it is slow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.scenarios import Scenario
from monitor.slo.dashboards import parts
from monitor.slo.dashboards.model import Kind, Panel, Query, Row
from monitor.slo.dashboards.promql import PROBE, buckets, mean, quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.config import Config

CARRIES_RUNS: Final = frozenset(
    {"relay_probe_round_trip_seconds", "relay_probe_handshake_seconds", "relay_probe_recovery_seconds"}
)
"""The histograms whose exemplars hold the id of a run."""


def _quantiles(
    histogram: str, *more: str, by: Sequence[str], legend: str, windows: dict[float, float]
) -> tuple[Query, ...]:
    return tuple(
        Query(
            expr=quantile(q, histogram, PROBE, *more, by=by),
            legend=f"p{round(q * 100)} {legend}",
            window=window,
            exemplars=histogram in CARRIES_RUNS and q == max(windows),
        )
        for q, window in windows.items()
    )


def speed(config: Config) -> Row:
    """The row of one relay's latencies."""
    trips, pairing, phases = (
        "relay_probe_round_trip_seconds",
        "relay_probe_handshake_seconds",
        "relay_probe_phase_seconds",
    )
    steady, journey = f'scenario="{Scenario.STEADY_MESSAGING}"', f'scenario="{Scenario.REALISTIC_SESSION}"'
    rare = parts.sparse(config, Scenario.REALISTIC_SESSION)
    seldom = parts.sparse(config, Scenario.REALISTIC_SESSION, Scenario.ASYNC_DELIVERY)
    many = parts.hundred(config, Scenario.STEADY_MESSAGING)
    return Row(
        title="How fast, and which part is slow",
        panels=(
            Panel(
                kind=Kind.LINES,
                title="Round trip of standing pairs",
                description="Is it slow? Quantiles of the time that a request and its answer take together. The points "
                "are single runs and lead to their timelines. The P99 needs a hundred round trips and is drawn over "
                "as long as that takes; over less time, look at the heatmap.",
                queries=(
                    *_quantiles(
                        trips, steady, by=("probe",), legend="{{probe}}", windows={0.5: 60, 0.9: 60, 0.99: many}
                    ),
                    parts.threshold(),
                ),
                unit="s",
                least=0,
            ),
            Panel(
                kind=Kind.HEATMAP,
                title="All round trips of standing pairs",
                description="Are all of them slow, or a few? How many round trips took how long.",
                queries=(Query(expr=buckets(trips, PROBE, steady), legend="{{le}}", exemplars=True),),
                unit="s",
            ),
            Panel(
                kind=Kind.LINES,
                title="The relay's own part",
                description="Is it the relay, or what surrounds it? From the bytes written to one socket to the bytes "
                "read from the other, without encryption and without any wait of ours; for each direction.",
                queries=_quantiles(
                    "relay_probe_wire_seconds",
                    by=("direction",),
                    legend="{{direction}}",
                    windows={0.5: rare or 60, 0.9: rare or 60},
                ),
                unit="s",
                least=0,
            ),
            Panel(
                kind=Kind.LINES,
                title="Phases of reaching the relay",
                description="Which part of connecting is slow? The mean of each phase, one on the other: look-up, TCP, "
                "TLS, upgrade, hello, and the replies to commands.",
                queries=(
                    Query(expr=mean(phases, PROBE, by=("phase",)), legend="{{phase}}", window=max(300.0, seldom)),
                ),
                unit="s",
                stacked=True,
                least=0,
            ),
            Panel(
                kind=Kind.LINES,
                title="Pairing",
                description="How long do users wait until wallet and dApp are connected?",
                queries=_quantiles(
                    pairing, by=("probe",), legend="{{probe}}", windows={0.5: seldom or 900, 0.9: seldom or 900}
                ),
                unit="s",
                width=8,
                least=0,
            ),
            Panel(
                kind=Kind.LINES,
                title="Round trip of whole journeys",
                description="How long do exchanges of a freshly paired session take?",
                queries=_quantiles(
                    trips, journey, by=("probe",), legend="{{probe}}", windows={0.5: rare or 60, 0.9: rare or 60}
                ),
                unit="s",
                width=8,
                least=0,
            ),
            Panel(
                kind=Kind.LINES,
                title="Recovery of absent wallets",
                description="How long does a wallet that was away wait for what was sent meanwhile?",
                queries=_quantiles(
                    "relay_probe_recovery_seconds",
                    by=("probe",),
                    legend="{{probe}}",
                    windows=dict.fromkeys((0.5, 0.9), parts.sparse(config, Scenario.ASYNC_DELIVERY) or 60),
                ),
                unit="s",
                width=8,
                least=0,
            ),
        ),
    )
