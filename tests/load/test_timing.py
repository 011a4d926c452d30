"""Latencies are measured from the intended times, whatever timers do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from monitor.scenarios import Scenario
from tests.load.recording import PAIRS, RecordedRun
from tests.virtual_time import WITHOUT_SOCKETS

if TYPE_CHECKING:
    from tests.load.in_memory_relay import InMemoryRelay

pytestmark = WITHOUT_SOCKETS


async def test_a_timer_that_fires_early_makes_no_latency_shorter(
    relay: InMemoryRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvloop's timers do: they count whole milliseconds."""
    sleep = asyncio.sleep

    async def sleep_short(delay: float) -> None:
        await sleep(max(0.0, delay - 0.0009))

    monkeypatch.setattr(asyncio, "sleep", sleep_short)
    sketches = (await RecordedRun(relay, Scenario.REALISTIC_SESSION).run()).totals.sketches
    assert sketches["messages"].minimum == pytest.approx(0.02)
    assert sketches["connectTime"].minimum == pytest.approx(0.01)
    assert sketches["handshake"].minimum > 0.02
    sketches = (await RecordedRun(relay, Scenario.ASYNC_DELIVERY).run()).totals.sketches
    assert sketches["recovery"].minimum == pytest.approx(0.03)
    sketches = (await RecordedRun(relay, Scenario.CONNECTION_STORM).run()).totals.sketches
    assert sketches["connectTime"].minimum == pytest.approx(0.01)


@pytest.fixture
def late_timers(monkeypatch: pytest.MonkeyPatch) -> float:
    """Delay each timer by the seconds returned, as a blocked event loop does."""
    sleep, seconds = asyncio.sleep, 1.5

    async def sleep_long(delay: float) -> None:
        await sleep(delay + seconds if delay > 0 else 0)

    monkeypatch.setattr(asyncio, "sleep", sleep_long)
    return seconds


@pytest.mark.parametrize("scenario", [Scenario.CONNECTION_STORM, Scenario.STEADY_STATE])
async def test_a_connect_is_measured_from_its_intended_start(
    relay: InMemoryRelay, late_timers: float, scenario: Scenario
) -> None:
    totals = (await RecordedRun(relay, scenario, duration=20.0).run()).totals
    connects = totals.sketches["connectTime"]
    # The first start waits for nothing.
    assert (connects.minimum, connects.quantile(0.5)) == pytest.approx((0.01, late_timers + 0.01), rel=0.001)
    assert totals.immediate == PAIRS


async def test_a_pairing_is_measured_from_the_wallets_intended_start(relay: InMemoryRelay, late_timers: float) -> None:
    totals = (await RecordedRun(relay, Scenario.REALISTIC_SESSION).run()).totals
    assert totals.sketches["handshake"].minimum == pytest.approx(late_timers + 0.05, abs=0.03)
    connects = totals.sketches["connectTime"]
    # Of eight peers only the first dApp, which waits for nothing, is in time.
    assert (connects.count, connects.minimum) == (2 * PAIRS, pytest.approx(0.01))
    assert connects.ranked(2) == pytest.approx(late_timers + 0.01, rel=0.001)


async def test_a_recovery_is_measured_from_the_wallets_intended_return(
    relay: InMemoryRelay, late_timers: float
) -> None:
    totals = (await RecordedRun(relay, Scenario.ASYNC_DELIVERY).run()).totals
    recovery = totals.sketches["recovery"]
    assert (recovery.count, recovery.minimum) == (PAIRS, pytest.approx(late_timers + 0.03))
