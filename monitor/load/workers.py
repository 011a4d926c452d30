"""A test on several processes of this machine, one event loop each: started together, joined as `merge` joins."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from monitor.errors import StartupError
from monitor.load.load_runner import end_beside
from monitor.load.merge import merge
from monitor.load.snapshot import Snapshot, together

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from monitor.load.load_runner import Ended
    from monitor.load.plan import Plan

_log = structlog.get_logger(__name__)

START_TIMEOUT = 60.0
"""Seconds a worker may take until it is ready."""

SILENCE = 300.0
"""Seconds without a word after which a worker, which says one every second, is given up. The result of a test of a week
is written in half of that."""

LIMIT = 1 << 28
"""Bytes of a worker's longest line, its result."""


class Worker:
    """One worker process."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.live = Snapshot()
        self.result: dict[str, Any] | None = None
        self._stopped = False
        self._process: asyncio.subprocess.Process | None = None

    async def ready(self) -> None:
        """Start it, and wait until it can begin. Raises `StartupError`."""
        command = [sys.executable, "-m", "monitor", "load-worker"]
        # In a session of its own: a Ctrl-C is ours to pass on, once.
        self._process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=LIMIT,
        )
        self._write(json.dumps(self.plan.to_json()))
        if self._stopped:  # while it was being started
            self.stop()
        try:
            async with asyncio.timeout(START_TIMEOUT):
                said = await self._said()
        except TimeoutError:
            raise StartupError(f"worker {self.plan.worker[0]} did not start within {START_TIMEOUT:g} s") from None
        if said is None or "ready" not in said:
            raise StartupError((said or {}).get("error", f"worker {self.plan.worker[0]} did not start"))

    async def run(self) -> None:
        """Let it begin, and listen until its result is there, it died, or fell silent. Raises `StartupError`."""
        self._write("go")
        try:
            while (said := await asyncio.wait_for(self._said(), SILENCE)) is not None:
                if "live" in said:
                    self.live = Snapshot.from_json(said["live"])
                elif "result" in said:
                    self.result = said["result"]
                else:
                    raise StartupError(str(said.get("error", said)))
        except TimeoutError:
            _log.error("worker given up: not a word from it", worker=self.plan.worker[0], seconds=SILENCE)
            self._kill()
        else:
            if self.result is None and not self._stopped:
                _log.error("worker died", worker=self.plan.worker[0], exit=await self._exit())

    def stop(self) -> None:
        """Let it stop, and hand in what there is: its orders end."""
        self._stopped = True
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    async def end(self) -> None:
        """Make sure that it is gone."""
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

    async def _said(self) -> dict[str, Any] | None:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        return json.loads(line) if line.endswith(b"\n") else None  # half a line: it died while it wrote


async def conduct_workers(
    plan: Plan,
    count: int,
    watch: Callable[[Callable[[], Snapshot]], Coroutine[Any, Any, None] | None],
    finish: Callable[[Ended], None] = lambda _: None,
) -> Ended:
    """Play a test on so many processes, until all are done or SIGINT or SIGTERM comes. Raises `StartupError`.

    `watch` is given a function that tells where they stand; what it returns runs beside them. `finish` is `conduct`'s.
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
        await _play(workers, watch, stopped)
        ended = _join(workers, interrupted=stopped.is_set())
        finish(ended)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    return ended


async def _play(
    workers: Sequence[Worker],
    watch: Callable[[Callable[[], Snapshot]], Coroutine[Any, Any, None] | None],
    stopped: asyncio.Event,
) -> None:
    """All of them at once, and none is left behind."""
    beside: asyncio.Task[None] | None = None
    try:
        await asyncio.gather(*(worker.ready() for worker in workers))
        watching = watch(lambda: together(worker.live for worker in workers))
        beside = None if watching is None else asyncio.ensure_future(watching)
        await asyncio.gather(*(worker.run() for worker in workers))
    except StartupError:
        if not stopped.is_set():  # else it is why they did not start
            raise
    finally:
        await end_beside(beside)
        await asyncio.gather(*(worker.end() for worker in workers))


def _join(workers: Sequence[Worker], *, interrupted: bool) -> Ended:
    """How it ended, of the results there are."""
    results = [(f"worker {worker.plan.worker[0]}", worker.result) for worker in workers if worker.result is not None]
    if not results and interrupted:
        raise KeyboardInterrupt  # before there was anything to tell
    if not results:
        raise StartupError("no worker handed in a result")
    _, ended, _ = merge(results)
    return replace(ended, interrupted=ended.interrupted or interrupted)
