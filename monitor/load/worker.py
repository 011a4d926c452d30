"""One worker process of a test with `--workers`.

It reads its plan from stdin and writes lines of JSON to stdout: that it is ready, once a second a snapshot, and its
result. Anything else that is printed in this process goes to stderr. It starts the test at the second line of stdin,
and stops it when stdin ends, also because its parent died.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

import monitor
from monitor.clock import SYSTEM_CLOCK
from monitor.errors import StartupError
from monitor.load import host
from monitor.load.conversion import result_of
from monitor.load.load_runner import run_test
from monitor.load.plan import Plan
from monitor.load.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.load.scenario_runner import ScenarioRunner

STDOUT: Final = 1
STDERR: Final = 2

SNAPSHOT_INTERVAL: Final = 1.0
"""Seconds between two snapshots."""


class Messages:
    """Messages to the parent, over the stdout that this process was started with.

    From then on stdout is stderr, so that nothing else, a library's message for example, comes between two messages.
    """

    def __init__(self) -> None:
        sys.stdout.flush()
        self._file = os.fdopen(os.dup(STDOUT), "w", encoding="utf-8")
        os.dup2(STDERR, STDOUT)
        self._file.write("\n")  # half a line may have been printed before

    def send(self, **message: Any) -> None:
        """Send one message."""
        self._file.write(json.dumps(message) + "\n")
        self._file.flush()


async def run_worker(plan: Plan, send: Callable[..., None]) -> None:
    """Run this worker's part. Raises `StartupError`."""
    host.raise_file_limit(plan.sockets)
    stop = asyncio.Event()
    commands = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    send(ready=True)
    if not await commands.readline():
        return

    async def stop_at_end_of_input() -> None:
        await commands.read()
        stop.set()

    async def send_snapshots(runner: ScenarioRunner) -> None:
        reading = asyncio.ensure_future(stop_at_end_of_input())
        try:
            while True:
                await asyncio.sleep(SNAPSHOT_INTERVAL)
                send(snapshot=Snapshot.of(runner.statistics).to_json())
        finally:
            reading.cancel()

    finished = await run_test(plan, SYSTEM_CLOCK, watch=send_snapshots, stop=stop)
    send(result=result_of(plan, finished, version=monitor.__version__).to_json())


def _first_line() -> bytes:
    """Return the first line of stdin, and leave every byte after it unread."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(sys.stdin.fileno(), 1)):
        line += byte
    return line


async def serve() -> None:
    """Read the plan, and run it."""
    plan = Plan.from_json(json.loads(_first_line()))
    messages = Messages()
    try:
        await run_worker(plan, messages.send)
    except StartupError as error:
        messages.send(error=str(error))
