"""One worker process of a test on several: its plan on stdin, its progress on stdout.

It says it is ready, starts when told to, tells once a second where it stands, and ends with its result; each a line of
JSON. When its stdin ends, as when its parent dies, it stops as if interrupted.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import monitor
from monitor.clock import SYSTEM_CLOCK
from monitor.errors import StartupError
from monitor.load import host
from monitor.load.load_runner import conduct
from monitor.load.plan import Plan
from monitor.load.result import to_json
from monitor.load.snapshot import live_of

if TYPE_CHECKING:
    from monitor.load.scenario_runner import ScenarioRunner

EVERY = 1.0
"""Seconds between two words about where it stands."""


def say(**what: Any) -> None:
    """One line to the parent."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def work(plan: Plan) -> None:
    """Play this worker's part. Raises `StartupError`."""
    host.make_room(plan.sockets)
    stop = asyncio.Event()
    orders = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    say(ready=True)
    if not await orders.readline():
        return

    async def until_orphaned() -> None:
        await orders.read()
        stop.set()

    async def tell(play: ScenarioRunner) -> None:
        orphaned = asyncio.ensure_future(until_orphaned())
        try:
            while True:
                await asyncio.sleep(EVERY)
                say(live=live_of(play.tally).to_json())
        finally:
            orphaned.cancel()

    ended = await conduct(plan, SYSTEM_CLOCK, watch=tell, stop=stop)
    meta = ended.meta(monitor.__version__, plan)
    say(result=to_json(plan, ended.totals, meta, [], ended.began))


def _first_line() -> bytes:
    """The first line of stdin, and not a byte of what follows."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(sys.stdin.fileno(), 1)):
        line += byte
    return line


async def serve() -> None:
    """Read the plan's line, and go."""
    plan = Plan.from_json(json.loads(_first_line()))
    try:
        await work(plan)
    except StartupError as error:
        say(error=str(error))
