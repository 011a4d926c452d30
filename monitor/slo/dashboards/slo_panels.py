"""The row of SLOs, for one relay or several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.burn_rate import REFERENCE_WINDOW, burn_conditions
from monitor.slo.dashboards.model import AMBER, BLUE, GREEN, RED, Kind, Panel, Query, Row
from monitor.slo.dashboards.promql import BUDGET_LABELS, RECORDED, RELAY, burn_rate, recorded, select
from monitor.slo.dashboards.shared_panels import OBJECTIVE_PREFIX, relay_link
from monitor.slo.rules.recorded import budgeted, ratio_name

if TYPE_CHECKING:
    from monitor.config import Config


def sli_over_window(config: Config) -> str:
    """Return the ratio of good events of each SLO over its own window."""
    windows = sorted({slo.window for slo in budgeted(config)}) or [REFERENCE_WINDOW]
    parts = [select(ratio_name(window), RECORDED) for window in windows]
    if len(windows) > 1:
        own = f"on (install, relay, slo, location) {select('relay_slo_window_seconds', RELAY)}"
        parts = [f"{part} and {own} == {window:.0f}" for part, window in zip(parts, windows, strict=True)]
    return f"1 - max by ({', '.join(BUDGET_LABELS)}) ({' or '.join(parts)})"


def slo_row(config: Config) -> Row:
    """Return the row of SLOs, for one relay or several."""
    factors = sorted({float(condition.factor) for condition in burn_conditions(REFERENCE_WINDOW, 15.0)})
    colours = (BLUE, AMBER, AMBER, RED)
    legend = "{{relay}} · {{slo}} · {{location}}"
    target = select("relay_slo_objective_ratio", RELAY)
    return Row(
        title="SLOs",
        panels=(
            Panel(
                kind=Kind.TABLE,
                title="SLO status",
                description="Are the objectives met? Objective, SLI over the SLO's window, remaining error budget "
                "and current burn rate.",
                queries=(
                    Query(expr=recorded("slo:objective:ratio"), column="objective", unit="percentunit"),
                    Query(expr=sli_over_window(config), column="SLI", unit="percentunit"),
                    Query(
                        expr=recorded("slo:period_error_budget_remaining:ratio"),
                        column="remaining budget",
                        unit="percentunit",
                        steps=((-1e9, RED), (0, AMBER), (0.25, GREEN)),
                    ),
                    Query(expr=recorded("slo:current_burn_rate:ratio"), column="burn rate", unit="none"),
                ),
                width=24,
                height=8,
                labels=BUDGET_LABELS,
                link=relay_link(config, "${__data.fields.relay}"),
            ),
            Panel(
                kind=Kind.TIME_SERIES,
                title="Remaining error budget",
                description="How much of the error budget of the SLO's window remains? Below 0 the objective is "
                "missed.",
                queries=(Query(expr=recorded("slo:period_error_budget_remaining:ratio"), legend=legend),),
                unit="percentunit",
                width=8,
                threshold_lines=((0, RED),),
                maximum=1,
            ),
            Panel(
                kind=Kind.TIME_SERIES,
                title="Burn rate over 1 h",
                description="How urgent is it? At a burn rate of 1 the error budget lasts exactly the SLO's window. "
                f"Sustained burn rates above the lines warn ({factors[0]:g}, {factors[1]:g}) and page "
                f"({factors[2]:g}, {factors[3]:g}).",
                queries=(Query(expr=burn_rate("1h"), legend=legend),),
                unit="none",
                width=8,
                threshold_lines=tuple(zip(factors, colours, strict=True)),
                minimum=0,
            ),
            Panel(
                kind=Kind.TIME_SERIES,
                title="SLI over 1 h and objective",
                description="How many of the events are good, and how many must be? Ratio of good events, and the "
                "objective in force.",
                queries=(
                    Query(expr=f"1 - {recorded('slo:sli_error:ratio_rate1h')}", legend=legend),
                    Query(
                        expr=f"max by (relay, slo) ({target})", legend=f"{OBJECTIVE_PREFIX} {{{{relay}}}} · {{{{slo}}}}"
                    ),
                ),
                unit="percentunit",
                width=8,
                maximum=1,
            ),
        ),
    )
