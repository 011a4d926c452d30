"""The panels of SLOs, for one relay or several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.burn_rate import REFERENCE_WINDOW, burn_conditions
from monitor.config import show_duration
from monitor.slo.dashboards.model import OBJECTIVE_PREFIX, Between, Column, Kind, Panel, Query, State
from monitor.slo.dashboards.palette import AMBER, GREEN, NEUTRAL, RED, TEXT, UNKNOWN, of_names
from monitor.slo.dashboards.promql import (
    BUDGET_LABELS,
    SELECTED_RELAYS,
    Subject,
    burn_rate,
    or_nothing,
    or_text,
    recorded,
    remaining_budget,
    select,
)
from monitor.slo.dashboards.shared_panels import has_long_names, legend, location_label, relay_links, table_height
from monitor.slo.rules.recorded import budgeted, ratio_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.config import Config

NONE: Final = "–"
"""Shown instead of the error budget of an objective of 100 %, which has none."""

NO_BUDGET: Final = 2
"""Value of a budget that does not exist, above all others, so that it is sorted last."""

NO_RULES: Final = -2
"""Value of a budget that Prometheus does not calculate, below all others."""

MAX_DRAWN_BURN: Final = 20
"""Burn rates above it are drawn at it: on the scale of one of hundreds all other lines coincide."""

MAX_ROWS: Final = 10
NOTHING_TO_DRAW: Final = "no data, or no error budget: all objectives are 100 %"
RULES_MISSING: Final = "the recording rules are not loaded"
BUDGET_STATES: Final = (
    State(value=NO_BUDGET, text=NONE, colour=NEUTRAL),
    State(value=NO_RULES, text="no rules", colour=UNKNOWN),
    Between(last=0, text="exhausted", colour=RED),
)
BUDGET_STEPS: Final = ((-1e9, RED), (0, AMBER), (0.25, GREEN))


def page_burn_rate(config: Config) -> float:
    """Return the lowest burn rate that pages."""
    conditions = burn_conditions(REFERENCE_WINDOW, config.prometheus.step)
    return min(float(condition.factor) for condition in conditions if condition.severity == "critical")


def burn_steps(config: Config) -> tuple[tuple[float, str], ...]:
    """Return the colours of burn rates: above 1 the budget does not last for the SLO's window."""
    return (0, GREEN), (1, AMBER), (page_burn_rate(config), RED)


def budget_or_none(subject: Subject, by: Sequence[str] = BUDGET_LABELS) -> str:
    """Return the lowest remaining budget by these labels, or `NO_BUDGET` if all objectives are 100 %."""
    lowest = recorded("slo:objective:ratio", subject, by, "min")
    return f"{remaining_budget(subject, by)} or {NO_BUDGET} + 0 * ({lowest} == 1)"


def budget_or_reason(subject: Subject, by: Sequence[str], relays: str) -> str:
    """Return the lowest remaining budget by these labels, or one of the values that say why there is none.

    `relays` is an expression of all relays by these labels.
    """
    labels = ", ".join(by)
    missing = f"and on () absent({select('slo:objective:ratio', subject.recorded)})"
    configured = f"count by ({labels}) ({select('relay_slo_objective_ratio', subject.relay)})"
    return (
        f"{budget_or_none(subject, by)} or {NO_RULES} + 0 * {relays} {missing} and on ({labels}) {configured} "
        f"or {NO_BUDGET} + 0 * {relays} unless on ({labels}) {configured}"
    )


def lowest_budget(subject: Subject, relays: str) -> str:
    """Return the remaining budget over time of the relay and SLO that have the lowest one at the end of the range.

    `relays` is an expression of the number of relays; without a budget, the value that says why.
    """
    by = ("relay", "slo")
    series = select("slo:period_error_budget_remaining:ratio", subject.recorded)
    at_the_end = f"min by (relay, slo) (last_over_time({series}[5m] @ end()))"
    reason = or_nothing(budget_or_reason(subject, (), relays))
    return (
        f"{remaining_budget(subject, by)} and on (relay, slo) bottomk(1, {at_the_end}) "
        f"or ({reason}) unless on () ({at_the_end})"
    )


def or_rules_missing(expr: str, subject: Subject, label: str) -> str:
    """Return an expression of recorded series that says in a label if the rules are not loaded and SLOs exist."""
    return or_text(
        expr, select("slo:objective:ratio", subject.recorded), label, RULES_MISSING,
        unless_absent=select("relay_slo_objective_ratio", subject.relay),
    )  # fmt: skip


def _of_own_window(config: Config, parts: Sequence[str], subject: Subject) -> str:
    """Return the union of expressions, one for each window, each of the SLOs that have it."""
    windows = _windows(config)
    if len(windows) == 1:
        return parts[0]
    own = f"on (install, relay, slo, location) {select('relay_slo_window_seconds', subject.relay)}"
    return " or ".join(f"{part} and {own} == {window:.0f}" for part, window in zip(parts, windows, strict=True))


def _windows(config: Config) -> list[float]:
    return sorted({slo.window for slo in budgeted(config)}) or [REFERENCE_WINDOW]


def sli_over_window(config: Config, subject: Subject = SELECTED_RELAYS) -> str:
    """Return the ratio of good events of each SLO over its own window."""
    parts = [select(ratio_name(window), subject.recorded) for window in _windows(config)]
    return f"1 - max by ({', '.join(BUDGET_LABELS)}) ({_of_own_window(config, parts, subject)})"


def _is_complete(config: Config, subject: Subject) -> str:
    """Return 1 for an SLO whose recorded series reach back over its window, otherwise 0."""
    by, series = ", ".join(BUDGET_LABELS), select("slo:objective:ratio", subject.recorded)
    parts = [f"{series} offset {show_duration(window)}" for window in _windows(config)]
    return f"max by ({by}) ({_of_own_window(config, parts, subject)}) > bool -1 or 0 * max by ({by}) ({series})"


