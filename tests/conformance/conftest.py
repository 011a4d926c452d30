"""Raw connections to relays."""

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
    """Parametrize a test over the kinds of relays, the embedded one in virtual time."""
    return str(request.param)


@pytest.fixture
async def dial() -> AsyncIterator[Callable[[str], Awaitable[Client]]]:
    """Yield a function that opens a connection to a URL and sends nothing; it is closed after the test."""
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
    """Return a function that opens a connection to the relay and sends the connect command."""

    async def join() -> Client:
        client = await dial(relay_url)
        await client.hello()
        return client

    return join
