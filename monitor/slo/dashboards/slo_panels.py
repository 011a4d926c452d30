"""The panels of SLOs, for one relay or several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.burn_rate import REFERENCE_WINDOW, burn_conditions
from monitor.config import show_duration
from monitor.slo.dashboards.model import OBJECTIVE_PREFIX, Between, Column, Kind, Panel, Query, Row, State
from monitor.slo.dashboards.palette import AMBER, GREEN, NEUTRAL, RED, TEXT, UNKNOWN
from monitor.slo.dashboards.promql import (
    BUDGET_LABELS,
    SELECTED_RELAYS,
    Subject,
    burn_rate,
    or_text,
    recorded,
    remaining_budget,
    select,
)
from monitor.slo.dashboards.shared_panels import legend, relay_links
from monitor.slo.rules.recorded import budgeted, ratio_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.config import Config

NO_BUDGET: Final = "–"
"""Shown for an objective of 100 %, which has no error budget."""

BUDGET_STATES: Final = (Between(last=0, text="exhausted", colour=RED),)
BUDGET_STEPS: Final = ((-1e9, RED), (0, AMBER), (0.25, GREEN))
RULES_MISSING: Final = "the recording rules are not loaded"
LOW_BURN: Final = 1.0
"""Burn rate above which the budget does not last for the SLO's window."""


def page_burn(config: Config) -> float:
    """Return the lowest burn rate that pages."""
    conditions = burn_conditions(REFERENCE_WINDOW, config.prometheus.step)
    return min(float(condition.factor) for condition in conditions if condition.severity == "critical")


def or_rules_missing(expr: str, subject: Subject, label: str) -> str:
    """Return an expression of recorded series that says in a label if the rules are not loaded and SLOs exist."""
    return or_text(
        expr, select("slo:objective:ratio", subject.recorded), label, RULES_MISSING,
        unless_absent=select("relay_slo_objective_ratio", subject.relay),
    )  # fmt: skip


def sli_over_window(config: Config, subject: Subject = SELECTED_RELAYS) -> str:
    """Return the ratio of good events of each SLO over its own window."""
    windows = sorted({slo.window for slo in budgeted(config)}) or [REFERENCE_WINDOW]
    parts = [select(ratio_name(window), subject.recorded) for window in windows]
    if len(windows) > 1:
        own = f"on (install, relay, slo, location) {select('relay_slo_window_seconds', subject.relay)}"
        parts = [f"{part} and {own} == {window:.0f}" for part, window in zip(parts, windows, strict=True)]
    return f"1 - max by ({', '.join(BUDGET_LABELS)}) ({' or '.join(parts)})"


def _history(config: Config, subject: Subject) -> str:
    """Return 1 for an SLO whose recorded series reach back over its window, otherwise 0."""
    by = ", ".join(BUDGET_LABELS)
    series = select("slo:objective:ratio", subject.recorded)
    windows = sorted({slo.window for slo in budgeted(config)}) or [REFERENCE_WINDOW]
    parts = [f"{series} offset {show_duration(window)}" for window in windows]
    if len(windows) > 1:
        own = f"on (install, relay, slo, location) {select('relay_slo_window_seconds', subject.relay)}"
        parts = [f"{part} and {own} == {window:.0f}" for part, window in zip(parts, windows, strict=True)]
    return f"max by ({by}) ({' or '.join(parts)}) > bool -1 or 0 * max by ({by}) ({series})"


