"""One relay's failures: the bars of the first screen, and the row of exchanges, messages and attempts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from monitor.slo.dashboards import palette
from monitor.slo.dashboards.model import NO_DATA, Kind, Legend, Panel, Query, Row
from monitor.slo.dashboards.promql import THIS_PROBE, THIS_RELAY, events, events_of_most, or_text, select
from monitor.slo.dashboards.shared_panels import relay_links

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitor.config import Config

NO_FAILURE: Final = "no exchange fails"
NO_MESSAGE_ERROR: Final = "no message error"
NO_ADDRESS_FAILURE: Final = "every address is reached"
NO_ENDPOINT_FAILURE: Final = "no endpoint fails"
FEW_EVENTS: Final = 4
"""Events up to which the axis of bars reaches at least: its marks would be fractions of one event."""

_FAILURES: Final = select("relay_probe_failures_total", THIS_PROBE)


def bars(
    title: str,
    description: str,
    series: str,
    by: Sequence[str],
    *,
    where: str = THIS_RELAY,
    nothing: str = "",
    colours: Mapping[str, str] | None = None,
) -> Panel:
    """Return a panel of stacked bars that count each event of a counter once.

    All its series are shown or, with `nothing`, the ten that count most; `nothing` is the panel's text without events.
    The relays that `where` selects tell whether there is data.
    """
    return Panel(
        kind=Kind.TIME_SERIES,
        title=title,
        description=description,
        queries=(_most(series, by, nothing, where) if nothing else Query(expr=events(series, by), legend=_words(by)),),
        colours=palette.by_word(colours or {}),
        width=8,
        height=7,
        bars=True,
        stacked=True,
        minimum=0,
        soft_maximum=FEW_EVENTS,
        no_value=nothing or NO_DATA,
    )


def _words(labels: Sequence[str]) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in labels)


def _most(series: str, by: Sequence[str], nothing: str, where: str = THIS_RELAY) -> Query:
    """Return the query of the label sets that count most events; without data one that says so."""
    counted = or_text(events_of_most(series, by), select("relay_state", where), by[0], NO_DATA)
    return Query(expr=counted, legend=_words(by), empty_reason=nothing)


def failures_by_step(config: Config, width: int, height: int) -> Panel:
    """Return the panel of failures by step and reason; its bars lead to the runs that failed and to the incidents."""
    _, *pages = relay_links(config, "${relay}")
    panel = bars(
        "Failures by step and reason",
        "At which step of the protocol do exchanges fail, and why? First cause of each failed exchange, counted once.",
        _FAILURES,
        ("step", "reason"),
        nothing=NO_FAILURE,
    )
    return replace(
        panel, colours=palette.failures(), links=tuple(pages), width=width, height=height, legend=Legend.RIGHT
    )


def failure_row() -> Row:
    """Return the collapsed row of exchanges, messages and attempts."""
    return Row(title="Exchanges, messages and attempts", panels=(*_outcome_panels(), _cause_panel()), collapsed=True)


def _outcome_panels() -> tuple[Panel, ...]:
    """Return the panels of exchanges, messages and confirmation attempts."""
    panels = (
        bars(
            "Exchanges by outcome",
            "How many exchanges were attempted, and how did they end? Aborted and excluded exchanges count for no SLO.",
            select("relay_probe_exchanges_total", THIS_PROBE),
            ("outcome",),
            colours=palette.OUTCOMES,
        ),
        bars(
            "Message errors by verdict",
            "Are messages lost, late, corrupted, misrouted, duplicated or out of order? Each message is counted once.",
            select("relay_probe_messages_total", THIS_PROBE, 'verdict!="delivered"'),
            ("verdict",),
            nothing=NO_MESSAGE_ERROR,
            colours=palette.VERDICTS,
        ),
        bars(
            "Confirmation attempts",
            "Is one node faulty, or all of them? Attempts to confirm a failure over the persistent connection "
            "(standing) and over new ones (fresh). If fresh attempts succeed and the persistent connection fails, one "
            "node is silent.",
            select("relay_probe_confirmations_total", THIS_PROBE),
            ("over", "outcome"),
            colours={
                "standing": palette.GREEN,
                "fresh": "dark-green",
                "standing failed": palette.DARK_RED,
                "fresh failed": palette.RED,
            },
        ),
    )
    return tuple(replace(panel, width=6) for panel in panels)


def _cause_panel() -> Panel:
    """Return the panel of failures by endpoint and IP family."""
    families = events_of_most(select("relay_probe_address_failures_total", THIS_PROBE), ("family",))
    return Panel(
        kind=Kind.TIME_SERIES,
        title="Failures by endpoint and IP family",
        description="Does one node fail, or one IP family? Attempts, connects and exchanges that failed at each "
        "endpoint of the relay, and addresses that could not be reached.",
        queries=(
            _most(select("relay_endpoint_failures_total", THIS_RELAY), ("endpoint",), NO_ENDPOINT_FAILURE),
            Query(expr=families, legend="addresses {{family}}", empty_reason=NO_ADDRESS_FAILURE, colour=palette.ORANGE),
        ),
        width=6,
        height=7,
        bars=True,
        minimum=0,
        soft_maximum=FEW_EVENTS,
        no_value=NO_ENDPOINT_FAILURE,
    )
