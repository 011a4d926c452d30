"""The page `/`: all relays, for a person on call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.vocabulary import Outcome
from monitor.web.rendering import html

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from monitor.web.state import WebState

MAX_FAILURES: Final = 20
"""Largest number of failed runs on the page."""


class Overview:
    """The page."""

    def __init__(self, state: WebState) -> None:
        self._state = state

    async def page(self, _: Request) -> Response:
        """Serve the on-call page."""
        status = self._state.status()
        journal = self._state.journal
        last = {
            (relay["name"], probe["name"]): journal.last(relay["name"], probe["name"])
            for relay in status["relays"]
            for probe in relay["probes"]
        }
        failures = journal.runs(outcome=Outcome.FAILED.value, limit=MAX_FAILURES)
        return await html("overview.html", status=status, last=last, failures=failures)
