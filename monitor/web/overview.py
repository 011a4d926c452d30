"""The page `/`: all relays, for a person on call."""

from __future__ import annotations

import asyncio
import gzip
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse

from monitor.web.connection_limits import ClientCounts
from monitor.web.fragments import render
from monitor.web.relay_list import Query
from monitor.web.scrape import GZIP_LEVEL, accepts_gzip

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from monitor.web.fragments import Page
    from monitor.web.model import MonitorView
    from monitor.web.state import WebState

MAX_QUERIES: Final = 128
"""Largest number of queries whose latest page is kept; all readers of one query share it.

There are fewer streams: each of their queries would be rendered again twice a second if its page was not kept.
"""

MAX_CHARACTERS: Final = 6_000_000
"""Largest size of these pages in all: about a dozen of 200 relays, and each query's that finds a few."""

RENDERING_SHARE: Final = 0.1
"""Largest share of the time that is spent on rendering one query."""

MAX_PAUSE: Final = 2.0
"""Largest number of seconds between two renderings of one query that is read, if a state has changed."""

FIGURES_PAUSE: Final = 1.0
"""Seconds between two renderings of one query while no state changes; a figure is then at most two seconds old."""

PAUSE_PER_STREAM: Final = 0.06
MAX_FIGURES_PAUSE: Final = 3.0
"""The pause for figures grows with the streams, to each of which they are sent: with 50 of them it is three seconds."""


def states(view: MonitorView) -> tuple[object, ...]:
    """Return what is shown at once: the banner's level, the monitor's health, conditions, maintenance, incidents."""
    relays = tuple((relay.name, relay.condition, relay.maintenance, relay.incident) for relay in view.relays)
    return view.banner.level, view.healthy, view.reasons, view.journal_healthy, relays


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The page of one query. A new version has changed fragments; `delta` holds them, as data of an event.

    previous: the version to which `delta` applies. not_before: the loop's time of the next rendering;
    figures_not_before: the same while only figures change.
    """

    page: Page
    view: MonitorView
    version: str
    previous: str
    delta: str
    not_before: float
    figures_not_before: float
    prepared: dict[str, bytes | str] = field(default_factory=dict)  # what all who ask for this snapshot share

    def is_outdated(self, view: MonitorView, now: float) -> bool:
        """Return whether the page is to be rendered again, of `view`, at the loop's time `now`."""
        if view is self.view or now < self.not_before:
            return False
        return now >= self.figures_not_before or states(view) != states(self.view)


def figures_pause(streams: int) -> float:
    """Return how many seconds figures are not rendered again for, with so many open streams."""
    return max(FIGURES_PAUSE, min(MAX_FIGURES_PAUSE, PAUSE_PER_STREAM * streams))


class Overview:
    """The page, rendered once for all who read it at the same time."""

    def __init__(self, state: WebState) -> None:
        self._state = state
        self._snapshots: OrderedDict[Query, Snapshot] = OrderedDict()
        self._lock = asyncio.Lock()
        self._versions = 0
        self.streams = ClientCounts()  # that are open
        self._process = secrets.token_hex(4)  # versions of another process are others

    async def page(self, request: Request) -> Response:
        """Serve the on-call page."""
        query = Query.from_parameters(request.query_params)
        snapshot = await self.current(query)
        compressed = accepts_gzip(request.headers.get("accept-encoding", ""))
        kind = "gzip" if compressed else "html"
        document = await self._prepared(snapshot, kind, partial(_document, snapshot, query, compressed))
        headers = {"Vary": "Accept-Encoding"} | ({"Content-Encoding": "gzip"} if compressed else {})
        return HTMLResponse(document, headers=headers)

    async def everything(self, snapshot: Snapshot) -> str:
        """Return all fragments, as data of an event: for a client that missed a version."""
        return str(await self._prepared(snapshot, "event", lambda: snapshot.page.message(snapshot.page.event(None))))

    async def _prepared(self, snapshot: Snapshot, kind: str, work: Callable[[], bytes | str]) -> bytes | str:
        """Return what `work` prepares, once for all who wait: many threads at once would delay the probes."""
        if kind not in snapshot.prepared:
            async with self._lock:
                if kind not in snapshot.prepared:
                    snapshot.prepared[kind] = await run_in_threadpool(work)
        return snapshot.prepared[kind]

    async def current(self, query: Query) -> Snapshot:
        """Return the present page of a query."""
        loop = asyncio.get_running_loop()
        async with self._lock:  # one rendering at a time
            view = await self._state.status()
            latest = self._snapshots.get(query)
            if latest is None or latest.is_outdated(view, loop.time()):
                latest = await self._render(query, view, latest)
            self._snapshots.move_to_end(query)
            return latest

    async def _render(self, query: Query, view: MonitorView, latest: Snapshot | None) -> Snapshot:
        loop = asyncio.get_running_loop()
        started = loop.time()
        page = await run_in_threadpool(render, view, query)
        version = previous = delta = ""
        if latest is not None:
            version, previous, delta = latest.version, latest.previous, latest.delta
            changes = await run_in_threadpool(_changes, page, latest.page)
            if changes:
                previous, delta = version, changes
                version = self._next_version()
        else:
            version = self._next_version()
        now = loop.time()
        pause = (now - started) / RENDERING_SHARE
        snapshot = Snapshot(
            page,
            view,
            version,
            previous,
            delta,
            not_before=now + min(MAX_PAUSE, pause),
            figures_not_before=now + max(figures_pause(self.streams.total), pause),
        )
        self._snapshots[query] = snapshot
        self._snapshots.move_to_end(query)
        while len(self._snapshots) > 1 and self._is_full():
            self._snapshots.popitem(last=False)
        return snapshot

    def _is_full(self) -> bool:
        kept = self._snapshots.values()
        return len(kept) > MAX_QUERIES or sum(snapshot.page.characters for snapshot in kept) > MAX_CHARACTERS

    def _next_version(self) -> str:
        self._versions += 1
        return f"{self._process}-{self._versions}"


def _document(snapshot: Snapshot, query: Query, compressed: bool) -> bytes:  # noqa: FBT001 - called by position
    html = snapshot.page.html(query, snapshot.view, snapshot.version)
    content = html.encode(errors="replace")  # a relay's texts may contain lone surrogates
    return gzip.compress(content, GZIP_LEVEL, mtime=0) if compressed else content


def _changes(page: Page, latest: Page) -> str:
    """Return the data of an event with what has changed since `latest`; empty if nothing has."""
    changed = page.event(latest)
    return page.message(changed) if changed else ""