def slo_status(config: Config, subject: Subject = SELECTED_RELAYS) -> Panel:
    """Return the table of all SLOs, the lowest budget first."""
    objective = or_rules_missing(recorded("slo:objective:ratio", subject), subject, "slo")
    wrap = has_long_names(config)
    labels = (
        Column(label="relay", links=relay_links(config), hidden=subject is not SELECTED_RELAYS, wrap=wrap),
        Column(label="slo", title="SLO", wrap=wrap),
        Column(label="probe", wrap=wrap),
        Column(label="location", hidden=not location_label(config), wrap=wrap),
    )
    return Panel(
        kind=Kind.TABLE,
        title="SLO status",
        description="Are the objectives met? Remaining error budget and current burn rate, SLI over the SLO's window, "
        "and objective; an objective of 100 % has no budget. Incomplete: the data of Prometheus do not reach back over "
        "the SLO's window, and its SLI and budget are those of a shorter time.",
        queries=(
            Query(
                expr=budget_or_none(subject), column="budget left", unit="percentunit", decimals=1, steps=BUDGET_STEPS,
                states=BUDGET_STATES, width=130,
            ),
            Query(
                expr=recorded("slo:current_burn_rate:ratio", subject), column="burn rate", unit="suffix:×", decimals=1,
                steps=burn_steps(config), empty_text=NONE, width=110,
            ),
            Query(
                expr=sli_over_window(config, subject), column="SLI", unit="percentunit", decimals=3, width=110,
                empty_text="no events", empty_reason="no event in the window",
            ),
            Query(
                expr=objective, column="objective", unit="percentunit", decimals=3, width=110,
                states=(State(value=0, text="", colour=TEXT),),
            ),
            Query(
                expr=_is_complete(config, subject), column="history", unit="none", width=120, empty_text="",
                states=(
                    State(value=1, text="complete", colour=NEUTRAL),
                    State(value=0, text="incomplete", colour=UNKNOWN),
                ),
            ),
        ),
        width=24,
        height=table_height(MAX_ROWS, MAX_ROWS) if subject is SELECTED_RELAYS else 8,
        labels=labels,
        sort=("budget left",),
    )  # fmt: skip


def burn_down(
    by: Sequence[str],
    subject: Subject = SELECTED_RELAYS,
    width: int = 8,
    only: str = "",
    colours: tuple[tuple[str, str], ...] = (),
) -> Panel:
    """Return the graph of the remaining budgets; `only` is the end of an expression that selects some of them."""
    expr = f"{remaining_budget(subject, by)} {only}".strip()
    return Panel(
        kind=Kind.TIME_SERIES,
        title="Remaining error budget",
        description="How much of the error budget of the SLO's window remains? At 0 it is exhausted and the objective "
        "missed; the graph ends at −100 %. Objectives of 100 % have no budget.",
        queries=(
            Query(
                expr=or_rules_missing(expr, subject, by[0]), legend=legend(*by), empty_reason="all objectives are 100 %"
            ),
        ),
        unit="percentunit",
        width=width,
        threshold_lines=((0, RED),),
        soft_minimum=0,
        maximum=1,
        colours=colours,
        no_value=NOTHING_TO_DRAW,
    )


def burn_rates(
    config: Config, by: Sequence[str], subject: Subject = SELECTED_RELAYS, width: int = 8, only: str = ""
) -> Panel:
    """Return the graph of the burn rates over an hour; `only` as in `burn_down`."""
    conditions = burn_conditions(REFERENCE_WINDOW, config.prometheus.step)
    lines = sorted({(float(each.factor), RED if each.severity == "critical" else AMBER) for each in conditions})
    warn, page = ([f"{factor:g}" for factor, colour in lines if colour == each] for each in (AMBER, RED))
    expr = f"clamp_max({burn_rate('1h', subject, by)}, {MAX_DRAWN_BURN}) {only}".strip()
    return Panel(
        kind=Kind.TIME_SERIES,
        title="Burn rate over 1 h",
        description="How urgent is it? At a burn rate of 1 the error budget lasts exactly the SLO's window. Sustained "
        f"burn rates above the lines warn ({', '.join(warn)}) and page ({', '.join(page)}); those above "
        f"{MAX_DRAWN_BURN} are drawn there.",
        queries=(
            Query(
                expr=or_rules_missing(expr, subject, by[0]), legend=legend(*by), empty_reason="all objectives are 100 %"
            ),
        ),
        unit="none",
        width=width,
        threshold_lines=tuple(lines),
        minimum=0,
        soft_maximum=2,
        colours=of_names([relay.name for relay in config.relays]) if by[0] == "relay" else (),
        no_value=NOTHING_TO_DRAW,
    )


def sli_and_objective(by: Sequence[str], subject: Subject = SELECTED_RELAYS, width: int = 8) -> Panel:
    """Return the graph of the SLIs over an hour and of the objectives in force."""
    objective = select("relay_slo_objective_ratio", subject.relay)
    return Panel(
        kind=Kind.TIME_SERIES,
        title="SLI over 1 h and objective",
        description="How many of the events are good, and how many must be? Ratio of good events, and the objectives "
        "in force.",
        queries=(
            Query(
                expr=or_rules_missing(f"1 - {recorded('slo:sli_error:ratio_rate1h', subject, by)}", subject, by[0]),
                legend=legend(*by),
            ),
            Query(expr=f"max by (slo) ({objective})", legend=f"{OBJECTIVE_PREFIX} {{{{slo}}}}"),
        ),
        unit="percentunit",
        decimals=2,
        width=width,
        maximum=1,
    )
