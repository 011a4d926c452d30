"""What is seen while a test runs: bars on a terminal, a line now and then elsewhere. On stderr; results have stdout."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Final

from rich.console import Console, Group
from rich.live import Live as Screen
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.clock import Clock
    from monitor.load.plan import Plan
    from monitor.load.snapshot import Snapshot

FRESH: Final = 0.5
"""Seconds between two pictures on a terminal."""

LINE: Final = 10.0
"""Seconds between two lines elsewhere."""

MOST_REASONS: Final = 5


async def show_progress(
    plan: Plan, clock: Clock, live: Callable[[], Snapshot], *, terminal: bool | None = None
) -> None:
    """Show where a test stands until cancelled."""
    began = clock.monotonic()
    terminal = sys.stderr.isatty() if terminal is None else terminal
    if not terminal:
        while True:
            await asyncio.sleep(LINE)
            print(line(plan, clock.monotonic() - began, live()), file=sys.stderr, flush=True)  # noqa: T201 - it shows
    with Screen(console=Console(stderr=True), refresh_per_second=4, transient=True) as screen:
        while True:
            screen.update(picture(plan, clock.monotonic() - began, live()))
            await asyncio.sleep(FRESH)


def line(plan: Plan, seconds: float, live: Snapshot) -> str:
    """One line, for a log."""
    parts = [f"{seconds:.0f} s", f"{live.started} of {len(plan.numbers)} started", f"{live.active} active"]
    if plan.is_paired:
        parts.append(f"{live.good} exchanges, {live.bad} failed")
        parts += [recent(live)] if live.recent else []
    parts += [reasons(live)] if live.reasons else []
    return f"{plan.scenario.value}: {'; '.join(parts)}; {left(plan, seconds)}"


def picture(plan: Plan, seconds: float, live: Snapshot) -> Group:
    """Bars and figures, for a terminal."""
    bars = Table.grid(padding=(0, 1))
    bars.add_row("ramp", ProgressBar(total=len(plan.numbers), completed=live.started, width=40), f"{live.started}")
    whole = max(plan.seconds, 0.1)
    bars.add_row("time", ProgressBar(total=whole, completed=min(seconds, whole), width=40), left(plan, seconds))
    what = "pairs" if plan.is_paired else "connections"
    figures = [f"{what}: {live.active} active, {live.connected} connected, {live.failed} failed"]
    if plan.is_paired:
        figures.append(f"exchanges: {live.good} good, {live.bad} failed" + (f"; {recent(live)}" if live.recent else ""))
    texts = [Text(text) for text in figures]
    if live.reasons:
        texts.append(Text(f"errors: {reasons(live)}", style="red"))
    return Group(Text(f"{plan.scenario.value} at {plan.target}", style="bold"), bars, *texts)


def recent(live: Snapshot) -> str:
    """The percentiles of the last few seconds."""
    sketch = live.latencies
    return f"recent P50 {sketch.quantile(0.5) * 1e3:.1f} ms, P99 {sketch.quantile(0.99) * 1e3:.1f} ms"


def reasons(live: Snapshot) -> str:
    """The most frequent errors."""
    found = sorted(live.reasons.items(), key=lambda item: -item[1])[:MOST_REASONS]
    return ", ".join(f"{name} {count}" for name, count in found)


def left(plan: Plan, seconds: float) -> str:
    """How long it will still take, if all goes well."""
    remaining = plan.seconds - seconds
    return f"{remaining:.0f} s left" if remaining > 0 else "finishing"
