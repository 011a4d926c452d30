"""The page `/runs/ID`: one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from monitor.web.rendering import html

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from monitor.web.state import WebState


class RunPage:
    """The page of one run."""

    def __init__(self, state: WebState) -> None:
        self._state = state

    async def page(self, request: Request) -> Response:
        """Serve the page of one run."""
        stored = self._state.journal.run(request.path_params["id"])
        if stored is None:
            raise HTTPException(404, "run not found or expired")
        return await html("run.html", run=stored.run, omitted=stored.omitted)
