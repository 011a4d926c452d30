"""Toxiproxy, which stands between the monitor and a relay."""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx

from bench.programs import ENGINE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PROGRAM = ENGINE.with_name("toxiproxy")
MODULE = "github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0"


@asynccontextmanager
async def toxiproxy() -> AsyncIterator[httpx.AsyncClient]:
    """Start toxiproxy, after building it if needed, and yield a client of its API."""
    if not PROGRAM.exists():
        folder = PROGRAM.parent / "toxiproxy.new"
        subprocess.run(["env", f"GOBIN={folder}", "CGO_ENABLED=0", "go", "install", MODULE], check=True)
        (folder / "server").replace(PROGRAM)
    process = subprocess.Popen(
        [PROGRAM, "-host", "127.0.0.1", "-port", "18474"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        async with httpx.AsyncClient(base_url="http://127.0.0.1:18474", trust_env=False) as api:
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
