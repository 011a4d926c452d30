"""`embedded.server`: sockets, close codes, slow clients and stopping."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from monitor.clock import LoopClock
from monitor.embedded import EmbeddedRelay
from monitor.errors import StartupError
from tests.probes.harness import embedded
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = WITH_SOCKETS

CHANNEL = "session:0f8fad5b-d9cb-469f-a165-70867728950e"
HELLO = '{"id":1,"connect":{}}'


@pytest.fixture
async def relay() -> AsyncIterator[EmbeddedRelay]:
    async with embedded() as relay:
        yield relay


async def connected(url: str) -> ClientConnection:
    client = await connect(url, compression=None, max_size=None)
    await client.send(HELLO)
    assert "connect" in json.loads(await client.recv())
    return client


async def all_disconnected(relay: EmbeddedRelay) -> None:
    """Wait until no client is connected; raise TimeoutError after 10 seconds."""
    async with asyncio.timeout(10):
        while relay.connections:  # noqa: ASYNC110 - the relay has no event to wait for
            await asyncio.sleep(0.01)


async def connect_without_reading(relay: EmbeddedRelay) -> ClientConnection:
    """Return a subscriber that has stopped reading, with more data pending than the socket buffers hold."""
    not_reading, publisher = await connected(relay.url), await connected(relay.url)
    await not_reading.send(f'{{"id":2,"subscribe":{{"channel":"{CHANNEL}"}}}}')
    await not_reading.recv()
    not_reading.transport.pause_reading()
    for number in range(300):  # 18 MB: more than the socket buffers of loopback hold by default on Linux
        await publisher.send(f'{{"id":{number + 2},"publish":{{"channel":"{CHANNEL}","data":"{"x" * 60_000}"}}}}')
        await publisher.recv()
    await publisher.close()
    return not_reading


async def test_a_client_that_stops_reading_is_disconnected(relay: EmbeddedRelay) -> None:
    not_reading = await connect_without_reading(relay)
    try:
        await all_disconnected(relay)
    finally:
        not_reading.transport.abort()
        await not_reading.wait_closed()


async def test_a_client_that_stops_reading_does_not_block_stop() -> None:
    relay = EmbeddedRelay(clock=LoopClock())
    await relay.start()
    not_reading = await connect_without_reading(relay)
    try:
        async with asyncio.timeout(10):
            await relay.stop()
        with pytest.raises(OSError, match=r"\S"):
            await connect(relay.url)
    finally:
        not_reading.transport.abort()
        await not_reading.wait_closed()


async def test_stop_closes_every_client_with_3001() -> None:
    relay = EmbeddedRelay(clock=LoopClock())
    await relay.start()
    client = await connected(relay.url)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(relay.stop())
        with pytest.raises(ConnectionClosed):
            await client.recv()
    assert (client.close_code, client.close_reason) == (3001, "shutdown")
    assert relay.connections == 0


async def test_disconnect_all_closes_every_client_with_the_given_code(relay: EmbeddedRelay) -> None:
    client = await connected(relay.url)
    relay.disconnect_all(3011, "force reconnect")
    with pytest.raises(ConnectionClosed):
        await client.recv()
    assert (client.close_code, client.close_reason) == (3011, "force reconnect")
    await all_disconnected(relay)


async def test_a_malformed_token_is_a_bad_request(relay: EmbeddedRelay) -> None:
    async with connect(relay.url, compression=None) as client:
        await client.send('{"id":1,"connect":{"token":5}}')
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 3501


async def test_other_paths_are_not_found(relay: EmbeddedRelay) -> None:
    with pytest.raises(InvalidStatus) as raised:
        await connect(relay.url + "/elsewhere")
    assert raised.value.response.status_code == 404


async def test_an_address_in_use_raises_startup_error(relay: EmbeddedRelay) -> None:
    port = int(relay.url.split(":")[2].partition("/")[0])
    with pytest.raises(StartupError, match=rf"cannot listen on 127\.0\.0\.1:{port}"):
        await EmbeddedRelay(port=port).start()


async def test_an_aborted_connection_is_removed(relay: EmbeddedRelay) -> None:
    client = await connected(relay.url)
    client.transport.abort()
    await all_disconnected(relay)
