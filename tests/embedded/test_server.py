"""The embedded relay at its socket: what no amount of JSON shows."""

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


async def greeted(url: str) -> ClientConnection:
    client = await connect(url, compression=None, max_size=None)
    await client.send(HELLO)
    assert "connect" in json.loads(await client.recv())
    return client


async def emptied(relay: EmbeddedRelay) -> None:
    """Wait until nobody is connected any more; fails after 10 seconds."""
    async with asyncio.timeout(10):
        while relay.connections:  # noqa: ASYNC110 - what it waits for announces itself nowhere
            await asyncio.sleep(0.01)


async def deafen(relay: EmbeddedRelay) -> ClientConnection:
    """A subscriber that stops reading, with more on its way to it than any buffer holds."""
    deaf, busy = await greeted(relay.url), await greeted(relay.url)
    await deaf.send(f'{{"id":2,"subscribe":{{"channel":"{CHANNEL}"}}}}')
    await deaf.recv()
    deaf.transport.pause_reading()
    for number in range(300):  # 18 MB, past what Linux lets a loopback socket hold by default
        await busy.send(f'{{"id":{number + 2},"publish":{{"channel":"{CHANNEL}","data":"{"x" * 60_000}"}}}}')
        await busy.recv()
    await busy.close()
    return deaf


async def test_a_client_that_stops_reading_is_let_go(relay: EmbeddedRelay) -> None:
    deaf = await deafen(relay)
    try:
        await emptied(relay)
    finally:
        deaf.transport.abort()
        await deaf.wait_closed()


async def test_a_client_that_stops_reading_does_not_keep_the_relay_from_stopping() -> None:
    relay = EmbeddedRelay(clock=LoopClock())
    await relay.start()
    deaf = await deafen(relay)
    try:
        async with asyncio.timeout(10):
            await relay.stop()
        with pytest.raises(OSError, match=r"\S"):
            await connect(relay.url)
    finally:
        deaf.transport.abort()
        await deaf.wait_closed()


async def test_stopping_tells_every_client_to_come_back() -> None:
    relay = EmbeddedRelay(clock=LoopClock())
    await relay.start()
    client = await greeted(relay.url)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(relay.stop())
        with pytest.raises(ConnectionClosed):
            await client.recv()
    assert (client.close_code, client.close_reason) == (3001, "shutdown")
    assert relay.connections == 0


async def test_every_client_can_be_dropped_with_a_code_of_choice(relay: EmbeddedRelay) -> None:
    client = await greeted(relay.url)
    relay.disconnect_all(3011, "force reconnect")
    with pytest.raises(ConnectionClosed):
        await client.recv()
    assert (client.close_code, client.close_reason) == (3011, "force reconnect")
    await emptied(relay)


async def test_a_malformed_token_is_the_clients_mistake(relay: EmbeddedRelay) -> None:
    async with connect(relay.url, compression=None) as client:
        await client.send('{"id":1,"connect":{"token":5}}')
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 3501


async def test_there_is_nothing_at_any_other_path(relay: EmbeddedRelay) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(relay.url + "/elsewhere")
    assert refused.value.response.status_code == 404


async def test_an_address_in_use_is_a_clear_error(relay: EmbeddedRelay) -> None:
    port = int(relay.url.split(":")[2].partition("/")[0])
    with pytest.raises(StartupError, match=rf"cannot listen on 127\.0\.0\.1:{port}"):
        await EmbeddedRelay(port=port).start()


async def test_a_client_that_vanishes_leaves_nothing_behind(relay: EmbeddedRelay) -> None:
    client = await greeted(relay.url)
    client.transport.abort()
    await emptied(relay)
