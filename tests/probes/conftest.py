"""Fixtures: no proxy of this host is used, and every task and socket is closed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.probes.harness import embedded
from tests.sockets import no_proxies, open_sockets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from monitor.embedded import EmbeddedRelay

__all__ = ["no_proxies"]


@pytest.fixture
async def nothing_is_left_open() -> AsyncIterator[None]:
    sockets, tasks = open_sockets(), len(asyncio.all_tasks())
    yield
    async with asyncio.timeout(5):
        while open_sockets() > sockets or len(asyncio.all_tasks()) > tasks:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.005)


@pytest.fixture
async def relay() -> AsyncIterator[EmbeddedRelay]:
    """A relay that a test may stop and start again on the same port."""
    async with embedded() as running:
        yield running
