"""The incidents as JSON: `/api/v1/incidents` and `/api/v1/incidents/ID`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from starlette.exceptions import HTTPException

from monitor.clock import SYSTEM_CLOCK, utc
from monitor.incidents import incident_to_json
from monitor.incidents.text import summarize
from monitor.web.parameters import Parameters
from monitor.web.rendering import Json

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from monitor.incidents import Incident
    from monitor.web.state import IncidentList, WebState

Result = TypeVar("Result")

MAX_INCIDENTS: Final = 500
"""Largest number of incidents in a response."""


class IncidentApi:
    """The endpoints."""

    def __init__(self, state: WebState) -> None:
        self._state = state

    async def listed(self, request: Request) -> Response:
        """Serve incidents without their entries: the open ones first, then the newest."""
        query = Parameters(request, "relay", "since", "open", "limit")
        relay, since, is_open = query.text("relay"), query.time("since"), query.flag("open")
        limit = query.number("limit", 50, MAX_INCIDENTS)

        def read(incidents: IncidentList) -> list[dict[str, Any]]:
            found = incidents.list(relay=relay, since=since, open=is_open, limit=limit)
            return [_summary(incident) for incident in found]

        return Json({"incidents": await read_incidents(self._state, read)})

    async def one(self, request: Request) -> Response:
        """Serve one incident."""
        incident_id = request.path_params["id"]

        def read(incidents: IncidentList) -> dict[str, Any] | None:
            found = incidents.get(incident_id)
            return None if found is None else incident_to_json(found) | {"sentence": _sentence(found)}

        found = await read_incidents(self._state, read)
        if found is None:
            raise HTTPException(404, "incident not found or expired")
        return Json(found)


async def read_incidents(state: WebState, read: Callable[[IncidentList], Result]) -> Result:
    """Return what `read` returns in a thread. Raises `HTTPException`, and `JournalUnavailableError`."""
    incidents = incidents_of(state)
    return await state.journal.read(lambda: read(incidents))


def incidents_of(state: WebState) -> IncidentList:
    """Return the incidents. Raises `HTTPException`."""
    if state.incidents is None:
        raise HTTPException(501, "this monitor has no incidents")
    return state.incidents


def _summary(incident: Incident) -> dict[str, Any]:
    return incident_to_json(incident, entries=False) | {"sentence": _sentence(incident)}


def _sentence(incident: Incident) -> str:
    return summarize(incident, utc(SYSTEM_CLOCK))
