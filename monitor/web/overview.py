"""The page `/`: all relays, for a person on call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.web.rendering import html

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from monitor.web.state import WebState


class Overview:
    """The page."""

    def __init__(self, state: WebState) -> None:
        self._state = state

    async def page(self, _: Request) -> Response:
        """Serve the on-call page."""
        return await html("overview.html", view=await self._state.status())
