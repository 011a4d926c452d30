"""Every test here runs on both event loops, on real loopback sockets, and must leave no socket behind."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest
import trustme
import uvloop

from tests.sockets import open_sockets
from tests.transport.harness import Witness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
async def _sockets_are_given_back() -> AsyncIterator[None]:
    before = open_sockets()
    yield
    async with asyncio.timeout(5):
        while open_sockets() > before:  # noqa: ASYNC110 - closing takes a loop some turns, and nothing tells of it
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
def witness() -> Witness:
    return Witness()
