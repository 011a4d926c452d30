"""A persistent connection that drops."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from monitor.clock import utc
from monitor.pairs.idle import IdleConnection
from monitor.results import Disconnected, Reconnected
from monitor.vocabulary import Outcome, Reason, Step
from tests.probes.harness import (
    assert_failed,
    probe_at,
    serving,
)
from tests.virtual_time import EMPTY_ROUNDS, WITH_SOCKETS, block_loop

if TYPE_CHECKING:
    from monitor.embedded import EmbeddedRelay

pytestmark = [WITH_SOCKETS, pytest.mark.usefixtures("nothing_is_left_open")]


async def test_a_standing_connection_books_a_drop_on_its_interval_and_comes_back(relay: EmbeddedRelay) -> None:
    keys: dict[str, Any] = {"schedule": "continuous", "connections": "1"}
    async with probe_at(relay.url, "steady-state", {"duration": 0.4}, **keys) as made, serving(made):
        await made.until(lambda: made.runs)
        relay.disconnect_all(3001)
        await made.until(lambda: len(made.runs) == 2)
        assert made.runs[0].outcome is Outcome.OK
        assert_failed(made.runs[1], Step.HOLD, Reason.DISCONNECTED)
        await made.until(lambda: len(made.runs) == 3)
        assert made.runs[2].outcome is Outcome.OK
        assert [report.code for report in made.all(Disconnected)] == [3001]
        assert len(made.all(Reconnected)) == 1


async def test_a_bug_in_a_slot_aborts_that_slot_and_no_other(
    relay: EmbeddedRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended the whole probe, silently."""
    keys: dict[str, Any] = {"schedule": "continuous", "connections": "1"}
    async with probe_at(relay.url, "steady-state", {"duration": 0.4}, **keys) as made, serving(made):
        await made.until(lambda: made.runs)

        def broken(**_: object) -> None:
            raise RuntimeError("a bug")

        with monkeypatch.context() as patched:
            patched.setattr("monitor.probes.steady_state.Exchange", broken)
            known = len(made.runs)
            await made.until(lambda: len(made.runs) > known + 1)
        assert made.runs[known + 1].outcome is Outcome.ABORTED
        known = len(made.runs)
        await made.until(lambda: len(made.runs) > known + 1)
        assert made.runs[-1].outcome is Outcome.OK


async def test_a_drop_is_recorded_at_its_time_and_not_at_the_end_of_the_interval(relay: EmbeddedRelay) -> None:
    """An interval of 40 s was recorded as failed up to 40 s after the drop."""
    keys: dict[str, Any] = {"schedule": "continuous", "connections": "1"}
    async with probe_at(relay.url, "steady-state", {"duration": 40.0}, **keys) as made, serving(made):
        await made.until(lambda: made.runs, 60.0)
        clock = made.context.clock
        await asyncio.sleep(5.0)
        dropped_at = clock.monotonic()
        relay.disconnect_all(3001)
        await made.until(lambda: len(made.runs) == 2, 60.0)
        assert clock.monotonic() - dropped_at < 1.0
        assert_failed(made.runs[1], Step.HOLD, Reason.DISCONNECTED)
        assert made.runs[1].known_at - dropped_at < 1.0
        failed_at = made.runs[1].failed_at
        assert failed_at is not None
        assert abs((failed_at - utc(clock, clock.monotonic() - dropped_at)).total_seconds()) < 0.1
        assert (failed_at - made.runs[1].started_at).total_seconds() > 4
        assert [(mark.step, mark.failed) for mark in made.runs[1].timeline] == [(Step.HOLD, True)]
        await made.until(lambda: len(made.runs) == 3, 100.0)
        assert made.runs[2].outcome is Outcome.OK


@pytest.mark.parametrize("at", [-0.2, 29.6])
async def test_a_slot_that_begins_or_ends_while_the_event_loop_is_blocked_skips_no_other(
    relay: EmbeddedRelay, at: float
) -> None:
    """A slot that began half a second late, or was noticed to end so, lasted until the next one had begun."""
    keys: dict[str, Any] = {"schedule": "continuous", "connections": "1"}
    async with probe_at(relay.url, "steady-state", {}, **keys) as made, serving(made):
        await made.until(lambda: made.slots)
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(30 + at)
        block_loop(0.7, empty_rounds=EMPTY_ROUNDS)
        await made.until(lambda: len(made.runs) == 4, 150.0)
        ended = asyncio.get_running_loop().time() - began
    assert made.slots == ["started"] * 4
    assert {run.outcome for run in made.runs} == {Outcome.OK}
    assert 4 * 30 - 1 < ended < 4 * 30


async def test_a_bug_that_ends_the_connecting_is_counted_and_connects_again(
    relay: EmbeddedRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection never came back, and each interval counted as the relay's failure."""
    bugs: list[Exception] = []
    keys: dict[str, Any] = {"schedule": "continuous", "connections": "1"}
    async with probe_at(relay.url, "steady-state", {"duration": 0.4}, **keys) as made:
        with monkeypatch.context() as patched:
            patched.setattr(IdleConnection, "open", broken)
            async with serving(made, replace(made.context, on_bug=bugs.append)):
                await made.until(lambda: made.runs)
                patched.undo()
                await made.until(lambda: made.runs[-1].outcome is Outcome.OK)
    assert [str(bug) for bug in bugs] == ["a bug"]
    assert Outcome.FAILED not in {run.outcome for run in made.runs}


async def broken(_: object) -> None:
    raise RuntimeError("a bug")
