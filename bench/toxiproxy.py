"""Toxiproxy between the monitor and a relay."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx

from tests.counterparts import TOXIPROXY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def toxiproxy() -> AsyncIterator[httpx.AsyncClient]:
    """Start toxiproxy, after building it if needed, and yield a client of its API."""
    program = TOXIPROXY.obtain()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    process = subprocess.Popen(
        [program, "-host", "127.0.0.1", "-port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as api:
            for _ in range(100):
                try:
                    await api.get("/version")
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
            yield api
    finally:
        process.terminate()
        process.wait(10)


async def proxied(api: httpx.AsyncClient, upstream: str, delay: int, name: str) -> str:
    """Create a proxy that delays what `upstream` sends by `delay` ms; return its HOST:PORT."""
    proxy = {"name": name, "listen": "127.0.0.1:0", "upstream": upstream, "enabled": True}
    created = (await api.post("/proxies", json=proxy)).raise_for_status().json()
    if delay:
        toxic = {"type": "latency", "stream": "downstream", "attributes": {"latency": delay, "jitter": 0}}
        (await api.post(f"/proxies/{name}/toxics", json=toxic)).raise_for_status()
    return str(created["listen"])
