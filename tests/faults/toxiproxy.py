"""Toxiproxy: a TCP proxy that disturbs the network, controlled by its HTTP API."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.e2e.programs import Program
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Toxiproxy:
    """A running toxiproxy."""

    def __init__(self, port: int) -> None:
        self._client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10)
        self._made = 0

    async def before(self, url: str, *toxics: dict[str, Any]) -> str:
        """Create a proxy in front of a relay, with toxics, and return the relay's URL through it."""
        self._made += 1
        parts = urlsplit(url)
        settings = {"name": f"p{self._made}", "listen": "127.0.0.1:0", "upstream": parts.netloc, "enabled": True}
        made = (await self._client.post("/proxies", json=settings)).raise_for_status().json()
        for toxic in toxics:
            (await self._client.post(f"/proxies/{made['name']}/toxics", json=toxic)).raise_for_status()
        return f"{parts.scheme}://{made['listen']}{parts.path}"

    async def enable(self, name: str, *, enabled: bool) -> None:
        """Close or open a proxy: a closed one drops its connections and refuses new ones."""
        (await self._client.post(f"/proxies/{name}", json={"enabled": enabled})).raise_for_status()

    @property
    def latest(self) -> str:
        """Name of the proxy that was created last."""
        return f"p{self._made}"

    async def close(self) -> None:
        """Close the client of the API."""
        await self._client.aclose()


def toxic(kind: str, stream: str = "downstream", **attributes: int) -> dict[str, Any]:
    """Return a toxic; the stream `downstream` goes from the relay to the monitor."""
    return {"type": kind, "stream": stream, "toxicity": 1.0, "attributes": attributes}


@pytest.fixture
async def toxiproxy(toxiproxy_program: Path, tmp_path: Path) -> AsyncIterator[Toxiproxy]:
    """Run a toxiproxy for one test."""
    port = closed_port()
    command = (toxiproxy_program, "-host", "127.0.0.1", "-port", str(port))
    async with Program(*command, ready=f"http://127.0.0.1:{port}/version", log=tmp_path / "toxiproxy.log"):
        made = Toxiproxy(port)
        yield made
        await made.close()
    await asyncio.sleep(0)
