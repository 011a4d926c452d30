"""Queries whose disk hangs: callers get an answer in time, and few threads wait."""

from __future__ import annotations

import asyncio
import threading

import pytest

from monitor.errors import JournalUnavailableError
from monitor.journal import Journal
from monitor.journal.journal import MAX_READERS


async def test_queries_that_hang_cost_a_limited_number_of_threads() -> None:
    journal, released, begun = Journal(), threading.Event(), []

    def hang() -> None:
        begun.append(threading.get_ident())
        released.wait(10)

    async def read() -> None:
        with pytest.raises(JournalUnavailableError, match=r"did not answer within 0\.05 s"):
            await journal.read(hang, timeout=0.05)

    try:
        await asyncio.gather(*(read() for _ in range(MAX_READERS + 3)))
    finally:
        released.set()
    assert len(begun) == MAX_READERS
    assert await journal.read(lambda: 7, timeout=10.0) == 7  # once the disk answers again
