"""The steps of `once` while they happen, on a terminal: a line for each run, until the results are printed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.live import Live as Screen
from rich.text import Text

from monitor.clock import SYSTEM_CLOCK
from monitor.text_table import printable
from monitor.vocabulary import Outcome, cause_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.daemon.once import RunProgress
    from monitor.results import Mark

REFRESH_INTERVAL: Final = 0.1
"""Seconds between two updates."""

COLOURS: Final = {Outcome.OK: "green", Outcome.FAILED: "red"}


async def show_steps(progress: Sequence[RunProgress]) -> None:
    """Show the progress on stderr until cancelled."""
    console = Console(stderr=True, highlight=False)
    with Screen(console=console, auto_refresh=False, transient=True) as screen:
        while True:
            picture = steps(progress, SYSTEM_CLOCK.monotonic(), console.width, console.height - 1)
            screen.update(Text("\n").join(picture), refresh=True)
            await asyncio.sleep(REFRESH_INTERVAL)


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
