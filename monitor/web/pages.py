"""The routes: metrics, health, the on-call page, the API."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
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
from monitor.web.auth import Access, Guarded
from monitor.web.headers import SecurityHeaders
from monitor.web.scrape import Scrape

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from starlette.requests import Request

    from monitor.journal import Journal, Kept

MAX_RUNS: Final = 500
FAILURES: Final = 20
"""Failed runs on the on-call page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebState:
    """What the pages know of the monitor. All of it is called on the event loop, but for `metrics`.

    `ready` gives the reason why it is not, or None. `reload` takes up the configuration anew: it raises `ConfigError`
    where that is wrong, and another `MonitorError` where it cannot be taken up.
    """

    status: Callable[[], dict[str, Any]]
    journal: Journal
    metrics: Callable[[str], tuple[bytes, str]]
    ready: Callable[[], str | None]
    reload: Callable[[], Awaitable[None]] | None = None


def build_app(state: WebState, access: Access | None = None) -> SecurityHeaders:
    """The web application for one monitor, for those whom `access` lets in."""
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
        exception_handlers={HTTPException: _refused},
    )
    return SecurityHeaders(app if access is None else Guarded(app, access))


class _Pages:
    """The endpoints. What takes longer than a look is done in a thread: the loop is the one that measures."""

    def __init__(self, state: WebState) -> None:
        self._state = state
        self._style = files("monitor.web").joinpath("style.css").read_bytes()
        templates = Environment(
            loader=PackageLoader("monitor.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        # Compiled now, while nothing is measured yet.
        self._templates = {name: templates.get_template(name) for name in templates.list_templates()}

    async def overview(self, _: Request) -> Response:
        """The on-call page: is it broken, which relay, since when, why."""
        status = self._status()
        journal = self._state.journal
        last = {
            (relay["name"], probe["name"]): journal.last(relay["name"], probe["name"])
            for relay in status["relays"]
            for probe in relay["probes"]
        }
        failures = journal.runs(outcome=Outcome.FAILED.value, limit=FAILURES)
        return await self._html("overview.html", status=status, last=last, failures=failures)

    async def run(self, request: Request) -> Response:
        """One run's timeline."""
        kept = self._state.journal.run(request.path_params["id"])
        if kept is None:
            raise HTTPException(404, "this run is not remembered any more")
        return await self._html("run.html", run=kept.run, omitted=kept.omitted)

    async def style(self, _: Request) -> Response:
        """How the pages look."""
        return Response(self._style, media_type="text/css")

    async def healthy(self, _: Request) -> Response:
        """The process serves."""
        return PlainTextResponse("relay-monitor is healthy\n")

    async def ready(self, _: Request) -> Response:
        """The schedule runs."""
        why_not = self._state.ready()
        if why_not is not None:
            return PlainTextResponse(f"not ready: {why_not}\n", 503)
        return PlainTextResponse("relay-monitor is ready\n")

    async def reload(self, request: Request) -> Response:
        """Take up the configuration anew, as SIGHUP does."""
        if self._state.reload is None:
            raise HTTPException(501, "this monitor cannot reload: restart it")
        if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
            raise HTTPException(403, "a page of another site has no say here")
        try:
            await self._state.reload()
        except ConfigError as error:
            raise HTTPException(400, f"the configuration stays as it was:\n{error}") from None
        except MonitorError as error:
            raise HTTPException(500, f"the configuration stays as it was: {error}") from None
        return PlainTextResponse("reloaded\n")

    async def api_status(self, _: Request) -> Response:
        """What the on-call page shows, as JSON."""
        return _Json(self._status())

    async def api_runs(self, request: Request) -> Response:
        """Runs, newest first."""
        query = request.query_params
        known = {"relay", "probe", "outcome", "limit"}
        if unknown := sorted(set(query) - known):
            raise HTTPException(400, f"unknown parameter {unknown[0]!r}; there are relay, probe, outcome, limit")
        if len(query.multi_items()) > len(query):
            raise HTTPException(400, "a parameter is given twice")
        outcome, limit = query.get("outcome"), query.get("limit", "50")
        outcomes = [item.value for item in Outcome]
        if outcome is not None and outcome not in outcomes:
            raise HTTPException(400, f"outcome {outcome!r} is none of {', '.join(outcomes)}")
        if not re.fullmatch("[0-9]{1,3}", limit) or not 1 <= int(limit) <= MAX_RUNS:
            raise HTTPException(400, f"limit {limit!r} is no number from 1 to {MAX_RUNS}")
        found = self._state.journal.runs(
            relay=query.get("relay"), probe=query.get("probe"), outcome=outcome, limit=int(limit)
        )
        return StreamingResponse(_listed(found), media_type=_Json.media_type)

    async def api_run(self, request: Request) -> Response:
        """One run with its timeline."""
        kept = self._state.journal.run(request.path_params["id"])
        if kept is None:
            raise HTTPException(404, "this run is not remembered any more")
        return _Json(kept.to_json())

    def _status(self) -> dict[str, Any]:
        status = self._state.status()
        # A query may hold a token.
        relays = [relay | {"url": relay["url"].partition("?")[0]} for relay in status["relays"]]
        return status | {"relays": relays}

    async def _html(self, template: str, **values: Any) -> Response:
        page: str = await run_in_threadpool(self._templates[template].render, **values)
        return HTMLResponse(page.encode(errors="replace"))  # see _Json


class _Json(JSONResponse):
    """JSON in ASCII: a relay's words may hold half a surrogate pair, which UTF-8 has no bytes for."""

    def render(self, content: Any) -> bytes:
        """Called by Starlette."""
        return _encoded(content).encode("ascii")


def _encoded(content: Any) -> str:
    return json.dumps(content, allow_nan=False, separators=(",", ":"))


def _listed(runs: Sequence[Kept]) -> Iterator[str]:
    """The runs one by one, each encoded in a thread when the one before is on its way.

    `json` holds the interpreter for as long as it encodes: all at once, hundreds of large runs would stop the loop for
    most of a second and take twice the memory that the monitor may have.
    """
    yield '{"runs":['
    for number, kept in enumerate(runs):
        yield ("," if number else "") + _encoded(kept.to_json())
    yield "]}"


async def _refused(request: Request, error: Exception) -> Response:
    """An error in the form of what was asked for: JSON from the API, else a line of text."""
    assert isinstance(error, HTTPException)
    if request.url.path.startswith("/api/"):
        return _Json({"error": error.detail}, error.status_code, headers=error.headers)
    return PlainTextResponse(f"{error.detail}\n", error.status_code, headers=error.headers)
