"""Timeouts, frame size and shutdown: when a relay closes a connection, and with which code."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from tests.conformance.driver import Client, channel
from tests.relay_settings import RelaySettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.relays import Relay

    Dial = Callable[[str], Awaitable[Client]]
    Join = Callable[[], Awaitable[Client]]
    StartRelay = Callable[[RelaySettings], Awaitable[Relay]]

# Whole seconds, because the connect reply has the interval in seconds.
SHORT_INTERVALS = RelaySettings(ping_interval=1.0, pong_timeout=0.9)


async def test_a_client_that_answers_pings_stays_connected(start_relay: StartRelay, dial: Dial) -> None:
    client = await dial((await start_relay(SHORT_INTERVALS)).url)
    assert (await client.hello())["ping"] == 1
    for _ in range(3):
        assert await client.next() == {}
        await client.send("{}")
    assert "subscribe" in await client.request("subscribe", channel=channel())


async def test_a_client_that_does_not_answer_a_ping_is_closed_with_3012(start_relay: StartRelay, dial: Dial) -> None:
    client = await dial((await start_relay(SHORT_INTERVALS)).url)
    await client.hello()
    assert await client.next() == {}
    pinged_at = asyncio.get_running_loop().time()
    assert await client.closed() == (3012, "no pong")
    assert 0.5 < asyncio.get_running_loop().time() - pinged_at < 3


async def test_a_second_pong_for_one_ping_closes_with_3501(start_relay: StartRelay, dial: Dial) -> None:
    client = await dial((await start_relay(SHORT_INTERVALS)).url)
    await client.hello()
    assert await client.next() == {}
    await client.send("{}")
    await client.send("{}")
    assert await client.closed() == (3501, "bad request")


async def test_a_client_without_a_connect_command_is_closed_with_3502(start_relay: StartRelay, dial: Dial) -> None:
    client = await dial((await start_relay(RelaySettings(stale_timeout=0.5))).url)
    assert await client.closed() == (3502, "stale")


def publication_of(size: int, name: str) -> str:
    """Return a publish command of exactly `size` bytes."""
    empty = json.dumps({"id": 2, "publish": {"channel": name, "data": ""}})
    return empty.replace('""', '"' + "a" * (size - len(empty)) + '"')


async def test_a_frame_of_64_kib_is_accepted(join: Join) -> None:
    client = await join()
    frame = publication_of(1 << 16, channel())
    assert len(frame) == 65536
    await client.send(frame)
    assert await client.next() == {"id": 2, "publish": {}}


async def test_a_frame_above_64_kib_is_closed_with_1009(join: Join) -> None:
    client = await join()
    await client.send(publication_of((1 << 16) + 1, channel()))
    assert (await client.closed())[0] == 1009


async def test_a_stopping_relay_closes_its_clients_with_3001(start_relay: StartRelay, dial: Dial) -> None:
    relay = await start_relay(RelaySettings())
    client = await dial(relay.url)
    await client.hello()
    closing = asyncio.ensure_future(client.closed())
    await relay.stop()
    assert await closing == (3001, "shutdown")
