from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from monitor.vocabulary import Condition
from monitor.web import WebServer, build_app, events, overview, server
from monitor.web.relay_list import Query
from tests.web.site import state
from tests.web.views import NOW, down_relay, forty, monitor, relay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from monitor.web.model import MonitorView


WAIT = 10.0
"""Seconds after which a test fails."""


class Status:
    """The changing view of a monitor."""

    def __init__(self, view: MonitorView) -> None:
        self.view = view

    async def __call__(self) -> MonitorView:
        return self.view


@pytest.fixture(autouse=True)
def checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "CHECK_INTERVAL", 0.01)
    monkeypatch.setattr(overview, "MAX_PAUSE", 0.0)
    monkeypatch.setattr(overview, "RENDERING_SHARE", 1e9)
    monkeypatch.setattr(overview, "FIGURES_PAUSE", 0.0)
    monkeypatch.setattr(overview, "PAUSE_PER_STREAM", 0.0)


@contextlib.asynccontextmanager
async def serving(status: Status) -> AsyncIterator[WebServer]:
    served = WebServer(build_app(state(status=status)), "127.0.0.1", 0)
    await served.start()
    try:
        yield served
    finally:
        await served.stop()


@contextlib.asynccontextmanager
async def stream(
    web: WebServer, query: str = "", headers: dict[str, str] | None = None
) -> AsyncIterator[AsyncIterator[tuple[str, str, Any]]]:
    """Open a stream; it yields the type, the id and the data of each event."""
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{web.port}") as client,
        client.stream("GET", f"/events{query}", headers=headers) as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")

        async def parsed() -> AsyncIterator[tuple[str, str, Any]]:
            fields: dict[str, str] = {}
            async for line in response.aiter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif "data" in fields:
                    yield fields.get("event", "message"), fields.get("id", ""), json.loads(fields["data"])
                    fields = {}

        yield parsed()


async def test_a_new_reader_gets_the_whole_page_and_then_what_changes() -> None:
    status = Status(forty())
    async with serving(status) as web, stream(web) as received:
        kind, version, everything = await anext(received)
        assert kind == "message"
        assert set(everything["fragments"]) == {
            "announcement", "banner", "meta", "notices", "incidents", "failures", "relays",
        }  # fmt: skip
        assert everything["title"] == "3 down · relay-monitor"
        assert everything["icon"].startswith("/static/critical.svg")
        relays = list(status.view.relays)
        relays[0] = replace(relays[0], why="tcp timeout")
        status.view = replace(status.view, relays=tuple(relays))
        _, next_version, change = await anext(received)
        assert list(change["fragments"]) == ["relay-relay-01"]
        assert "tcp timeout" in change["fragments"]["relay-relay-01"]
        assert next_version != version


async def test_a_relay_that_goes_down_changes_the_list() -> None:
    status = Status(forty(0))
    async with serving(status) as web, stream(web) as received:
        await anext(received)
        status.view = forty(1)
        _, _, change = await anext(received)
    assert "relays" in change["fragments"]
    assert change["title"] == "1 down · relay-monitor"


async def test_the_figures_of_a_healthy_relay_are_sent_after_a_while_and_its_state_at_once() -> None:
    status = Status(monitor(*(relay(f"relay-{number}") for number in range(5))))
    first = status.view.relays[0]
    async with serving(status) as web, stream(web) as received:
        await anext(received)
        status.view = replace(status.view, relays=(replace(first, success_ratio_1h=0.99), *status.view.relays[1:]))
        status.view = replace(status.view, relays=(replace(first, lost_1h=1), *status.view.relays[1:]))
        _, _, change = await anext(received)
        assert list(change["fragments"]) == ["relay-relay-0"]
        status.view = replace(status.view, now=NOW + timedelta(seconds=15))
        _, _, change = await anext(received)
        assert set(change["fragments"]) >= {f"relay-relay-{number}" for number in range(5)}


async def test_ages_alone_are_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "TICK_INTERVAL", 0.05)
    status = Status(monitor(relay("demo")))
    async with serving(status) as web, stream(web) as received:
        await anext(received)
        status.view = replace(status.view, now=NOW + timedelta(seconds=1))
        kind, _, now = await anext(received)
        while now == NOW.isoformat():
            kind, _, now = await anext(received)
    assert (kind, now) == ("tick", "2026-03-01T03:10:21+00:00")


