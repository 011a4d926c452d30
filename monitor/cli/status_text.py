"""The text of `relay-monitor status`: the page in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.durations import duration
from monitor.errors import printable
from monitor.text_table import Column, paragraph, table
from monitor.vocabulary import Condition
from monitor.web.formats import budget as budget_left
from monitor.web.formats import count, milliseconds, percent, utc

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from monitor.web.model import BudgetView, DrillView, IncidentView, MonitorView, RelayView, WindowView

BAD: Final = frozenset({Condition.DOWN, Condition.NOT_ACCEPTING, Condition.UNKNOWN})
"""The conditions of a relay for which the command fails."""

MAX_BUDGETS: Final = 12
"""Error budgets that are listed, the lowest."""

_WORDS: Final = {
    Condition.UP: "up",
    Condition.DEGRADED: "degraded",
    Condition.NOT_ACCEPTING: "NOT ACCEPTING",
    Condition.DOWN: "DOWN",
    Condition.UNKNOWN: "UNKNOWN",
}


def is_bad(view: MonitorView) -> bool:
    """Return whether somebody must look: a relay is bad, none is observed, or the monitor is unhealthy."""
    if not view.healthy or not view.relays:
        return True
    return any(relay.condition in BAD for relay in view.relays if relay.observed)


def report(
    view: MonitorView, incidents: Sequence[IncidentView], since: str, *, width: int | None = None
) -> Iterator[str]:
    """Yield the lines. `since` is the span of the incidents, as the user wrote it; `width` is the terminal's."""
    shard = "" if view.shard == "0/1" else f" · shard {view.shard}"
    yield from paragraph(view.banner.sentence, width=width)
    yield printable(f"{view.location}{shard} · {utc(view.now)} · up for {duration(_age(view, view.started_at))}")
    if not view.journal_healthy:
        yield "The journal cannot be read or written: figures of the past may be missing."
    if view.drill is not None:
        yield from paragraph(_drill(view, view.drill), width=width)
    yield ""
    yield from _relays(view.relays, width)
    if view.prometheus is not None:
        yield from _alerts(view, width)
    yield ""
    yield from _incidents(incidents, since, width)
    yield ""
    yield from _maintenance(view.maintenance, width)
    yield ""
    yield from _budgets(view.relays, width)


def _drill(view: MonitorView, drill: DrillView) -> str:
    ago = duration(_age(view, drill.ended_at))
    if drill.seconds is None:
        return f"The last drill failed {ago} ago: {drill.why}."
    return f"The last drill, {ago} ago: a page in {drill.seconds:.1f} s."


def _age(view: MonitorView, time: datetime) -> float:
    return (view.now - time).total_seconds()


def _relays(relays: Sequence[RelayView], width: int | None) -> Iterator[str]:
    rows: list[Sequence[str] | str] = []
    for relay in relays:
        trip = relay.round_trip
        rows.append(
            [
                relay.name,
                _WORDS[relay.condition],
                duration(relay.seconds) if relay.observed else "–",
                percent(relay.success_ratio_1h),
                milliseconds(trip.p50),
                milliseconds(trip.p99),
                str(relay.lost_1h) if relay.lost_1h else "–",
                "–" if relay.certificate_days is None else f"{relay.certificate_days:.0f} d",
            ]
        )
        rows += [f"  {line}" for text in _remarks(relay) for line in paragraph(text, width=width and width - 2)]
    columns = [
        Column("relay"),
        Column("state"),
        Column("for", right=True),
        Column("success\n1 h", right=True),
        Column("P50\n1 h", right=True),
        Column("P99\n1 h", right=True),
        Column("lost\n1 h", right=True),
        Column("certificate", right=True),
    ]
    yield from table(columns, rows, width=width)


def _remarks(relay: RelayView) -> Iterator[str]:
    """Yield what is said of a relay below its row."""
    if relay.condition is not Condition.UP:  # its row says for how long
        why = relay.why if relay.observed else relay.sentence
        yield why + (f" · incident {relay.incident}" if relay.incident else "")
    if (window := relay.maintenance) is not None:
        until = f" until {utc(window.until)}" if window.until is not None else ""
        yield f"in maintenance{until} ({window.reason}{f', {window.by}' if window.by else ''})"
    if relay.locations:
        yield "as seen from " + ", ".join(f"{each.location}: {_WORDS[each.condition]}" for each in relay.locations)


def _alerts(view: MonitorView, width: int | None) -> Iterator[str]:
    found = view.prometheus
    assert found is not None
    yield ""
    yield f"Firing alerts ({len(found.alerts)})"
    if found.failure is not None:
        yield from paragraph(f"Prometheus at {found.url} was not read: {found.failure}", width=width)
    if found.alerts:
        rows = [
            [alert.severity, alert.name, "–" if alert.since is None else utc(alert.since), alert.summary]
            for alert in found.alerts
        ]
        yield from table([Column("severity"), Column("alert"), Column("since"), Column("summary")], rows, width=width)


def _incidents(incidents: Sequence[IncidentView], since: str, width: int | None) -> Iterator[str]:
    yield f"Incidents of the last {printable(since)} ({len(incidents)})"
    if not incidents:
        return
    rows = [
        [
            incident.id,
            incident.relay,
            utc(incident.began_at),
            "open" if incident.closed_at is None else utc(incident.recovered_at or incident.closed_at),
            _WORDS[incident.worst],
            incident.sentence,
        ]
        for incident in incidents
    ]
    columns = [Column(title) for title in ("incident", "relay", "first failure", "up again", "worst", "summary")]
    yield from table(columns, rows, width=width)


def _maintenance(windows: Sequence[WindowView], width: int | None) -> Iterator[str]:
    yield f"Maintenance on demand ({len(windows)})"
    if windows:
        rows = [
            [window.id, ", ".join(window.relays) or "all", utc(window.until), window.reason, window.by]
            for window in windows
        ]
        columns = [Column(title) for title in ("window", "relays", "until", "reason", "by")]
        yield from table(columns, rows, width=width)


def _budgets(relays: Sequence[RelayView], width: int | None) -> Iterator[str]:
    found = [(budget.left, relay, budget) for relay in relays for budget in relay.budgets if budget.left is not None]
    found.sort(key=lambda item: item[0])
    shown = found[:MAX_BUDGETS]
    yield "Error budgets" + (f" (the lowest {len(shown)} of {len(found)})" if len(shown) < len(found) else "")
    if shown:
        rows = [_budget(relay, budget) for _, relay, budget in shown]
        columns = [Column("relay"), Column("SLO"), Column("objective", right=True), Column("left", right=True)]
        yield from table([*columns, Column("bad", right=True), Column("over")], rows, width=width)
    else:
        yield "No events yet."


def _budget(relay: RelayView, budget: BudgetView) -> list[str]:
    span = duration(budget.span_seconds)
    if budget.span_seconds < 0.99 * budget.window_seconds:
        span += f" of {duration(budget.window_seconds)}"
    figures = [budget_left(budget.left), _plain(count(budget.bad)) + " connection-seconds" * budget.in_seconds]
    return [relay.name, budget.slo, percent(budget.objective), *figures, span]


def _plain(text: str) -> str:
    """Return a figure with the spaces of a terminal: a narrow one counts as not printable."""
    return text.replace("\N{NARROW NO-BREAK SPACE}", " ")
