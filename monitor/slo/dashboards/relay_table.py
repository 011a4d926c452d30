"""The table of relays: one row for each, the worst first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.config import show_duration
from monitor.slo.dashboards.model import NO_DATA, Column, Kind, Panel, Query, State
from monitor.slo.dashboards.palette import AMBER, BLUE, RED, TEXT, UNKNOWN
from monitor.slo.dashboards.palette import CONDITIONS as COLOURS
from monitor.slo.dashboards.promql import (
    CONDITIONS,
    RELAY,
    SELECTED_RELAYS,
    condition,
    increase,
    ratio_of,
    recorded,
    select,
    sum_by,
)
from monitor.slo.dashboards.shared_panels import CONDITION_TEXTS, location_label, relay_links, table_height
from monitor.slo.dashboards.slo_panels import BUDGET_STATES, BUDGET_STEPS, NONE, budget_or_reason, burn_steps
from monitor.slo.rules.certificate import DAY, EXPIRY, MIN_VALIDITY, handshake_window
from monitor.vocabulary import Sli

if TYPE_CHECKING:
    from monitor.config import Config

RECENT: Final = "1h"
BY: Final = ("relay",)
STEP: Final = 10
"""Distance of the numbers of conditions; the numbers below it are those of relays in maintenance."""

GONE: Final = 2 * STEP + 1
"""Number of a relay without data that had some in the last hour; right above unknown."""

NO_TLS: Final = "no relay is connected with TLS"
MAX_ROWS: Final = 10
"""Most rows that the table shows without scrolling, so that the alerts stay on the first screen."""

UNWRAPPED_CHARACTERS: Final = 40
"""Names of relays that have more characters are wrapped."""


def states() -> tuple[State, ...]:
    """Return the words and colours of the conditions, the worst first, and those of relays in maintenance."""
    conditions = list(enumerate(CONDITIONS))
    return (
        *(State(value=STEP * number, text=CONDITION_TEXTS[each], colour=COLOURS[each]) for number, each in conditions),
        State(value=GONE, text=NO_DATA, colour=UNKNOWN),
        *(
            State(value=number + 1, text=f"{CONDITION_TEXTS[each].lower()}, in maintenance", colour=BLUE)
            for number, each in conditions
        ),
    )


def _condition() -> str:
    """Return the number of each relay in `states`: it sorts the table."""
    worst = condition(RELAY, BY)
    maintenance = f"min by (relay) ({select('relay_maintenance', RELAY)}) == 1"
    gone = f"{GONE} + 0 * max by (relay) (last_over_time({select('relay_state', RELAY)}[{RECENT}]))"
    return f"{worst} + 1 and on (relay) {maintenance} or {STEP} * {worst} or {gone}"


def _since(config: Config) -> str:
    """Return since when each relay has its condition: at the location that reports it first, of the worst ones."""
    since = select("relay_state_since_timestamp_seconds", RELAY)
    if len(config.locations) == 1:
        return f"1000 * min by (relay) ({since})"
    by = ("relay", "location")
    worst = f"{condition(RELAY, by)} == on (relay) group_left () {condition(RELAY, BY)}"
    return f"1000 * min by (relay) (max by (relay, location) ({since}) and on (relay, location) ({worst}))"


def _cause() -> str:
    """Return the cause that most locations report, as the label `cause`."""
    cause = f'label_join({select("relay_cause_info", RELAY)}, "cause", " ", "step", "reason", "status")'
    return f"topk by (relay) (1, count by (relay, cause) ({cause}))"


def _success_rate(config: Config) -> str:
    """Return the share of the exchanges that succeeded; with `detail: lean`, which counts no successes, of events."""
    if config.metrics.detail == "lean":
        names = "|".join(slo.name for slo in config.slos if slo.sli is Sli.AVAILABILITY)
        events = select("relay_slo_events_total", RELAY, f'slo=~"{names}"')
        good = select("relay_slo_events_total", RELAY, f'slo=~"{names}"', 'outcome="good"')
    else:
        events = select("relay_probe_exchanges_total", RELAY, 'outcome=~"ok|failed"')
        good = select("relay_probe_exchanges_total", RELAY, 'outcome="ok"')
    return ratio_of(increase(good, RECENT), increase(events, RECENT), BY)


def _quantile(q: float) -> str:
    buckets = increase(select("relay_probe_round_trip_seconds_bucket", RELAY, 'scenario="steady-messaging"'), RECENT)
    return f"histogram_quantile({q}, {sum_by(buckets, ('relay', 'le'))})"


def relay_table(config: Config) -> Panel:
    """Return the table of relays."""
    wrapped = any(len(relay.name) > UNWRAPPED_CHARACTERS for relay in config.relays)
    return Panel(
        kind=Kind.TABLE,
        title="Relays",
        description="Which relay is broken, since when, and how? The worst first. Cause: step, reason and status of "
        "the latest attempt while the relay is not up. Success rate, round trips and lost messages are those of the "
        "last hour; remaining budget and burn rate those of its worst SLO. A relay's name links to its details, to its "
        "timeline on the on-call page and to its incidents.",
        queries=(*_status(config), *_numbers(config)),
        unit="none",
        width=24,
        height=table_height(len(config.relays), MAX_ROWS, wrapped=wrapped),
        labels=(
            Column(
                label="relay",
                links=relay_links(config),
                wrap=wrapped,
            ),
            Column(label="state"),
            Column(label="since"),
            Column(label="cause", width=190),
            *((Column(label="not up at"),) if location_label(config) else ()),
        ),
        sort=("-state",),
    )


def _status(config: Config) -> tuple[Query, ...]:
    up = select("relay_state", RELAY, 'state="up"')
    places = len(config.locations)
    return (
        Query(expr=_condition(), column="state", unit="none", states=states(), filled=True, width=165, align="center"),
        Query(
            expr=_since(config), column="since", unit="dateTimeFromNow", width=150, empty_text="",
            empty_reason="no verdict yet",
        ),
        Query(expr=_cause(), column="causes", unit="none", hidden=True, empty_reason="every relay is up"),
        *(
            (
                Query(
                    expr=f"count by (relay) (max by (relay, location) ({up}) == 0) or 0 * {condition(RELAY, BY)}",
                    column="not up at", unit=f"suffix: of {places}", width=85,
                    states=(State(value=0, text="", colour=TEXT),),
                ),
            )
            if places > 1
            else ()
        ),
    )  # fmt: skip


def _numbers(config: Config) -> tuple[Query, ...]:
    lost = increase(select("relay_probe_messages_total", RELAY, 'verdict="lost"'), RECENT)
    expiry = f"min by (relay) (min_over_time({select(EXPIRY, RELAY)}[{show_duration(handshake_window(config))}]))"
    validity = ((-1e9, RED), (MIN_VALIDITY["critical"] / DAY, AMBER), (MIN_VALIDITY["warning"] / DAY, TEXT))
    success = select("relay_probe_last_success_timestamp_seconds", RELAY)
    return (
        Query(
            expr=_success_rate(config), column="success 1 h", unit="percentunit", decimals=2, width=95,
            empty_text=NONE, empty_reason="no exchange in the last hour",
        ),
        Query(
            expr=_quantile(0.5), column="P50 1 h", unit="s", width=78, empty_text=NONE,
            empty_reason="no steady-messaging probe",
        ),
        Query(
            expr=_quantile(0.99), column="P99 1 h", unit="s", width=78, empty_text=NONE,
            empty_reason="no steady-messaging probe",
        ),
        Query(
            expr=f"round({sum_by(lost, BY)})", column="lost 1 h", unit="none", decimals=0, width=72,
            steps=((0, TEXT), (0.5, RED)), empty_text=NONE, empty_reason="no probe sends messages",
        ),
        Query(
            expr=budget_or_reason(SELECTED_RELAYS, BY, condition(RELAY, BY)), column="budget left",
            unit="percentunit", decimals=1, steps=BUDGET_STEPS, states=BUDGET_STATES, width=110,
        ),
        Query(
            expr=recorded("slo:current_burn_rate:ratio", SELECTED_RELAYS, BY), column="burn rate", unit="suffix:×",
            decimals=1, steps=burn_steps(config), width=85, empty_text=NONE, empty_reason="all objectives are 100 %",
        ),
        Query(
            expr=f"({expiry} - time()) / {DAY:.0f}", column="certificate", unit="suffix: d", decimals=0, width=90,
            steps=validity, empty_text="no TLS",
            empty_reason=NO_TLS,
        ),
        Query(
            expr=f"1000 * max by (relay) ({success})", column="last success", unit="dateTimeFromNow", width=150,
            empty_text="none counted",
        ),
    )  # fmt: skip
