"""Tests run on both event loops, over loopback sockets, and must leave no socket open."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import trustme
import uvloop

from tests.relay.harness import RecordingObserver
from tests.sockets import no_proxies, open_sockets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

__all__ = ["no_proxies"]


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.get_closest_marker("looptime"):  # uvloop has no virtual time
        return {"asyncio": asyncio.new_event_loop}
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
async def _sockets_are_given_back() -> AsyncIterator[None]:
    before = open_sockets()
    yield
    async with asyncio.timeout(5):
        while open_sockets() > before:  # noqa: ASYNC110 - sockets close some iterations later, without an event
            await asyncio.sleep(0.005)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def observer() -> RecordingObserver:
    return RecordingObserver()
