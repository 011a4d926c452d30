"""Reachable, refusing and unresponsive references: real sockets on loopback, directly and through real proxies."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from monitor.clock import SYSTEM_CLOCK
from monitor.health import references
from monitor.health.references import References
from monitor.relay.proxy import Proxy
from tests.relay.harness import serving
from tests.relay.test_proxy import TunnelProxy
from tests.relay.test_socks import microsocks, needs_microsocks
from tests.sockets import closed_port, unanswering

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import pytest


@contextmanager
def listening(port: int = 0) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", port)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@asynccontextmanager
async def answering_once(*addresses: str) -> AsyncIterator[References]:
    """References that have answered, and no longer do."""
    asked = References(addresses, SYSTEM_CLOCK)
    with contextmanager(_all_listening)(addresses):
        assert await asked.unreachable() is None
        assert asked.up
    yield asked


def _all_listening(addresses: tuple[str, ...]) -> Iterator[None]:
    servers = [socket.create_server(("127.0.0.1", int(address.rpartition(":")[2]))) for address in addresses]
    yield
    for server in servers:
        server.close()


async def test_one_reachable_reference_is_enough() -> None:
    with listening() as reachable:
        asked = References([f"127.0.0.1:{closed_port()}", reachable], SYSTEM_CLOCK)
        assert await asked.unreachable() is None
        assert asked.up


async def test_if_none_is_reachable_each_failure_is_reported() -> None:
    one, other = f"127.0.0.1:{closed_port()}", f"127.0.0.1:{closed_port()}"
    async with answering_once(one, other) as asked:
        why = await asked.unreachable()
    assert why is not None
    assert why.startswith("no reference reachable: ")
    assert sorted(why.removeprefix("no reference reachable: ").split(", ")) == sorted(
        [f"{one}: Connection refused", f"{other}: Connection refused"]
    )
    assert asked.up is False


async def test_a_reference_that_never_answered_proves_nothing() -> None:
    """Before, a real outage was frozen away for as long as it lasted."""
    asked = References([f"127.0.0.1:{closed_port()}", "no-such-host.invalid:443"], SYSTEM_CLOCK)
    assert await asked.unreachable() is None
    assert asked.up is False
    assert len(await asked.unproven()) == 2


async def test_a_reference_that_answers_only_now_and_then_counts_from_its_first_answer() -> None:
    port = closed_port()
    asked = References([f"127.0.0.1:{port}"], SYSTEM_CLOCK)
    assert await asked.unreachable() is None
    with listening(port):
        assert await asked.unreachable() is None
    assert await asked.unreachable() == f"no reference reachable: 127.0.0.1:{port}: Connection refused"
    asked.disregard()
    assert await asked.unreachable() is None


async def test_an_unresponsive_reference_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "TIMEOUT", 0.2)
    with unanswering() as address:
        async with asyncio.timeout(5):
            assert await References([address], SYSTEM_CLOCK).unproven() == [f"{address}: no answer within 0.2 s"]


async def test_without_references_nothing_is_reported() -> None:
    asked = References([], SYSTEM_CLOCK)
    assert await asked.unreachable() is None
    assert asked.up is None


class TestThroughAProxy:
    async def test_references_are_asked_through_the_relays_proxy(self) -> None:
        proxy = TunnelProxy()
        with listening() as reachable:
            async with serving(proxy) as port:
                asked = References([reachable], SYSTEM_CLOCK)
                assert await asked.unreachable({Proxy("127.0.0.1", port)}) is None
        assert [request.split(" ")[1] for request in proxy.requests] == [reachable]

    async def test_an_answer_on_another_way_proves_nothing(self) -> None:
        """Behind a firewall only the proxy reaches a reference: asked directly it is always silent."""
        port = closed_port()
        way = {Proxy("127.0.0.1", port)}
        with listening() as reachable:
            asked = References([reachable], SYSTEM_CLOCK)
            assert await asked.unreachable() is None
            assert await asked.unreachable(way) is None, "it never answered through the proxy"
            (why,) = await asked.unproven(way)
        assert why == f"{reachable} through proxy 127.0.0.1:{port}: proxy 127.0.0.1:{port}: Connection refused"

    @needs_microsocks
    async def test_a_real_socks_proxy_that_reaches_nothing_any_more(self) -> None:
        port = closed_port()
        async with microsocks() as proxy_port:
            way = {Proxy("127.0.0.1", proxy_port, scheme="socks5h")}
            asked = References([f"127.0.0.1:{port}"], SYSTEM_CLOCK)
            with listening(port):
                assert await asked.unreachable(way) is None
            why = await asked.unreachable(way)
        assert why is not None
        assert f"127.0.0.1:{port} through proxy 127.0.0.1:{proxy_port}: the proxy answered: " in why

    async def test_with_several_ways_one_that_answers_is_enough(self) -> None:
        ways = {None, Proxy("127.0.0.1", closed_port())}
        with listening() as reachable:
            asked = References([reachable], SYSTEM_CLOCK)
            assert await asked.unreachable(ways) is None
            assert asked.up


async def test_a_hanging_look_up_is_not_started_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "TIMEOUT", 0.05)
    looked_up: list[str] = []
    release = asyncio.Event()

    async def hang(host: str, port: int, _family: object) -> list[object]:
        assert port == 443
        looked_up.append(host)
        await release.wait()
        return []

    monkeypatch.setattr(references, "look_up", hang)
    asked = References(["one.example:443", "two.example:443"], SYSTEM_CLOCK)
    for _ in range(3):
        assert await asked.unreachable() is None
    assert sorted(looked_up) == ["one.example", "two.example"]
    release.set()
    await asyncio.sleep(0.01)
    assert "one.example:443: no address" in await asked.unproven()
    assert len(looked_up) > 2


async def test_no_task_is_left() -> None:
    before = asyncio.all_tasks()
    with listening() as reachable, unanswering() as unresponsive:
        await References([reachable, unresponsive], SYSTEM_CLOCK).unreachable()
    await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == before
