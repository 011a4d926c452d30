"""Routes: metrics, health, the on-call page, the API."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from monitor.errors import ConfigError, MonitorError
from monitor.vocabulary import Outcome
from monitor.web.auth import AuthMiddleware, WebAuth
from monitor.web.headers import SecurityHeaders
from monitor.web.scrape import Scrape

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from jinja2 import Template
    from starlette.requests import Request

    from monitor.journal import Journal, StoredRun

MAX_RUNS: Final = 500
"""Largest number of runs in a response of the API."""

MAX_FAILURES: Final = 20
"""Largest number of failed runs on the on-call page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebState:
    """The monitor's interface for the pages. All but `metrics` is called on the event loop.

    `ready` returns why the monitor is not ready, or None. `reload` reloads the configuration; it raises `ConfigError`
    if that is invalid, and another `MonitorError` if it cannot be applied.
    """

    status: Callable[[], dict[str, Any]]
    journal: Journal
    metrics: Callable[[str], tuple[bytes, str]]
    ready: Callable[[], str | None]
    reload: Callable[[], Awaitable[None]] | None = None


def build_app(state: WebState, auth: WebAuth | None = None) -> SecurityHeaders:
    """Return the web application of a monitor, protected by `auth` if given."""
    pages = _Pages(state)
    app = Starlette(
        routes=[
            Route("/", pages.overview),
            Route("/runs/{id}", pages.run),
            Route("/style.css", pages.style),
            Route("/metrics", Scrape(state.metrics).page),
            Route("/-/healthy", pages.healthy),
            Route("/-/ready", pages.ready),
            Route("/-/reload", pages.reload, methods=["POST"]),
            Route("/api/v1/status", pages.api_status),
            Route("/api/v1/runs", pages.api_runs),
            Route("/api/v1/runs/{id}", pages.api_run),
        ],
        exception_handlers={HTTPException: _error_response},
    )
    return SecurityHeaders(app if auth is None else AuthMiddleware(app, auth))


class _Pages:
    """The endpoints. Rendering runs in a thread, since the event loop also runs the probes."""

    def __init__(self, state: WebState) -> None:
        self._state = state
        self._style = files("monitor.web").joinpath("style.css").read_bytes()
        self._templates = _templates()  # compiled before the probes start

    async def overview(self, _: Request) -> Response:
        """Serve the on-call page."""
        status = self._status()
        journal = self._state.journal
        last = {
            (relay["name"], probe["name"]): journal.last(relay["name"], probe["name"])
            for relay in status["relays"]
            for probe in relay["probes"]
        }
        failures = journal.runs(outcome=Outcome.FAILED.value, limit=MAX_FAILURES)
        return await self._html("overview.html", status=status, last=last, failures=failures)

    async def run(self, request: Request) -> Response:
        """Serve the page of one run."""
        stored = self._state.journal.run(request.path_params["id"])
        if stored is None:
            raise HTTPException(404, "run not found or expired")
        return await self._html("run.html", run=stored.run, omitted=stored.omitted)

    async def style(self, _: Request) -> Response:
        """Serve the style sheet."""
        return Response(self._style, media_type="text/css")

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
        if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
            raise HTTPException(403, "cross-site requests are not allowed")
        try:
            await self._state.reload()
        except ConfigError as error:
            raise HTTPException(400, f"configuration reload failed:\n{error}") from None
        except MonitorError as error:
            raise HTTPException(500, f"configuration reload failed: {error}") from None
        return PlainTextResponse("reloaded\n")

    async def api_status(self, _: Request) -> Response:
        """Serve the state of the monitor and its relays as JSON."""
        return _Json(self._status())

    async def api_runs(self, request: Request) -> Response:
        """Serve runs as JSON, newest first."""
        query = request.query_params
        known = {"relay", "probe", "outcome", "limit"}
        if unknown := sorted(set(query) - known):
            raise HTTPException(400, f"unknown parameter {unknown[0]!r}; expected relay, probe, outcome or limit")
        if len(query.multi_items()) > len(query):
            raise HTTPException(400, "a parameter is given twice")
        outcome, limit = query.get("outcome"), query.get("limit", "50")
        outcomes = [item.value for item in Outcome]
        if outcome is not None and outcome not in outcomes:
            raise HTTPException(400, f"outcome {outcome!r} is not one of {', '.join(outcomes)}")
        if not re.fullmatch("[0-9]{1,3}", limit) or not 1 <= int(limit) <= MAX_RUNS:
            raise HTTPException(400, f"limit {limit!r} must be 1–{MAX_RUNS}")
        found = self._state.journal.runs(
            relay=query.get("relay"), probe=query.get("probe"), outcome=outcome, limit=int(limit)
        )
        return StreamingResponse(_listed(found), media_type=_Json.media_type)

    async def api_run(self, request: Request) -> Response:
        """Serve one run with its timeline as JSON."""
        stored = self._state.journal.run(request.path_params["id"])
        if stored is None:
            raise HTTPException(404, "run not found or expired")
        return _Json(stored.to_json())

    def _status(self) -> dict[str, Any]:
        status = self._state.status()
        # The query may contain a token.
        relays = [relay | {"url": relay["url"].partition("?")[0]} for relay in status["relays"]]
        return status | {"relays": relays}

    async def _html(self, template: str, **values: Any) -> Response:
        page: str = await run_in_threadpool(self._templates[template].render, **values)
        return HTMLResponse(page.encode(errors="replace"))  # see _Json


@cache
def _templates() -> dict[str, Template]:
    """Compile every template, once in a process."""
    environment = Environment(
        loader=PackageLoader("monitor.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return {name: environment.get_template(name) for name in environment.list_templates()}


class _Json(JSONResponse):
    """JSON in ASCII, since a relay's texts may contain lone surrogates, which UTF-8 cannot encode."""

    def render(self, content: Any) -> bytes:
        """See `starlette.responses.Response`."""
        return _encoded(content).encode("ascii")


def _encoded(content: Any) -> str:
    return json.dumps(content, allow_nan=False, separators=(",", ":"))


def _listed(runs: Sequence[StoredRun]) -> Iterator[str]:
    """Yield the runs one by one, each encoded in a thread once the previous one was sent.

    Encoding holds the GIL: hundreds of large runs at once would block the event loop for most of a second.
    """
    yield '{"runs":['
    for number, stored in enumerate(runs):
        yield ("," if number else "") + _encoded(stored.to_json())
    yield "]}"


async def _error_response(request: Request, error: Exception) -> Response:
    """Return an error as JSON for the API, otherwise as text."""
    assert isinstance(error, HTTPException)
    if request.url.path.startswith("/api/"):
        return _Json({"error": error.detail}, error.status_code, headers=error.headers)
    return PlainTextResponse(f"{error.detail}\n", error.status_code, headers=error.headers)
