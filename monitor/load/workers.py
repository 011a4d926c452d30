"""Runs a test on several processes of this machine, one event loop each, and merges their results."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import structlog

from monitor.errors import StartupError
from monitor.load.load_runner import cancel
from monitor.load.merge import merge
from monitor.load.result_file import parse
from monitor.load.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from monitor.load.plan import Plan
    from monitor.load.totals import FinishedTest

_log = structlog.get_logger(__name__)

START_TIMEOUT: Final = 60.0
"""Seconds that a worker may take to start."""

SILENCE_TIMEOUT: Final = 300.0
"""Seconds without a message, of which a worker sends one a second, before it is killed.

The result of a test of a week is written in half of that.
"""

MAX_MESSAGE_BYTES: Final = 1 << 28
"""Bytes of a worker's longest message, its result."""


MESSAGES: Final = frozenset({"ready", "snapshot", "result", "error"})
"""Keys of a worker's messages, each of which has one."""


class Worker:
    """One worker process."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.snapshot = Snapshot()
        self.result: dict[str, Any] | None = None
        self._stopped = False
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the process and wait until it is ready. Raises `StartupError`."""
        command = [sys.executable, "-m", "monitor", "load-worker"]
        # In a session of its own: the terminal's Ctrl-C must reach only the parent, which passes it on once.
        self._process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=MAX_MESSAGE_BYTES,
        )
        self._write(json.dumps(self.plan.to_json()))
        if self._stopped:  # while it was being started
            self.stop()
        try:
            async with asyncio.timeout(START_TIMEOUT):
                message = await self._read()
        except TimeoutError:
            raise StartupError(f"worker {self.plan.worker[0]} did not start within {START_TIMEOUT:g} s") from None
        if message is None or "ready" not in message:
            raise StartupError((message or {}).get("error", f"worker {self.plan.worker[0]} did not start"))

    async def run(self) -> None:
        """Start the test, and read messages until the result, an exit or a silence. Raises `StartupError`."""
        self._write("go")
        try:
            while (message := await asyncio.wait_for(self._read(), SILENCE_TIMEOUT)) is not None:
                if "snapshot" in message:
                    self.snapshot = Snapshot.from_json(message["snapshot"])
                elif "result" in message:
                    self.result = message["result"]
                elif "error" in message:
                    raise StartupError(str(message["error"]))
        except TimeoutError:
            _log.error("worker killed: no message from it", worker=self.plan.worker[0], seconds=SILENCE_TIMEOUT)
            self._kill()
        else:
            if self.result is None and not self._stopped:
                _log.error("worker died", worker=self.plan.worker[0], exit=await self._exit())

    def stop(self) -> None:
        """Stop the test, by closing the worker's stdin; it still sends its result."""
        self._stopped = True
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    async def close(self) -> None:
        """Wait for the process to exit; kill it if it does not in time."""
        if self._process is not None:
            self.stop()
            try:
                async with asyncio.timeout(START_TIMEOUT):
                    await self._process.wait()
            except TimeoutError:
                self._kill()
                await self._process.wait()

    def _kill(self) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.kill()

    async def _exit(self) -> int:
        assert self._process is not None
        return await self._process.wait()

    def _write(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        if not self._process.stdin.is_closing():
            self._process.stdin.write(line.encode() + b"\n")

    async def _read(self) -> dict[str, Any] | None:
        """Return the next message; None if the worker has exited. A line that is no message is skipped."""
        assert self._process is not None
        assert self._process.stdout is not None
        while (line := await self._process.stdout.readline()).endswith(b"\n"):  # half a line: it died while writing
            try:
                message = json.loads(line)
            except (ValueError, RecursionError):
                message = None
            if isinstance(message, dict) and message.keys() & MESSAGES:
                return message
            _log.debug("line of a worker skipped: it is no message", worker=self.plan.worker[0], bytes=len(line))
        return None


async def run_workers(
    plan: Plan,
    count: int,
    watch: Callable[[Callable[[], Snapshot]], Coroutine[Any, Any, None] | None],
    finish: Callable[[FinishedTest], None] = lambda _: None,
) -> FinishedTest:
    """Run a test on `count` processes until all are done or SIGINT or SIGTERM comes. Raises `StartupError`.

    `watch` is called with a function that returns the snapshot of all workers; a coroutine that it returns runs until
    the end of the test. `finish` is that of `run_test`.
    """
    workers = [Worker(replace(plan, worker=(index, count))) for index in range(count)]
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def stop() -> None:
        stopped.set()
        for worker in workers:
            worker.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        await _run_all(workers, watch, stopped)
        finished = _merge_results(workers, interrupted=stopped.is_set())
        finish(finished)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    return finished


async def _run_all(
    workers: Sequence[Worker],
    watch: Callable[[Callable[[], Snapshot]], Coroutine[Any, Any, None] | None],
    stopped: asyncio.Event,
) -> None:
    """Run all workers at the same time; every process has exited when this returns or raises."""
    progress: asyncio.Task[None] | None = None
    try:
        await asyncio.gather(*(worker.start() for worker in workers))
        watching = watch(lambda: Snapshot.merge(worker.snapshot for worker in workers))
        progress = None if watching is None else asyncio.ensure_future(watching)
        await asyncio.gather(*(worker.run() for worker in workers))
    except StartupError:
        if not stopped.is_set():  # a stop is why they did not start
            raise
    finally:
        await cancel(progress)
        await asyncio.gather(*(worker.close() for worker in workers))


def _merge_results(workers: Sequence[Worker], *, interrupted: bool) -> FinishedTest:
    """Merge the results that were sent."""
    results = [
        (name, parse(name, worker.result))
        for worker in workers
        if worker.result is not None and (name := f"worker {worker.plan.worker[0]}")
    ]
    if not results and interrupted:
        raise KeyboardInterrupt  # before there was any result
    if not results:
        raise StartupError("no worker sent a result")
    _, finished, _ = merge(results)
    return replace(finished, interrupted=finished.interrupted or interrupted)
