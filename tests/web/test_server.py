from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from monitor.errors import StartupError
from monitor.web import WebServer, build_app, server
from tests.web.site import state

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request


@pytest.fixture
async def web() -> AsyncIterator[WebServer]:
    served = WebServer(build_app(state()), "127.0.0.1", 0)
    await served.start()
    yield served
    await served.stop()


async def test_all_routes_are_served_over_a_socket(web: WebServer) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{web.port}") as client:
        for path in ("/", "/metrics", "/-/healthy", "/-/ready", "/api/v1/status", "/api/v1/runs", "/static/style.css"):
            response = await client.get(path)
            assert response.status_code == 200, path
            assert "server" not in response.headers
            assert response.headers["x-content-type-options"] == "nosniff"


async def test_a_port_in_use_is_a_startup_error(web: WebServer) -> None:
    with pytest.raises(StartupError) as caught:
        await WebServer(build_app(state()), "127.0.0.1", web.port).start()
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{web.port}: port in use; stop the other process, or change server.listen"
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
async def test_an_unavailable_address_is_a_startup_error(host: str) -> None:
    with pytest.raises(StartupError, match=rf"^cannot listen on {host}:0: [^\n]+ \(see server.listen\)$"):
        await WebServer(build_app(state()), host, 0).start()


async def test_signal_handlers_are_unchanged() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    served = WebServer(build_app(state()), "127.0.0.1", 0)
    await served.start()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    await served.stop()


async def test_the_switch_interval_is_shorter_while_it_serves() -> None:
    before = sys.getswitchinterval()
    served = WebServer(build_app(state()), "127.0.0.1", 0)
    await served.start()
    assert sys.getswitchinterval() <= 0.001
    await served.stop()
    assert sys.getswitchinterval() == before


async def test_few_responses_are_rendered_at_a_time(web: WebServer) -> None:
    """Each thread delays the probes."""
    entered, release = threading.Semaphore(0), threading.Event()

    def render() -> None:
        entered.release()
        release.wait(10)

    renderings = [asyncio.ensure_future(run_in_threadpool(render)) for _ in range(server.RENDERING_THREADS + 5)]
    for _ in range(server.RENDERING_THREADS):
        assert await asyncio.to_thread(entered.acquire, timeout=10)
    assert not await asyncio.to_thread(entered.acquire, timeout=0.05)
    release.set()
    await asyncio.gather(*renderings)


async def test_running_requests_end_with_the_stop() -> None:
    entered = asyncio.Event()

    async def hang(_: Request) -> PlainTextResponse:
        entered.set()
        await asyncio.Event().wait()
        return PlainTextResponse("never")

    served = WebServer(Starlette(routes=[Route("/", hang)]), "127.0.0.1", 0)
    await served.start()
    async with httpx.AsyncClient() as client:
        request = asyncio.create_task(client.get(f"http://127.0.0.1:{served.port}/"))
        await entered.wait()
        async with asyncio.timeout(5):
            await served.stop(0.1)
        with pytest.raises(httpx.HTTPError):
            (await request).raise_for_status()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", served.port)


async def test_stop_can_be_called_twice_or_before_start(web: WebServer) -> None:
    await WebServer(build_app(state()), "127.0.0.1", 0).stop()
    await web.stop()
    await web.stop()


async def test_a_client_without_a_request_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_TIMEOUT", 0.05)
    served = WebServer(build_app(state()), "127.0.0.1", 0)
    await served.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()
    await served.stop()


async def test_a_connection_can_be_reused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_TIMEOUT", 0.05)
    served = WebServer(build_app(state()), "127.0.0.1", 0)
    await served.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    for _ in range(2):
        writer.write(b"GET /-/healthy HTTP/1.1\r\nHost: monitor\r\n\r\n")
        assert b"200 OK" in await reader.readuntil(b"is healthy\n")
        await asyncio.sleep(0.1)
    writer.close()
    await served.stop()


@pytest.mark.alone
async def test_a_client_with_an_incomplete_request_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_TIMEOUT", 0.05)
    served = WebServer(build_app(state()), "127.0.0.1", 0)
    await served.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"GET /-/healthy HTTP/1.1\r\nHost: monitor\r\n\r\n")
    assert b"200 OK" in await reader.readuntil(b"is healthy\n")
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionError):
            for byte in b"POST /-/reload HTTP/1.1\r\nHost: monitor\r\nContent-Length: 9\r\n\r\n" + b"x" * 1000:
                if reader.at_eof() or writer.transport.is_closing():  # uvloop raises RuntimeError for a later write
                    break
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.005)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    writer.close()
    await served.stop()


@pytest.mark.alone
async def test_a_client_that_does_not_read_its_response_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A graceful close would wait for the client."""
    monkeypatch.setattr(server, "RESPONSE_TIMEOUT", 0.2)

    async def large(_: Request) -> PlainTextResponse:
        return PlainTextResponse("x" * 50_000_000)

    served = WebServer(Starlette(routes=[Route("/", large)]), "127.0.0.1", 0)
    await served.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1)
    writer.write(b"GET / HTTP/1.1\r\nHost: monitor\r\n\r\n")
    async with asyncio.timeout(5):
        assert await reader.read(1)
        while served._server.server_state.connections:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        received = 1
        with contextlib.suppress(ConnectionError):
            while part := await reader.read(1 << 20):
                received += len(part)
        assert received < 50_000_000
    writer.close()
    await served.stop()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
async def test_it_can_listen_on_ipv6() -> None:
    served = WebServer(build_app(state()), "::1", 0)
    await served.start()
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://[::1]:{served.port}/-/healthy")).status_code == 200
    await served.stop()
