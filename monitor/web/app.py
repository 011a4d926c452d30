"""The routes of the web application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from monitor.drill import WEBHOOK
from monitor.errors import JournalUnavailableError
from monitor.web import events, openapi, static_files
from monitor.web.api import Api
from monitor.web.auth import AuthMiddleware, WebAuth
from monitor.web.drill import DrillEndpoints
from monitor.web.headers import SecurityHeaders
from monitor.web.host_guard import HostGuard
from monitor.web.incident_api import IncidentApi
from monitor.web.incident_pages import IncidentPages
from monitor.web.maintenance import MaintenancePages
from monitor.web.management import Management
from monitor.web.overview import Overview
from monitor.web.rendering import Json, html, templates
from monitor.web.run_page import RunPage
from monitor.web.scrape import Scrape
from monitor.web.write_guard import WriteGuard

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from monitor.web.state import WebState


def build_app(state: WebState, auth: WebAuth | None = None) -> SecurityHeaders:
    """Return the web application of a monitor, protected by `auth` if given."""
    templates(), static_files.contents()  # compiled and read before the probes start
    overview, management, api = Overview(state), Management(state), Api(state)
    maintenance, incidents = MaintenancePages(state), IncidentApi(state)
    incident_pages, drills = IncidentPages(state), DrillEndpoints(state)
    runs = RunPage(state)
    app = Starlette(
        routes=[
            Route("/", overview.page),
            Route(events.PATH, events.EventStreams(overview).page),
            Route("/static/{name}", static_files.serve),
            Route("/runs/{id}", runs.page),
            Route("/faults", runs.faults),
            Route("/metrics", Scrape(state.metrics, state.drills).page),
            Route("/-/healthy", management.healthy),
            Route("/-/ready", management.ready),
            Route("/-/reload", management.reload, methods=["POST"]),
            _route("/maintenance", GET=maintenance.page, POST=maintenance.form_start),
            Route("/maintenance/{id}/end", maintenance.form_end, methods=["POST"]),
            _route("/api/v1/maintenance", GET=maintenance.api_list, POST=maintenance.api_start),
            Route("/api/v1/maintenance/{id}", maintenance.api_end, methods=["DELETE"]),
            _route("/api/v1/drill", GET=drills.newest, POST=drills.start),
            Route("/api/v1/drill/{id}", drills.end, methods=["DELETE"]),
            Route(WEBHOOK, drills.webhook, methods=["POST"]),
            Route(openapi.PATH, openapi.serve),
            Route("/api/v1/status", api.status),
            Route("/api/v1/relays/{name}", api.relay),
            Route("/incidents", incident_pages.index),
            Route("/incidents/{id}.md", incident_pages.markdown),
            Route("/incidents/{id}", incident_pages.page),
            Route("/api/v1/incidents", incidents.listed),
            Route("/api/v1/incidents/{id}", incidents.one),
            Route("/api/v1/runs", api.runs),
            Route("/api/v1/runs/{id}", api.run),
        ],
        exception_handlers={
            HTTPException: _error_response,
            JournalUnavailableError: _journal_unavailable,
            Exception: _bug_response,
        },
    )
    guarded = HostGuard(WriteGuard(app), state.host_names, auth)
    return SecurityHeaders(guarded if auth is None else AuthMiddleware(guarded, auth, drills.has_own_credential))


def _route(path: str, **endpoints: Callable[[Request], Awaitable[Response]]) -> Route:
    """Return the route of a path that several methods have; two routes would not know each other's in `Allow`."""

    async def endpoint(request: Request) -> Response:
        return await endpoints["GET" if request.method == "HEAD" else request.method](request)

    return Route(path, endpoint, methods=list(endpoints))


async def _error_response(request: Request, error: Exception) -> Response:
    """Return an error: as JSON for the API, as a page for a browser, otherwise as text."""
    assert isinstance(error, HTTPException)
    if request.url.path.startswith("/api/"):
        return Json({"error": error.detail}, error.status_code, headers=error.headers)
    if "text/html" in request.headers.get("accept", ""):
        return await html("error.html", error.status_code, status=error.status_code, detail=error.detail)
    return PlainTextResponse(f"{error.detail}\n", error.status_code, headers=error.headers)


async def _bug_response(request: Request, _: Exception) -> Response:
    """Return what a client gets when a bug in this program broke its request; the server logs the bug."""
    return await _error_response(request, HTTPException(500, "Internal error of this monitor; see its log"))


async def _journal_unavailable(request: Request, error: Exception) -> Response:
    """Return a 503 for what only the journal knows."""
    return await _error_response(request, HTTPException(503, str(error)))
