"""Stability, stops and local faults of every scenario, in virtual time."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from monitor.errors import LocalError
from monitor.results import PairTime
from monitor.scenarios import Scenario
from monitor.vocabulary import Reason, Step
from tests.load.recording import PAIRS, RecordedRun
from tests.virtual_time import WITHOUT_SOCKETS

if TYPE_CHECKING:
    from tests.load.in_memory_relay import InMemoryRelay

pytestmark = WITHOUT_SOCKETS


@pytest.mark.parametrize("scenario", [Scenario.STEADY_STATE, Scenario.STEADY_MESSAGING])
async def test_stability_is_seconds_connected_of_seconds_due_also_if_all_reconnect(
    relay: InMemoryRelay, scenario: Scenario
) -> None:
    recorded = RecordedRun(relay, scenario, duration=60.0)

    async def kill() -> None:
        await asyncio.sleep(30)
        relay.refuse = 10**6
        for connection in relay.connections:
            connection.cut()
        await asyncio.sleep(3)
        relay.refuse = 0

    killing = asyncio.ensure_future(kill())
    await recorded.run()
    await killing
    totals = recorded.totals
    # A hold is 60 s of each; pairs are due from their pairing, about five seconds after their start, to the end.
    if scenario is Scenario.STEADY_STATE:
        assert totals.due_seconds == pytest.approx(PAIRS * 60.0)
    else:
        assert PAIRS * 60.0 < totals.due_seconds < PAIRS * 80.0
    away = totals.due_seconds - totals.connected_seconds
    assert 3.0 * PAIRS <= away < 10.0 * PAIRS  # three seconds, and the back-off
    published = [report for _, report in recorded.published if isinstance(report, PairTime)]
    assert sum(report.seconds for report in published if not report.connected) == pytest.approx(away)
    assert max(later - earlier for earlier, later in pairwise(recorded.times(PairTime))) < 1.1


async def test_a_stopped_test_keeps_its_results_so_far(relay: InMemoryRelay) -> None:
    stop = asyncio.Event()
    recorded = RecordedRun(relay, Scenario.STEADY_MESSAGING, duration=600.0)
    asyncio.get_running_loop().call_later(40.0, stop.set)
    await recorded.run(stop)
    assert recorded.runner.interrupted
    assert recorded.now == pytest.approx(40.0, abs=0.1)
    totals = recorded.totals
    assert totals.received > 0
    assert totals.sent == totals.received
    assert totals.aborted <= PAIRS
    assert recorded.runner.statistics.active == 0


async def test_a_stop_during_the_ramp_up_fails_no_unfinished_pair(relay: InMemoryRelay) -> None:
    stop = asyncio.Event()
    recorded = RecordedRun(relay, Scenario.STEADY_MESSAGING, duration=60.0, connection_pairs=10, ramp_up=10.0)
    asyncio.get_running_loop().call_later(8.5, stop.set)
    await recorded.run(stop)
    totals = recorded.totals
    # Nine had started; the users of the last five had not scanned yet.
    assert (totals.attempted, totals.immediate, totals.failed, totals.unfinished) == (4, 4, 0, 5)
    assert recorded.runner.statistics.started == 9
    assert totals.aborted >= totals.unfinished
    assert totals.reasons == {}


@pytest.mark.parametrize("scenario", Scenario)
async def test_a_local_fault_aborts_and_counts_in_no_rate(relay: InMemoryRelay, scenario: Scenario) -> None:
    relay.refuse, relay.refusal = 10**6, LocalError(Step.TCP, Reason.UNREACHABLE, "no local route")
    recorded = await RecordedRun(relay, scenario, duration=5.0, timeout=2.0).run()
    totals = recorded.totals
    assert (totals.attempted, totals.failed) == (0, 0)
    assert (totals.unfinished, totals.aborted) == (PAIRS, PAIRS)
    assert totals.reasons == {"tcp/unreachable": PAIRS}
    assert recorded.runner.statistics.started == PAIRS
