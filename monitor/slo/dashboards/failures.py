"""The row of one relay's failures, exchanges and message errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.scenarios import Scenario
from monitor.slo.dashboards import shared_panels
from monitor.slo.dashboards.model import Kind, Panel, Query, Row
from monitor.slo.dashboards.promql import PROBE, RELAY, increase, select, sum_by

if TYPE_CHECKING:
    from monitor.config import Config


def failure_row(config: Config) -> Row:
    """Return the row of one relay's failures."""
    return Row(
        title="Failures",
        panels=(
            *_failure_panels(config),
            *_outcome_panels(config),
            shared_panels.causes(),
            shared_panels.endpoint_failures(RELAY),
        ),
    )


def _failure_panels(config: Config) -> tuple[Panel, ...]:
    """Return the panels of failures by step and reason."""
    failures = select("relay_probe_failures_total", PROBE)
    window = shared_panels.window_of_five_runs(config, *Scenario)
    return (
        Panel(
            kind=Kind.TIME_SERIES,
            title="Failures by step and reason",
            description="At which step of the protocol do exchanges fail, and why? First cause of each failed "
            "exchange.",
            queries=(
                Query(
                    expr=f"{sum_by(increase(failures), ('step', 'reason'))} > 0",
                    legend="{{step}}: {{reason}}",
                    window=window,
                    exemplars=True,
                    empty_reason="no exchange fails",
                ),
                Query(expr=sum_by(increase(failures)), legend="all", window=window),
            ),
            width=16,
            bars=True,
            minimum=0,
        ),
        Panel(
            kind=Kind.TABLE,
            title="Failures by probe",
            description="Which failures are the most frequent in the selected time range?",
            queries=(
                Query(
                    expr=f"round({sum_by(increase(failures, '$__range'), ('step', 'reason', 'probe'))}) > 0",
                    column="failures",
                    unit="short",
                    empty_reason="no exchange fails",
                ),
            ),
            width=8,
            labels=("step", "reason", "probe"),
        ),
    )


def _outcome_panels(config: Config) -> tuple[Panel, ...]:
    """Return the panels of exchanges, messages and confirmation attempts."""
    window = shared_panels.window_of_five_runs(config, *Scenario)
    return (
        Panel(
            kind=Kind.TIME_SERIES,
            title="Exchanges by outcome",
            description="How many exchanges were attempted, and how did they end? Aborted and excluded "
            "exchanges count for no SLO.",
            queries=(
                Query(
                    expr=sum_by(increase(select("relay_probe_exchanges_total", PROBE)), ("outcome",)),
                    legend="{{outcome}}",
                    window=window,
                ),
            ),
            width=8,
            bars=True,
            stacked=True,
            minimum=0,
        ),
        Panel(
            kind=Kind.TIME_SERIES,
            title="Message errors by verdict",
            description="Are messages lost, late, corrupted, misrouted, duplicated or out of order?",
            queries=(
                Query(
                    expr=sum_by(
                        increase(select("relay_probe_messages_total", PROBE, 'verdict!="delivered"')), ("verdict",)
                    ),
                    legend="{{verdict}}",
                    window=window,
                ),
            ),
            width=8,
            bars=True,
            stacked=True,
            minimum=0,
        ),
        Panel(
            kind=Kind.TIME_SERIES,
            title="Confirmation attempts",
            description="Is one node faulty, or all of them? Attempts to confirm a failure over the persistent "
            "connection (standing) and over new ones (fresh). If fresh attempts succeed and the persistent "
            "connection fails, one node is silent.",
            queries=(
                Query(
                    expr=sum_by(increase(select("relay_probe_confirmations_total", PROBE)), ("over", "outcome")),
                    legend="{{over}}: {{outcome}}",
                    window=window,
                ),
            ),
            width=8,
            bars=True,
            stacked=True,
            minimum=0,
        ),
    )
