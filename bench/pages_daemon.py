"""The daemon, with notes of what it measures: `python -m bench.pages_daemon CONFIG wires|steps FILE`.

At the end it writes pairs of the time (seconds since the epoch) and a duration in seconds: the wire times of all
exchanges, or the CPU times of the event loop's steps of at least a millisecond. Steps need asyncio's own event loop.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from array import array
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from monitor.config import parse
from monitor.daemon.process import serve
from monitor.logs import configure
from monitor.metrics import Metrics
from monitor.results import Report, Run

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.config import Config

NOTED_STEP = 0.001
"""Seconds from which on a step is noted."""


def note_wires(notes: array[float]) -> None:
    """Note each wire time from now on."""
    publish = Metrics.publish

    def noting(self: Metrics, report: Run | Report) -> None:
        publish(self, report)
        if type(report) is Run:
            at = time.time()
            for exchange in report.exchanges:
                for wire in (exchange.wire_request, exchange.wire_response):
                    if wire is not None:
                        notes.extend((at, wire))

    Metrics.publish = noting  # type: ignore[method-assign]


def note_steps(notes: array[float]) -> None:
    """Note each long step from now on."""
    run: Callable[[asyncio.Handle], None] = asyncio.Handle._run  # noqa: SLF001

    def timed(self: asyncio.Handle) -> None:
        started = time.thread_time()
        run(self)
        if (duration := time.thread_time() - started) >= NOTED_STEP:
            notes.extend((time.time(), duration))

    asyncio.Handle._run = timed  # type: ignore[method-assign]  # noqa: SLF001


def main(file: str, what: str, output: str) -> None:
    """Run the daemon until it is stopped."""
    text = Path(file).read_text("utf-8")

    def source() -> Config:
        return parse(text, file, {})

    notes = array("d")  # pairs, without the memory of a tuple for each
    configure("json", "warning")
    if what == "wires":
        note_wires(notes)
        uvloop.run(serve(source(), source=source))
    else:
        note_steps(notes)
        asyncio.run(serve(source(), source=source))
    Path(output).write_text(json.dumps(list(zip(notes[::2], notes[1::2], strict=True))), encoding="ascii")


if __name__ == "__main__":
    main(*sys.argv[1:])
