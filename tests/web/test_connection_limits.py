"""Limits of one client: connections over real sockets, handshakes, event streams."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from monitor.web import WebAuth, WebServer, acceptor, build_app, connection_limits, events, read_security
from monitor.web.connection_limits import ClientCounts, excess, origin_of
from tests.web.site import state

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from starlette.requests import Request

ONE, TWO = "127.0.0.1", "127.0.0.2"

WAIT = 10.0
"""Seconds after which a test fails."""


@dataclass(frozen=True, slots=True)
class Client:
    """A connection. Of two idle ones of an address the one with the smaller `active_at` gives way."""

    origin: str
    active_at: float = 0.0
    is_idle: bool = True


class TestExcess:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connection_limits, "MAX_CONNECTIONS", 4)
        monkeypatch.setattr(connection_limits, "MAX_PER_ADDRESS", 3)

    def test_there_is_room(self) -> None:
        assert excess(Client("a"), [Client("a"), Client("a"), Client("b")]) is None

    def test_the_oldest_idle_connection_of_the_address_gives_way(self) -> None:
        busy, newer, oldest = Client("a", 1.0, is_idle=False), Client("a", 3.0), Client("a", 2.0)
        assert excess(Client("a", 4.0), [Client("b", 0.0), busy, newer, oldest]) is oldest

    def test_a_new_one_is_rejected_where_no_other_of_the_address_is_idle(self) -> None:
        busy, new = [Client("a", is_idle=False)] * 3, Client("a")
        assert excess(new, busy) is new
        assert excess(new, [*busy, Client("b")]) is new
        assert excess(Client("b"), busy) is None

    def test_where_all_are_open_one_of_the_address_with_most_gives_way(self) -> None:
        oldest, other, of_most = Client("a", 1.0), Client("b", 3.0), Client("b", 2.0)
        assert excess(Client("c", 4.0), [oldest, other, of_most, Client("d", 0.0, is_idle=False)]) is of_most

    def test_where_none_is_idle_the_new_one_is_rejected(self) -> None:
        new = Client("c")
        assert excess(new, [Client(each, is_idle=False) for each in "aabb"]) is new


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_an_ipv6_network_counts_as_one_address(host: str, origin: str) -> None:
    assert origin_of(host) == origin


def test_what_clients_have_open_is_counted_by_address_and_together() -> None:
    counts = ClientCounts()
    with counts.counted("a"):
        assert (counts.is_full("a", 9, 1), counts.is_full("b", 9, 1)) == (True, False)
        with counts.counted("b"):
            assert counts.is_full("c", 2, 9)
            assert not counts.is_full("c", 3, 9)
    assert counts.total == 0
    assert not counts._counts  # an address without any leaves no entry


class Site:
    """A server on all of 127.0.0.0/8, so that a client may have several addresses. `/busy` answers on demand."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.entered = asyncio.Semaphore(0)
        self.server = WebServer(
            Starlette(routes=[Route("/", self._respond), Route("/busy", self._wait)]),
            "0.0.0.0",
            0,
        )

    async def open(self, address: str, path: str | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect from an address, and send a request for a path if it is given."""
        connection = await asyncio.open_connection(ONE, self.server.port, local_addr=(address, 0))
        if path is not None:
            connection[1].write(f"GET {path} HTTP/1.1\r\nHost: monitor\r\n\r\n".encode())
        return connection

    async def is_answered(self, address: str) -> bool:
        """Return whether a new client at an address gets an answer, on a connection that is closed then."""
        reader, writer = await self.open(address, "/")
        try:
            async with asyncio.timeout(WAIT):
                return b"200 OK" in await reader.readuntil(b"answer")
        except (asyncio.IncompleteReadError, ConnectionError):
            return False
        finally:
            writer.close()

    async def _respond(self, _: Request) -> PlainTextResponse:
        return PlainTextResponse("answer")

    async def _wait(self, _: Request) -> PlainTextResponse:
        self.entered.release()
        await self.release.wait()
        return PlainTextResponse("answer")


@pytest.fixture
async def site(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """A server for eight connections, six of which one address may have."""
    monkeypatch.setattr(connection_limits, "MAX_CONNECTIONS", 8)
    monkeypatch.setattr(connection_limits, "MAX_PER_ADDRESS", 6)
    served = Site()
    await served.server.start()
    yield served
    served.release.set()
    await served.server.stop()


@asynccontextmanager
async def open_connections(site: Site, number: int, address: str, path: str | None = None) -> AsyncIterator[None]:
    """Hold some connections open, all with a request for `path` if it is given."""
    opened = [await site.open(address, path) for _ in range(number)]
    if path == "/busy":
        async with asyncio.timeout(WAIT):
            for _ in opened:
                await site.entered.acquire()
    try:
        yield
    finally:
        for _, writer in opened:
            writer.close()


class TestOverSockets:
    async def test_a_client_that_holds_idle_connections_keeps_nobody_out(self, site: Site) -> None:
        async with open_connections(site, 20, ONE):
            assert await site.is_answered(ONE)
            assert await site.is_answered(TWO)

    async def test_nor_does_one_whose_requests_have_been_answered(self, site: Site) -> None:
        async with open_connections(site, 20, ONE, "/"):
            assert await site.is_answered(ONE)
            assert await site.is_answered(TWO)

    async def test_a_client_with_many_requests_keeps_no_other_out(self, site: Site) -> None:
        async with open_connections(site, 6, ONE, "/busy"):
            assert not await site.is_answered(ONE)
            assert await site.is_answered(TWO)

    async def test_a_request_that_is_being_answered_is_never_cut(self, site: Site) -> None:
        reader, writer = await site.open(TWO, "/busy")
        await site.entered.acquire()
        async with open_connections(site, 5, ONE, "/busy"), open_connections(site, 20, TWO):
            site.release.set()
            assert b"200 OK" in await reader.readuntil(b"answer")
        writer.close()

    async def test_all_connections_together_have_a_limit(self, site: Site) -> None:
        async with open_connections(site, 4, ONE, "/busy"), open_connections(site, 4, TWO, "/busy"):
            assert not await site.is_answered("127.0.0.3")
        site.release.set()
        async with asyncio.timeout(WAIT):
            while not await site.is_answered("127.0.0.3"):
                pass  # the server has not seen the others close yet


async def test_handshakes_of_one_address_have_a_limit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "MAX_HANDSHAKES_PER_ADDRESS", 2)
    (folder / "web.yml").write_text("tls_server_config: {cert_file: server.pem, key_file: server.key}\n")
    auth = WebAuth(read_security(folder / "web.yml"))
    served = WebServer(build_app(state(), auth), "0.0.0.0", 0, auth)
    await served.start()
    assert served._acceptor is not None
    silent = [await asyncio.open_connection(ONE, served.port) for _ in range(3)]
    async with asyncio.timeout(WAIT):
        assert await silent[2][0].read() == b""  # the first two may go on
        with socket.create_connection((ONE, served.port), source_address=(TWO, 0)):
            while len(served._acceptor._handshakes) < 3:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.01)
    for _, writer in silent:
        writer.close()
    await served.stop()


async def test_streams_of_one_address_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_STREAMS_PER_ADDRESS", 1)
    served = WebServer(build_app(state()), "0.0.0.0", 0)
    await served.start()
    base = f"http://{ONE}:{served.port}"
    transports = [httpx.AsyncHTTPTransport(local_address=address) for address in (ONE, TWO)]
    async with (
        httpx.AsyncClient(transport=transports[0], base_url=base) as one,
        httpx.AsyncClient(transport=transports[1], base_url=base) as two,
    ):
        async with one.stream("GET", "/events") as open_stream:
            assert open_stream.status_code == 200
            assert (await one.get("/events")).status_code == 503
            assert (await two.head("/events")).status_code == 200
        async with asyncio.timeout(WAIT):
            while (await one.head("/events")).status_code != 200:
                pass  # the server has not seen the first one close yet
    await served.stop()
