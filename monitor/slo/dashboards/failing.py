"""What fails at one relay, at which step and for which reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.scenarios import Scenario
from monitor.slo.dashboards import parts
from monitor.slo.dashboards.model import Kind, Panel, Query, Row
from monitor.slo.dashboards.promql import PROBE, add, increase, select

if TYPE_CHECKING:
    from monitor.config import Config


def failures(config: Config) -> Row:
    """The row of one relay's failures."""
    failures = select("relay_probe_failures_total", PROBE)
    window = parts.sparse(config, *Scenario)
    return Row(
        title="What fails, and why",
        panels=(
            Panel(
                kind=Kind.LINES,
                title="Failures by step and reason",
                description="Where in the protocol does it fail, and what went wrong there? The first cause of each "
                "failed exchange.",
                queries=(
                    Query(
                        expr=f"{add(increase(failures), ('step', 'reason'))} > 0",
                        legend="{{step}}: {{reason}}",
                        window=window,
                        exemplars=True,
                        quiet="nothing fails",
                    ),
                    Query(expr=add(increase(failures)), legend="all", window=window),
                ),
                width=16,
                bars=True,
                least=0,
            ),
            Panel(
                kind=Kind.TABLE,
                title="Failures, counted",
                description="What fails most, over the range shown?",
                queries=(
                    Query(
                        expr=f"round({add(increase(failures, '$__range'), ('step', 'reason', 'probe'))}) > 0",
                        column="failures",
                        unit="short",
                        quiet="nothing fails",
                    ),
                ),
                width=8,
                labels=("step", "reason", "probe"),
            ),
            Panel(
                kind=Kind.LINES,
                title="Exchanges",
                description="How much was tried, and how did it end? Aborted and excluded ones count for no objective.",
                queries=(
                    Query(
                        expr=add(increase(select("relay_probe_exchanges_total", PROBE)), ("outcome",)),
                        legend="{{outcome}}",
                        window=window,
                    ),
                ),
                width=8,
                bars=True,
                stacked=True,
                least=0,
            ),
            Panel(
                kind=Kind.LINES,
                title="Messages that did not arrive as sent",
                description="Are messages lost, late, corrupted, misrouted, doubled or out of order?",
                queries=(
                    Query(
                        expr=add(
                            increase(select("relay_probe_messages_total", PROBE, 'verdict!="delivered"')), ("verdict",)
                        ),
                        legend="{{verdict}}",
                        window=window,
                    ),
                ),
                width=8,
                bars=True,
                stacked=True,
                least=0,
            ),
            Panel(
                kind=Kind.LINES,
                title="Confirmations of failures",
                description="Is one node ill, or all of them? Attempts to confirm a failure, over the connection that "
                "failed (standing) and over new ones (fresh): fresh ones that succeed while the standing one fails "
                "are the mark of a silent node.",
                queries=(
                    Query(
                        expr=add(increase(select("relay_probe_confirmations_total", PROBE)), ("over", "outcome")),
                        legend="{{over}}: {{outcome}}",
                        window=window,
                    ),
                ),
                width=8,
                bars=True,
                stacked=True,
                least=0,
            ),
        ),
    )
