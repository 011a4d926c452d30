"""The routes: metrics, health, the on-call page, the API."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from monitor.catalogue import Outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from monitor.journal import Journal

MAX_RUNS: Final = 500
MAX_SCRAPES: Final = 4
"""Scrapes rendered at the same time; the others wait their turn."""

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebState:
    """What the pages know of the monitor. `ready` gives the reason why it is not, or None."""

    status: Callable[[], dict[str, Any]]
    journal: Journal
    metrics: Callable[[str], tuple[bytes, str]]
    ready: Callable[[], str | None]


def build_app(state: WebState) -> Starlette:
    """The web application for one monitor."""
    pages = _Pages(state)
    return Starlette(
        routes=[
            Route("/", _dressed(pages.overview)),
            Route("/runs/{id}", _dressed(pages.run)),
            Route("/metrics", _dressed(pages.metrics)),
            Route("/-/healthy", _dressed(pages.healthy)),
            Route("/-/ready", _dressed(pages.ready)),
            Route("/api/v1/status", _dressed(pages.api_status)),
            Route("/api/v1/runs", _dressed(pages.api_runs)),
            Route("/api/v1/runs/{id}", _dressed(pages.api_run)),
        ]
    )


def _dressed(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint whose answers carry the security headers."""

    async def answer(request: Request) -> Response:
        response = await endpoint(request)
        response.headers.update(_HEADERS)
        return response

    return answer


class _Pages:
    def __init__(self, state: WebState) -> None:
        self._state = state
        self._scrapes = asyncio.Semaphore(MAX_SCRAPES)
        self._templates = Environment(
            loader=PackageLoader("monitor.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )

    async def overview(self, _: Request) -> Response:
        """The on-call page: is it broken, which relay, since when, why."""
        status = self._state.status()
        for relay in status["relays"]:
            for probe in relay["probes"]:
                probe["last"] = self._state.journal.last(relay["name"], probe["name"])
        failures = self._state.journal.runs(outcome=Outcome.FAILED.value, limit=20)
        return HTMLResponse(self._templates.get_template("overview.html").render(status=status, failures=failures))

    async def run(self, request: Request) -> Response:
        """One run's timeline."""
        run = self._state.journal.run(request.path_params["id"])
        if run is None:
            return PlainTextResponse("this run is not remembered any more\n", 404)
        return HTMLResponse(self._templates.get_template("run.html").render(run=run))

    async def metrics(self, request: Request) -> Response:
        """Everything Prometheus wants, rendered in a thread so that measuring goes on."""
        async with self._scrapes:
            body, content_type = await run_in_threadpool(self._state.metrics, request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    async def healthy(self, _: Request) -> Response:
        """The process serves."""
        return PlainTextResponse("relay-monitor is healthy\n")

    async def ready(self, _: Request) -> Response:
        """The schedule runs."""
        why_not = self._state.ready()
        if why_not is not None:
            return PlainTextResponse(f"not ready: {why_not}\n", 503)
        return PlainTextResponse("relay-monitor is ready\n")

    async def api_status(self, _: Request) -> Response:
        """What the on-call page shows, as JSON."""
        return JSONResponse(self._state.status())

    async def api_runs(self, request: Request) -> Response:
        """Runs, newest first."""
        query = request.query_params
        unknown = sorted(set(query) - {"relay", "probe", "outcome", "limit"})
        if unknown:
            return _bad(f"unknown parameter {unknown[0]!r}; there are relay, probe, outcome, limit")
        outcome, limit = query.get("outcome"), query.get("limit", "50")
        outcomes = [item.value for item in Outcome]
        if outcome is not None and outcome not in outcomes:
            return _bad(f"outcome {outcome!r} is none of {', '.join(outcomes)}")
        if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit[:6]) <= MAX_RUNS:
            return _bad(f"limit {limit[:20]!r} is no number from 1 to {MAX_RUNS}")
        runs = self._state.journal.runs(
            relay=query.get("relay"), probe=query.get("probe"), outcome=outcome, limit=int(limit)
        )
        return JSONResponse({"runs": runs})

    async def api_run(self, request: Request) -> Response:
        """One run with its timeline."""
        run = self._state.journal.run(request.path_params["id"])
        if run is None:
            return JSONResponse({"error": "this run is not remembered any more"}, 404)
        return JSONResponse(run)


def _bad(message: str) -> Response:
    return JSONResponse({"error": message}, 400)