@pytest.mark.parametrize("by_header", [True, False])
async def test_a_reader_that_knows_the_version_gets_the_change_only(by_header: bool) -> None:
    status = Status(monitor(down_relay("demo")))
    async with serving(status) as web:
        async with stream(web) as received:
            _, version, _ = await anext(received)
        status.view = monitor(replace(down_relay("demo"), why="tcp timeout"))
        query, headers = ("", {"Last-Event-ID": version}) if by_header else (f"?version={version}", None)
        async with stream(web, query, headers) as received:
            _, _, change = await anext(received)
        assert list(change["fragments"]) == ["relay-demo"]
        status.view = monitor(replace(down_relay("demo"), why="tcp reset"))
        async with stream(web) as received:
            await anext(received)
        async with stream(web, query, headers) as received:  # it missed a version
            _, _, change = await anext(received)
        assert "relays" in change["fragments"]


async def test_a_stream_has_the_filter_of_its_page() -> None:
    async with serving(Status(forty())) as web, stream(web, "?state=up&q=relay-1") as received:
        _, _, everything = await anext(received)
    listed = everything["fragments"]["relays"]
    assert 'id="relay-relay-10"' in listed
    assert 'id="relay-relay-01"' not in listed
    assert 'id="relay-relay-20"' not in listed


async def test_streams_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_STREAMS", 1)
    async with serving(Status(forty())) as web, httpx.AsyncClient(base_url=f"http://127.0.0.1:{web.port}") as client:
        async with stream(web) as received:
            await anext(received)
            refused = await client.get("/events")
            assert (refused.status_code, refused.text) == (503, "too many event streams\n")
        async with asyncio.timeout(WAIT):
            while (await client.head("/events")).status_code != 200:
                pass  # the server has not seen the first one close yet


async def test_a_stream_outlives_the_limit_of_a_response(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "RESPONSE_TIMEOUT", 0.05)
    monkeypatch.setattr(events, "TICK_INTERVAL", 0.02)
    async with serving(Status(monitor(relay("demo")))) as web, stream(web) as received:
        started = time.monotonic()
        while time.monotonic() - started < 0.3:
            await anext(received)


async def test_a_reader_that_does_not_read_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "RESPONSE_TIMEOUT", 0.2)
    status = Status(forty(12))
    async with serving(status) as web:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)  # noqa: FBT003 - positional only
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, ("127.0.0.1", web.port))
        await loop.sock_sendall(connection, b"GET /events HTTP/1.1\r\nHost: monitor\r\n\r\n")
        connections = web._server.server_state.connections
        async with asyncio.timeout(20):
            while not connections:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.01)
            number = 0
            while connections:
                number += 1  # every view has other relays, so that the whole list is sent
                status.view = monitor(*(down_relay(f"relay-{number}-{each}") for each in range(12)))
                await asyncio.sleep(0.01)
        connection.close()


async def test_streams_close_at_once_when_the_server_stops() -> None:
    served = WebServer(build_app(state(status=Status(forty()))), "127.0.0.1", 0)
    await served.start()
    async with stream(served) as received:
        await anext(received)
        started = time.monotonic()
        await served.stop(timeout=5)
        assert time.monotonic() - started < 2
        with contextlib.suppress(httpx.RemoteProtocolError, httpx.ReadError):
            async for _ in received:
                pass  # what was sent before the stop


async def test_only_the_latest_queries_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "MAX_QUERIES", 2)
    pages = overview.Overview(state(status=Status(forty())))
    queries = [Query(text=f"relay-0{number}") for number in range(1, 4)]
    versions = [(await pages.current(query)).version for query in queries]
    assert [(await pages.current(query)).version for query in queries[1:]] == versions[1:]
    assert (await pages.current(queries[0])).version not in versions


async def test_the_pages_of_all_streams_are_remembered() -> None:
    """One that is not would be rendered each time that its stream looks for changes."""
    pages = overview.Overview(state(status=Status(forty())))
    queries = [Query(relay=f"relay-{number}") for number in range(events.MAX_STREAMS)]
    versions = [(await pages.current(query)).version for query in queries]
    assert [(await pages.current(query)).version for query in queries] == versions


async def test_remembered_pages_have_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = overview.Overview(state(status=Status(forty())))
    size = (await pages.current(Query())).page.characters
    assert size > 10_000
    monkeypatch.setattr(overview, "MAX_CHARACTERS", 2 * size)
    for number in range(5):
        await pages.current(Query(text="relay"[:number]))
    assert len(pages._snapshots) == 2


async def test_all_readers_of_one_view_share_its_rendering() -> None:
    status = Status(monitor(relay("demo", condition=Condition.UP)))
    pages = overview.Overview(state(status=status))
    first, second = await asyncio.gather(pages.current(Query()), pages.current(Query()))
    assert first is second
