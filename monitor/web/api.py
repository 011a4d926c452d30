"""The API, `/api/v1`: the state of the monitor and its runs as JSON."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from monitor.vocabulary import Outcome
from monitor.web.parameters import Parameters
from monitor.web.rendering import Json, encoded
from monitor.web.serialization import monitor_to_json, relay_to_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from starlette.requests import Request

    from monitor.journal import StoredRun
    from monitor.web.state import WebState

MAX_RUNS: Final = 500
"""Largest number of runs in a response."""


class Api:
    """The endpoints. What the journal cannot answer now raises `JournalUnavailableError`."""

    def __init__(self, state: WebState) -> None:
        self._state = state

    async def status(self, _: Request) -> Response:
        """Serve the state of the monitor and its relays."""
        view = await self._state.status()
        return StreamingResponse(monitor_to_json(view), media_type=Json.media_type)

    async def relay(self, request: Request) -> Response:
        """Serve the state of one relay, with its strips."""
        view = await self._state.status()
        found = next((relay for relay in view.relays if relay.name == request.path_params["name"]), None)
        if found is None:
            raise HTTPException(404, "this monitor has no such relay")
        return Response(await run_in_threadpool(relay_to_json, found), media_type=Json.media_type)

    async def runs(self, request: Request) -> Response:
        """Serve runs, newest first."""
        query = Parameters(request, "relay", "probe", "outcome", "since", "until", "limit")
        asked = partial(
            self._state.journal.runs,
            relay=query.text("relay"),
            probe=query.text("probe"),
            outcome=query.one_of("outcome", [item.value for item in Outcome]),
            since=query.time("since"),
            until=query.time("until"),
            limit=query.number("limit", 50, MAX_RUNS),
        )
        found = await self._state.journal.read(asked)
        return StreamingResponse(_listed(found), media_type=Json.media_type)

    async def run(self, request: Request) -> Response:
        """Serve one run with its timeline and its lines of the log."""
        journal, run_id = self._state.journal, request.path_params["id"]
        stored = await journal.read(lambda: journal.run(run_id))
        if stored is None:
            raise HTTPException(404, "run not found or expired")
        log = [
            {"at": line.at.isoformat(), "level": line.level, "event": line.event, "fields": line.fields}
            for line in stored.log
        ]
        return Json(stored.to_json() | {"log": log})


def _listed(runs: Sequence[StoredRun]) -> Iterator[str]:
    """Yield the runs one by one, each encoded in a thread once the previous one was sent.

    Encoding holds the GIL: hundreds of large runs at once would block the event loop for most of a second.
    """
    yield '{"runs":['
    for number, stored in enumerate(runs):
        yield ("," if number else "") + encoded(stored.to_json())
    yield "]}"
