"""A web state with some runs, and a client for its pages."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import httpx

from monitor.journal import Journal
from monitor.results import Failure
from monitor.vocabulary import Reason, Step
from monitor.web import WebState, build_app
from tests.journal.sample import FULL, run
from tests.metrics.sample import exporter

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

EVIL = "<script>alert(1)</script>"


def journal() -> Journal:
    store = Journal()
    store.add(run(1))
    store.add(run(2, relay="other"))
    store.add(FULL)
    store.add(
        run(8, failed=True, probe="idle", failure=Failure(step=Step.HOLD, reason=Reason.DISCONNECTED, detail=EVIL))
    )
    return store


def status() -> dict[str, Any]:
    def probe(name: str) -> dict[str, Any]:
        return {"name": name, "scenario": "steady-messaging", "schedule": "continuous", "nextDue": None}

    def undelivered(name: str, *, up: bool | None) -> dict[str, Any]:
        """Return a relay that delivered no message."""
        words = {None: "unknown", True: "up", False: "down"}
        return {
            "name": name,
            "url": "embedded",
            "up": up,
            "condition": words[up],
            "sentence": f"{words[up]} for 2 min: no attempt has finished yet",
            "since": "2024-05-01T12:00:00+00:00",
            "lastCrossing": None,
            "maintenance": None,
            "probes": [probe("steady")],
        }

    return {
        "version": "1.2.3",
        "location": EVIL,
        "startedAt": "2024-05-01T12:00:00+00:00",
        "healthy": True,
        "distrust": [],
        "relays": [
            {
                "name": "demo",
                "url": "wss://relay.example.com/connection/websocket",
                "up": False,
                "condition": "down",
                "sentence": "down for 2 min: upgrade 502, 9 of 9 attempts failed",
                "since": "2024-05-01T12:07:05.250000+00:00",
                "lastCrossing": "2024-05-01T12:06:58+00:00",
                "maintenance": "weekly upgrade",
                "probes": [probe("steady"), probe("idle")],
            },
            undelivered("other", up=True) | {"since": "2024-05-01T12:00:01+00:00"},
            undelivered("new", up=None),
            undelivered("fresh", up=False) | {"since": "2024-05-01T12:00:09+00:00"},
        ],
    }


@cache
def rendered() -> Callable[[str], tuple[bytes, str]]:
    """Return the renderer of a monitor without runs; shared by all tests, which do not change it."""
    return exporter().render


def state(**changes: Any) -> WebState:
    defaults: dict[str, Any] = {
        "status": status,
        "journal": journal(),
        "metrics": rendered(),
        "ready": lambda: None,
    }
    return WebState(**(defaults | changes))


def client(app: ASGIApp | None = None, **changes: Any) -> httpx.AsyncClient:
    """Return a client that calls the application without a socket."""
    transport = httpx.ASGITransport(app or build_app(state(**changes)))
    return httpx.AsyncClient(transport=transport, base_url="http://monitor.example")
