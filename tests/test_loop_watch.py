"""What counts as a call on the program's event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.journal.promises import stepped_clock
from tests.loop_watch import _WATCH

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("around", "calls"), [(True, []), (False, ["close", "flush"])])
def test_a_loop_around_the_whole_test_is_not_the_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, around: bool, calls: list[str]
) -> None:
    """Playwright's loop stays the running one of its thread for every later test of the process."""
    before, loop = asyncio._get_running_loop(), asyncio.new_event_loop()
    with monkeypatch.context() as patch:
        asyncio._set_running_loop(loop if around else None)
        _WATCH.watch(patch)
        asyncio._set_running_loop(loop)
        try:
            stepped_clock(tmp_path)
        finally:
            asyncio._set_running_loop(before)
            _WATCH.stop()
            loop.close()
    assert sorted({found.rpartition(", ")[2] for found in _WATCH.found}) == calls
