"""A webhook that stores every notification with its time."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from monitor.web.server import WebServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One notification: a group of alerts, all firing or some resolved."""

    at: float  # time.monotonic
    receiver: str
    status: str  # firing or resolved
    alerts: tuple[dict[str, Any], ...]

    def names(self, status: str = "firing") -> set[str]:
        """Return the names of its alerts with a status."""
        return {alert["labels"]["alertname"] for alert in self.alerts if alert["status"] == status}

    @property
    def severities(self) -> set[str]:
        """The severities of its firing alerts."""
        return {alert["labels"].get("severity", "") for alert in self.alerts if alert["status"] == "firing"}


class Receiver:
    """A webhook server; Alertmanager's receivers post to `url(NAME)`."""

    def __init__(self) -> None:
        self.notifications: list[Notification] = []
        self._news = asyncio.Event()
        app = Starlette(routes=[Route("/{receiver}", self._receive, methods=["POST"])])
        self._server = WebServer(app, "127.0.0.1", 0)

    async def start(self) -> None:
        """Start to listen."""
        await self._server.start()

    async def stop(self) -> None:
        """Stop listening."""
        await self._server.stop()

    def url(self, receiver: str) -> str:
        """Return the webhook URL of a receiver."""
        return f"http://127.0.0.1:{self._server.port}/{receiver}"

    def pages(self) -> list[Notification]:
        """Return the firing notifications with a critical alert."""
        return [item for item in self.notifications if item.status == "firing" and "critical" in item.severities]

    async def until(self, done: Callable[[], Any], seconds: float) -> None:
        """Wait until `done()` is true after a notification. Raises `TimeoutError`."""
        async with asyncio.timeout(seconds):
            while not done():
                self._news.clear()
                await self._news.wait()

    async def _receive(self, request: Request) -> Response:
        body = await request.json()
        self.notifications.append(
            Notification(
                at=time.monotonic(),
                receiver=request.path_params["receiver"],
                status=body["status"],
                alerts=tuple(body["alerts"]),
            )
        )
        self._news.set()
        return Response(status_code=204)
