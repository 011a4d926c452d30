"""Raw connections for the tests beside this file."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from websockets.asyncio.client import connect

from tests.conformance.driver import DEADLINE, Client
from tests.relays import KINDS
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


@pytest.fixture(params=[pytest.param("embedded", marks=WITH_SOCKETS), *KINDS[1:]])
def relay_kind(request: pytest.FixtureRequest) -> str:
    """Each kind of relay, the embedded one in virtual time."""
    return str(request.param)


@pytest.fixture
async def dial() -> AsyncIterator[Callable[[str], Awaitable[Client]]]:
    """Open a connection to an address and say nothing on it; it is closed after the test."""
    async with AsyncExitStack() as opened:

        async def dial(url: str) -> Client:
            socket = connect(
                url,
                compression=None,
                max_size=None,
                ping_interval=None,
                open_timeout=DEADLINE,
                close_timeout=1,
                proxy=None,
            )
            return Client(await opened.enter_async_context(socket))

        yield dial


@pytest.fixture
def join(relay_url: str, dial: Callable[[str], Awaitable[Client]]) -> Callable[[], Awaitable[Client]]:
    """Open a connection to the relay and say hello on it."""

    async def join() -> Client:
        client = await dial(relay_url)
        await client.hello()
        return client

    return join
