"""A Node program that speaks JSON lines, with a deadline on everything that is awaited of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType

FOLDER = Path(__file__).parent
WAIT = 20.0


class Peer:
    """One running program; as a context manager it is ended by its own process id."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._seen: list[dict[str, Any]] = []

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

    def tell(self, **command: Any) -> None:
        """Write one line."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    async def line(self) -> Any:
        """The next line, parsed."""
        assert self._process.stdout is not None
        async with asyncio.timeout(WAIT):
            line = await self._process.stdout.readline()
        if not line:
            raise EOFError(f"the program ended; before that it said {self._seen}")
        return json.loads(line)

    async def event(self, name: str) -> dict[str, Any]:
        """The next event of this name; others stay for later, but one that says something failed ends the wait."""
        for number, seen in enumerate(self._seen):
            if seen["event"] == name:
                return self._seen.pop(number)
        while (said := await self.line())["event"] != name:
            self._seen.append(said)
            if said["event"] == "failed":
                raise AssertionError(f"waiting for {name}: {said}")
        return dict(said)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()
