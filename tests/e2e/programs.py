"""The programs of the chain, each a process of its own on a free port, started, awaited and stopped in bounded time."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from typing import TYPE_CHECKING, Self

import httpx
import pytest

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

START_TIMEOUT = 60.0
STOP_TIMEOUT = 15.0

INSTALL = "apt-get install -y prometheus prometheus-alertmanager"


PROMTOOL = ("promtool",)
AMTOOL = ("amtool",)
PROMETHEUS = ("prometheus",)
ALERTMANAGER = ("prometheus-alertmanager", "alertmanager")
"""Each program's names."""


def find(names: tuple[str, ...]) -> str:
    """The first of these programs that is on PATH; without one the test skips and says what to install."""
    for name in names:
        if (found := shutil.which(name)) is not None:
            return found
    return str(pytest.skip(f"{names[0]} is not on PATH: {INSTALL}"))


class Program:
    """One process; `ready` is the address that answers 200 once it is up. Its output goes to `log`.

    `ca_file` has the authority of the address's certificate.
    """

    def __init__(self, *command: str | Path, ready: str, log: Path, ca_file: Path | None = None) -> None:
        self._command = [str(part) for part in command]
        self._ready = ready
        self._log = log
        self._ca_file = ca_file
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(*self._command, stdout=log, stderr=log)
        verify = True if self._ca_file is None else ssl.create_default_context(cafile=self._ca_file)
        async with asyncio.timeout(START_TIMEOUT), httpx.AsyncClient(verify=verify, trust_env=False) as client:
            while True:
                if self._process.returncode is not None:
                    said = self._log.read_text("utf-8", errors="replace")[-2000:]
                    raise RuntimeError(f"{self._command[0]} ended with {self._process.returncode}:\n{said}")
                try:
                    if (await client.get(self._ready)).status_code == httpx.codes.OK:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)

    @property
    def url(self) -> str:
        """The address without a path."""
        return str(httpx.URL(self._ready).copy_with(path="/")).rstrip("/")

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    async def kill(self) -> None:
        """End it without a word."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def stop(self) -> None:
        """Ask it to end, and end it if it does not."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await self._process.wait()
        except TimeoutError:
            await self.kill()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
