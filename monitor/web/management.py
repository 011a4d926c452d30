"""The management endpoints, named as in Prometheus: `/-/healthy`, `/-/ready`, `/-/reload`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from monitor.errors import ConfigError, MonitorError
from monitor.web.write_guard import USER

if TYPE_CHECKING:
    from starlette.requests import Request

    from monitor.web.state import WebState


_log = structlog.get_logger(__name__)


class Management:
    """Liveness, readiness and reload."""

    def __init__(self, state: WebState) -> None:
        self._state = state

    async def healthy(self, _: Request) -> Response:
        """Answer the liveness check."""
        return PlainTextResponse("relay-monitor is healthy\n")

    async def ready(self, _: Request) -> Response:
        """Answer the readiness check: the schedule runs."""
        why_not = self._state.ready()
        if why_not is not None:
            return PlainTextResponse(f"not ready: {why_not}\n", 503)
        return PlainTextResponse("relay-monitor is ready\n")

    async def reload(self, request: Request) -> Response:
        """Reload the configuration, as SIGHUP does."""
        if self._state.reload is None:
            raise HTTPException(501, "this monitor cannot reload; restart it")
        client = request.client.host if request.client is not None else "unknown"
        _log.info("configuration reload requested", by=request.scope.get(USER, "this host"), client=client)
        try:
            await self._state.reload()
        except ConfigError as error:
            raise HTTPException(400, f"configuration reload failed:\n{error}") from None
        except MonitorError as error:
            raise HTTPException(500, f"configuration reload failed: {error}") from None
        return PlainTextResponse("reloaded\n")
