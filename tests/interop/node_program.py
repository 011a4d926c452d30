"""A Node program that reads and writes JSON lines, with a timeout on each read."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType

FOLDER = Path(__file__).parent
TIMEOUT = 20.0


class NodeProgram:
    """A running program; as a context manager it is killed at the end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._unread: list[dict[str, Any]] = []

    @classmethod
    async def start(cls, program: str, *arguments: str) -> Self:
        """Run `node program arguments…` in this folder."""
        return cls(
            await asyncio.create_subprocess_exec(
                "node",
                program,
                *arguments,
                cwd=FOLDER,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=1 << 20,
            )
        )

    def send(self, **command: Any) -> None:
        """Write one line to the program."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    async def line(self) -> Any:
        """Return the next line, parsed."""
        assert self._process.stdout is not None
        async with asyncio.timeout(TIMEOUT):
            line = await self._process.stdout.readline()
        if not line:
            raise EOFError(f"the program ended; its events before that: {self._unread}")
        return json.loads(line)

    async def event(self, name: str) -> dict[str, Any]:
        """Return the next event of this name; queue others. Raise AssertionError on the event `failed`."""
        for number, event in enumerate(self._unread):
            if event["event"] == name:
                return self._unread.pop(number)
        while (received := await self.line())["event"] != name:
            self._unread.append(received)
            if received["event"] == "failed":
                raise AssertionError(f"waiting for {name}: {received}")
        return dict(received)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()
