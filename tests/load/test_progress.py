"""Progress of a running test."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING

from rich.console import Console

from monitor.clock import LoopClock
from monitor.load.progress import line, picture, show_progress
from monitor.load.snapshot import Snapshot
from tests.load.sample import plan_of
from tests.virtual_time import WITHOUT_SOCKETS

if TYPE_CHECKING:
    import pytest

SNAPSHOT = Snapshot(
    started=7, connected=6, failed=1, active=6, good=50, bad=2, reasons={"tcp/refused": 1, "deliver/lost": 2},
    recent={2000: 99, 8000: 1},
)  # fmt: skip


def test_a_line_shows_the_state_of_a_test() -> None:
    assert line(plan_of(connection_pairs=10), 30.0, SNAPSHOT) == (
        "steady-messaging: 30 s; 7 of 10 started; 6 active; 50 exchanges, 2 failed; "
        "recent P50 2.0 ms, P99 2.0 ms; deliver/lost 2, tcp/refused 1; 45 s left"
    )


def test_snapshots_of_workers_are_added_up() -> None:
    both = Snapshot.merge([SNAPSHOT, SNAPSHOT])
    assert (both.started, both.good, both.reasons["tcp/refused"], both.recent[2000]) == (14, 100, 2, 198)
    assert Snapshot.from_json(json.loads(json.dumps(SNAPSHOT.to_json()))) == SNAPSHOT


def test_a_picture_has_bars_and_errors() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(picture(plan_of(connection_pairs=10), 30.0, SNAPSHOT))
    text = console.export_text()
    for part in ("ramp", "time", "45 s left", "6 active", "50 good, 2 failed", "recent P50", "errors: deliver/lost 2"):
        assert part in text


@WITHOUT_SOCKETS
async def test_without_a_terminal_there_is_a_line_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    showing = asyncio.ensure_future(show_progress(plan_of(), LoopClock(), lambda: SNAPSHOT, terminal=False))
    await asyncio.sleep(35)
    showing.cancel()
    lines = capsys.readouterr().err.splitlines()
    assert [item.split(";")[0] for item in lines] == [f"steady-messaging: {at} s" for at in (10, 20, 30)]