def slo_status(config: Config, subject: Subject = SELECTED_RELAYS, height: int = 8) -> Panel:
    """Return the table of all SLOs, the lowest budget first."""
    objective = or_rules_missing(recorded("slo:objective:ratio", subject), subject, "slo")
    return Panel(
        kind=Kind.TABLE,
        title="SLO status",
        description="Are the objectives met? Objective, SLI over the SLO's window, remaining error budget and current "
        "burn rate. An objective of 100 % has no budget. Incomplete: Prometheus has no data of the whole window, so "
        "that the SLI is that of a shorter time.",
        queries=(
            Query(
                expr=remaining_budget(subject),
                column="remaining budget",
                unit="percentunit",
                decimals=1,
                steps=BUDGET_STEPS,
                states=BUDGET_STATES,
                empty_text=NO_BUDGET,
                empty_colour=NEUTRAL,
                width=150,
            ),
            Query(
                expr=recorded("slo:current_burn_rate:ratio", subject),
                column="burn rate",
                unit="suffix:×",
                decimals=1,
                steps=((0, GREEN), (LOW_BURN, AMBER), (page_burn(config), RED)),
                empty_text=NO_BUDGET,
                empty_colour=NEUTRAL,
                width=110,
            ),
            Query(expr=sli_over_window(config, subject), column="SLI", unit="percentunit", decimals=3, width=110),
            Query(
                expr=objective, column="objective", unit="percentunit", decimals=3, width=110,
                states=(State(value=0, text="", colour=TEXT),),
            ),
            Query(
                expr=_history(config, subject),
                column="history",
                unit="none",
                states=(
                    State(value=1, text="complete", colour=NEUTRAL),
                    State(value=0, text="incomplete", colour=UNKNOWN),
                ),
                empty_text="",
                empty_colour=TEXT,
                width=120,
            ),
        ),
        width=24,
        height=height,
        labels=(
            Column(label="relay", links=relay_links(config)),
            Column(label="slo", title="SLO"),
            Column(label="probe"),
            Column(label="location"),
        ),
        sort=("remaining budget",),
    )  # fmt: skip


def burn_down(
    by: Sequence[str] = BUDGET_LABELS, subject: Subject = SELECTED_RELAYS, width: int = 8, only: str = ""
) -> Panel:
    """Return the graph of the remaining budgets; `only` is an expression that selects some of them."""
    budget = remaining_budget(subject, by)
    return Panel(
        kind=Kind.TIME_SERIES,
        title="Remaining error budget",
        description="How much of the error budget of the SLO's window remains? At 0 it is exhausted and the objective "
        "missed; the graph ends at −100 %.",
        queries=(
            Query(
                expr=or_rules_missing(f"{budget} {only}".strip(), subject, by[0]),
                legend=legend(*by),
            ),
        ),
        unit="percentunit",
        width=width,
        threshold_lines=((0, RED),),
        minimum=-1,
        maximum=1,
    )


def slo_row(config: Config, subject: Subject = SELECTED_RELAYS) -> Row:
    """Return the row of SLOs, for one relay or several."""
    factors = sorted({float(condition.factor) for condition in burn_conditions(REFERENCE_WINDOW, 15.0)})
    colours = (AMBER, AMBER, RED, RED)
    by = tuple(
        label
        for label in BUDGET_LABELS
        if (label != "location" or len(config.locations) > 1) and (label != "relay" or subject is SELECTED_RELAYS)
    )
    target = select("relay_slo_objective_ratio", subject.relay)
    return Row(
        title="SLOs",
        panels=(
            slo_status(config, subject),
            burn_down(by, subject),
            Panel(
                kind=Kind.TIME_SERIES,
                title="Burn rate over 1 h",
                description="How urgent is it? At a burn rate of 1 the error budget lasts exactly the SLO's window. "
                f"Sustained burn rates above the lines warn ({factors[0]:g}, {factors[1]:g}) and page "
                f"({factors[2]:g}, {factors[3]:g}).",
                queries=(Query(expr=burn_rate("1h", subject, by), legend=legend(*by)),),
                unit="none",
                width=8,
                threshold_lines=tuple(zip(factors, colours, strict=True)),
                minimum=0,
            ),
            Panel(
                kind=Kind.TIME_SERIES,
                title="SLI over 1 h and objective",
                description="How many of the events are good, and how many must be? Ratio of good events, and the "
                "objectives in force.",
                queries=(
                    Query(expr=f"1 - {recorded('slo:sli_error:ratio_rate1h', subject, by)}", legend=legend(*by)),
                    Query(expr=f"max by (slo) ({target})", legend=f"{OBJECTIVE_PREFIX} {{{{slo}}}}"),
                ),
                unit="percentunit",
                decimals=2,
                width=8,
                maximum=1,
            ),
        ),
    )
