"""Progress of a running test on stderr: bars on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Final

from rich.console import Console, Group
from rich.live import Live as Screen
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from monitor.streams import shows_colors

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.clock import Clock
    from monitor.load.plan import Plan
    from monitor.load.snapshot import Snapshot

REFRESH_INTERVAL: Final = 0.5
"""Seconds between two updates on a terminal."""

LINE_INTERVAL: Final = 10.0
"""Seconds between two lines elsewhere."""

MAX_REASONS: Final = 5


async def show_progress(
    plan: Plan, clock: Clock, take_snapshot: Callable[[], Snapshot], *, terminal: bool | None = None
) -> None:
    """Show progress until cancelled. `terminal` overrides what stderr is."""
    began = clock.monotonic()
    terminal = shows_colors(sys.stderr) if terminal is None else terminal
    if not terminal:
        while True:
            await asyncio.sleep(LINE_INTERVAL)
            text = line(plan, clock.monotonic() - began, take_snapshot())
            sys.stderr.write(f"{text}\n")  # one write, which is queued or lost as a whole
            sys.stderr.flush()
    with Screen(console=Console(stderr=True), refresh_per_second=4, transient=True) as display:
        while True:
            display.update(picture(plan, clock.monotonic() - began, take_snapshot()))
            await asyncio.sleep(REFRESH_INTERVAL)


def line(plan: Plan, seconds: float, snapshot: Snapshot) -> str:
    """Return the state as a line for a log."""
    parts = [f"{seconds:.0f} s", f"{snapshot.started} of {len(plan.numbers)} started", f"{snapshot.active} active"]
    if plan.is_paired:
        parts.append(f"{snapshot.good} exchanges, {snapshot.bad} failed")
        parts += [recent(snapshot)] if snapshot.recent else []
    parts += [reasons(snapshot)] if snapshot.reasons else []
    return f"{plan.scenario.value}: {'; '.join(parts)}; {time_left(plan, seconds)}"


def picture(plan: Plan, seconds: float, snapshot: Snapshot) -> Group:
    """Return the state as bars and figures for a terminal."""
    bars = Table.grid(padding=(0, 1))
    bars.add_row(
        "ramp", ProgressBar(total=len(plan.numbers), completed=snapshot.started, width=40), f"{snapshot.started}"
    )
    total = max(plan.seconds, 0.1)
    bars.add_row("time", ProgressBar(total=total, completed=min(seconds, total), width=40), time_left(plan, seconds))
    noun = "pairs" if plan.is_paired else "connections"
    figures = [f"{noun}: {snapshot.active} active, {snapshot.connected} connected, {snapshot.failed} failed"]
    if plan.is_paired:
        figures.append(
            f"exchanges: {snapshot.good} good, {snapshot.bad} failed"
            + (f"; {recent(snapshot)}" if snapshot.recent else "")
        )
    texts = [Text(text) for text in figures]
    if snapshot.reasons:
        texts.append(Text(f"errors: {reasons(snapshot)}", style="red"))
    return Group(Text(f"{plan.scenario.value} at {plan.target}", style="bold"), bars, *texts)


def recent(snapshot: Snapshot) -> str:
    """Return the percentiles of the last few seconds."""
    sketch = snapshot.latencies
    return f"recent P50 {sketch.quantile(0.5) * 1e3:.1f} ms, P99 {sketch.quantile(0.99) * 1e3:.1f} ms"


def reasons(snapshot: Snapshot) -> str:
    """Return the most frequent errors."""
    found = sorted(snapshot.reasons.items(), key=lambda item: -item[1])[:MAX_REASONS]
    return ", ".join(f"{name} {count}" for name, count in found)


def time_left(plan: Plan, seconds: float) -> str:
    """Return how long the test will still take without errors."""
    remaining = plan.seconds - seconds
    return f"{remaining:.0f} s left" if remaining > 0 else "finishing"
