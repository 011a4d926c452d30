"""The pages of incidents: `/incidents`, `/incidents/ID` and its Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from monitor.errors import JournalUnavailableError
from monitor.incidents import BAD, EntryKind, Incident, spans, summarize, to_markdown
from monitor.incidents.incident import SEVERITY
from monitor.incidents.spans import condition_since
from monitor.incidents.state_machine import CLOSE_AFTER
from monitor.incidents.text import bad_seconds
from monitor.vocabulary import Condition
from monitor.web.incident_api import incidents_of, read_incidents
from monitor.web.rendering import html

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from starlette.requests import Request

    from monitor.incidents import Entry
    from monitor.web.model import MonitorView
    from monitor.web.state import WebState

MAX_LISTED: Final = 200
"""Incidents on the page of all incidents."""

CHART_WIDTH: Final = 1000.0
"""Units of the chart's width."""

MIN_BAR: Final = 4.0
"""Least width of a bar in the chart."""

_STATE_OF_KIND: Final = {
    EntryKind.OPENED: "down",
    EntryKind.REOPENED: "down",
    EntryKind.CLOSED: "up",
    EntryKind.FAILED: "failed",
    EntryKind.DELIVERED: "delivered",
    EntryKind.MESSAGES: "lost",
    EntryKind.MAINTENANCE: "maintenance",
}
"""The shape beside an entry; that of a condition is the condition's."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of the chart, in its units."""

    x: float
    width: float
    state: str
    start: datetime
    seconds: float


@dataclass(frozen=True, slots=True)
class Line:
    """An entry as it is shown: `state` names its shape, `new_day` asks for the date."""

    entry: Entry
    state: str
    new_day: bool

    @property
    def run_id(self) -> str:
        """The id of its run, or an empty text."""
        return str(self.entry.fields.get("runId") or "")


class IncidentPages:
    """The pages."""

    def __init__(self, state: WebState) -> None:
        self._state = state

    async def index(self, request: Request) -> Response:
        """Serve the list of incidents, of one relay with `?relay=NAME`."""
        view = await self._state.status()
        relay = request.query_params.get("relay") or None
        unavailable = ""
        found: Sequence[Incident]
        try:
            found = await read_incidents(self._state, lambda known: known.list(relay=relay, limit=MAX_LISTED))
        except JournalUnavailableError as error:
            found, unavailable = incidents_of(self._state).present(relay), str(error)
        names = sorted({each.name for each in view.relays} | {each.relay for each in found})
        rows = [(incident, summarize(incident, view.now)) for incident in found]
        return await html(
            "incidents.html",
            now=view.now,
            relay=relay,
            location=view.location,
            names=names,
            opened=sorted((row for row in rows if row[0].is_open), key=lambda row: -SEVERITY[row[0].condition]),
            closed=[row for row in rows if not row[0].is_open],
            truncated=len(found) == MAX_LISTED,
            unavailable=unavailable,
        )

    async def page(self, request: Request) -> Response:
        """Serve one incident."""
        incident, view = await self._found(request)
        relay = next((each for each in view.relays if each.name == incident.relay), None)
        return await html(
            "incident.html",
            now=view.now,
            incident=incident,
            level=_level(incident),
            sentence=summarize(incident, view.now),
            bad_seconds=sum(bad_seconds(incident, view.now).values()),
            closes_at=_closes_at(incident),
            relay=relay,
            location=view.location,
            condition_since=condition_since(incident),
            links=relay.links if relay is not None else None,
            bars=_bars(incident, view.now),
            shares=_shares(incident, view.now),
            lines=_lines(incident),
            markdown=_markdown(incident, view, str(request.url.replace(query=""))),
        )

    async def markdown(self, request: Request) -> Response:
        """Serve one incident as Markdown."""
        incident, view = await self._found(request)
        address = str(request.url.replace(query="")).removesuffix(".md")
        return PlainTextResponse(_markdown(incident, view, address).encode(errors="replace"))

    async def _found(self, request: Request) -> tuple[Incident, MonitorView]:
        incident_id = request.path_params["id"]
        found = next((each for each in incidents_of(self._state).present() if each.id == incident_id), None)
        if found is None:
            found = await read_incidents(self._state, lambda known: known.get(incident_id))
        if found is None:
            raise HTTPException(404, "incident not found or expired")
        return found, await self._state.status()


def _markdown(incident: Incident, view: MonitorView, address: str) -> str:
    seen_from = f"{view.location} (relay-monitor {view.version}, install {view.install}, config {view.config_hash})"
    return to_markdown(incident, now=view.now, seen_from=seen_from, page_url=address)


def _level(incident: Incident) -> str:
    """Return the level of the notice at the top."""
    if not incident.is_open:
        return "ok"
    return "warning" if incident.condition not in BAD or incident.condition is Condition.DEGRADED else "critical"


def _closes_at(incident: Incident) -> datetime | None:
    """Return when the incident is closed if the relay stays up; None if it is not up now."""
    if not incident.is_open or incident.condition is not Condition.UP or incident.recovered_at is None:
        return None
    return incident.updated_at + timedelta(seconds=CLOSE_AFTER - incident.up_seconds)


def _bars(incident: Incident, now: datetime) -> list[Bar]:
    parts = spans(incident, now)
    total = sum(part.seconds for part in parts)
    bars: list[Bar] = []
    x = 0.0
    for part in parts:
        width = part.seconds / total * CHART_WIDTH
        state = part.condition.value if part.condition is not None else "none" if bars else "unconfirmed"
        bars.append(Bar(round(x, 1), round(max(MIN_BAR, width), 1), state, part.start, part.seconds))
        x += width
    return bars


def _shares(incident: Incident, now: datetime) -> list[tuple[str, float]]:
    """Return how long each condition lasted until `now`, the worst first."""
    bad = bad_seconds(incident, now)
    others = [(name, seconds) for name, seconds in incident.seconds.items() if Condition(name) not in bad]
    return [(condition.value, seconds) for condition, seconds in bad.items()] + others


def _lines(incident: Incident) -> list[Line]:
    lines: list[Line] = []
    day = None
    for entry in sorted(incident.entries, key=lambda entry: entry.at):
        state = str(entry.fields.get("condition") or _STATE_OF_KIND.get(entry.kind, "none"))
        lines.append(Line(entry, state, entry.at.date() != day))
        day = entry.at.date()
    return lines
