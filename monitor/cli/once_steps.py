"""What `once` shows while its probes run: their steps on a terminal, each result in a pipe or a file."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.live import Live as Screen
from rich.text import Text

from monitor.clock import SYSTEM_CLOCK
from monitor.errors import printable
from monitor.streams import shows_colors
from monitor.threads import run_in_thread
from monitor.vocabulary import Outcome, cause_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from monitor.daemon.once import RunProgress
    from monitor.results import Mark, Run

REFRESH_INTERVAL: Final = 0.1
"""Seconds between two updates."""

COLOURS: Final = {Outcome.OK: "green", Outcome.FAILED: "red"}


async def show_progress(printer: RunPrinter | None, progress: Sequence[RunProgress]) -> None:
    """Show the steps if stderr is a terminal, and print each result when its run ends, until cancelled.

    If both are the terminal, results would tear the steps apart: they are printed at the end.
    """
    with_steps = shows_colors(sys.stderr)
    shown = [show_steps(progress)] if with_steps else []
    if printer is not None and not (with_steps and sys.stdout.isatty()):
        shown.append(printer.print_as_they_end(progress))
    await asyncio.gather(*shown)


async def show_steps(progress: Sequence[RunProgress]) -> None:
    """Show the progress on stderr until cancelled."""
    console = Console(stderr=True, highlight=False)
    with Screen(console=console, auto_refresh=False, transient=True) as screen:
        while True:
            picture = steps(progress, SYSTEM_CLOCK.monotonic(), console.width, console.height - 1)
            screen.update(Text("\n").join(picture), refresh=True)
            await asyncio.sleep(REFRESH_INTERVAL)


class RunPrinter:
    """Prints each run once, by `write`, which may block."""

    def __init__(self, write: Callable[[Run], None]) -> None:
        self._write = write
        self._printed: set[str] = set()  # ids

    async def print_as_they_end(self, progress: Sequence[RunProgress]) -> None:
        """Print runs in the order in which they end, in a thread, until cancelled: a reader may be slow."""
        while True:
            for each in progress:
                if each.run is not None and each.run.id not in self._printed:
                    await _completed(asyncio.ensure_future(run_in_thread("output", partial(self._print, each.run))))
            await asyncio.sleep(REFRESH_INTERVAL)

    def print_others(self, runs: Sequence[Run]) -> None:
        """Print those that are not printed yet."""
        for run in runs:
            if run.id not in self._printed:
                self._print(run)

    def _print(self, run: Run) -> None:
        self._write(run)
        self._printed.add(run.id)


async def _completed(task: asyncio.Future[None]) -> None:
    """Wait for a task also if this one is cancelled meanwhile: what it prints must not be torn apart."""
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


def steps(progress: Sequence[RunProgress], now: float, width: int, height: int) -> Iterator[Text]:
    """Yield a line for each run, at most `width` wide: those that go on first, and at most `height` lines."""
    names = max(len(f"{each.probe} at {each.relay}") for each in progress)
    ordered = sorted(progress, key=lambda each: each.run is not None)
    shown = ordered if len(ordered) <= height else ordered[: height - 1]
    for each in shown:
        line = Text(f"{each.probe} at {each.relay}".ljust(names + 2), no_wrap=True)
        line.append_text(_state(each, now, width - names - 2))
        line.truncate(width, overflow="ellipsis")
        yield line
    if len(shown) < len(ordered):
        done = sum(each.run is not None for each in ordered)
        yield Text(f"{len(ordered) - len(shown)} more; {done} of {len(ordered)} done")


def _state(progress: RunProgress, now: float, width: int) -> Text:
    if (run := progress.run) is not None:
        failure = run.failure
        cause = f" {cause_name(failure.step, failure.reason, failure.status)}" if failure is not None else ""
        return Text(f"{run.duration:6.1f} s  {run.outcome.value}{cause}", style=COLOURS.get(run.outcome, "yellow"))
    if progress.recorder is None:
        return Text("waiting for the relay's limits")
    elapsed = f"{now - progress.recorder.started:6.1f} s  "
    return Text(elapsed + latest(progress.recorder.marks, width - len(elapsed)))


def latest(marks: Sequence[Mark], width: int) -> str:
    """Return the latest steps with their durations, as many as fit; the last one is the newest."""
    text = ""
    for mark in reversed(marks):
        step = f"{mark.side} {mark.step} {(mark.ended - mark.started) * 1000:.1f} ms"
        step = printable(f"{step}, {text}" if text else step)
        if len(step) > width:
            break
        text = step
    return text
