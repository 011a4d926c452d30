"""*connection-storm* and *steady-state* in virtual time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from monitor.errors import RateLimitedError
from monitor.pairs.idle import IdleConnection
from monitor.results import Reconnected, Run
from monitor.scenarios import Scenario
from monitor.vocabulary import Outcome, Reason, Step
from tests.load.in_memory_relay import Connection
from tests.load.recording import PAIRS, RecordedRun
from tests.virtual_time import WITHOUT_SOCKETS

if TYPE_CHECKING:
    from tests.load.in_memory_relay import InMemoryRelay

pytestmark = WITHOUT_SOCKETS


async def test_a_connect_is_immediate_or_recovered_after_retries(relay: InMemoryRelay) -> None:
    relay.refuse = 3
    recorded = await RecordedRun(relay, Scenario.CONNECTION_STORM, ramp_up=4.0, seed=7).run()
    totals = recorded.totals
    assert (totals.immediate, totals.recovered, totals.failed) == (2, 2, 0)
    assert totals.retries == 3
    # Immediate connects took the hello; recovered ones also the pauses before their retries.
    assert totals.sketches["connectTime"].minimum == pytest.approx(0.01)
    assert totals.sketches["connectTime"].maximum > 0.5


async def test_only_the_connection_that_got_a_retry_after_waits_for_it(relay: InMemoryRelay) -> None:
    relay.refuse, relay.refusal = 1, RateLimitedError(Step.UPGRADE, Reason.RATE_LIMITED, "HTTP 503", retry_after=7.0)
    recorded = await RecordedRun(relay, Scenario.CONNECTION_STORM, ramp_up=4.0, timeout=10.0).run()
    assert recorded.dialled == pytest.approx([0.0, 1.0, 2.0, 3.0, 7.0], abs=0.02)
    assert (recorded.totals.immediate, recorded.totals.recovered, recorded.totals.retries) == (3, 1, 1)


async def test_a_connection_that_never_connects_has_failed(relay: InMemoryRelay) -> None:
    relay.refuse = 10**6
    recorded = await RecordedRun(relay, Scenario.CONNECTION_STORM, timeout=10.0).run()
    assert (recorded.totals.immediate, recorded.totals.recovered, recorded.totals.failed) == (0, 0, PAIRS)
    assert recorded.totals.reasons == {"tcp/refused": PAIRS}
    assert recorded.now < 8.0 + 30.0


async def test_the_hold_begins_after_the_ramp_up_and_counts_connections_away(relay: InMemoryRelay) -> None:
    recorded = RecordedRun(relay, Scenario.STEADY_STATE, duration=20.0)

    async def cut() -> None:
        await asyncio.sleep(15)
        relay.connections[0].cut()
        relay.connections[1].cut()
        await asyncio.sleep(12.9)
        relay.connections[2].cut()  # too late to reconnect before the end

    cutting = asyncio.ensure_future(cut())
    await recorded.run()
    await cutting
    hold = recorded.totals.hold
    assert hold.seconds == pytest.approx(20.0)
    assert min(recorded.disconnected) == pytest.approx(28.0)
    assert (hold.current, hold.peak, hold.reconnects) == (1, 2, 2)
    assert recorded.totals.reasons == {"hold/disconnected": 3}


async def test_a_drop_is_counted_once_however_many_attempts_the_reconnect_takes(relay: InMemoryRelay) -> None:
    recorded = RecordedRun(relay, Scenario.STEADY_STATE, duration=40.0, connections=2)

    async def cut() -> None:
        await asyncio.sleep(15)
        relay.refuse = 4
        relay.connections[0].cut()

    cutting = asyncio.ensure_future(cut())
    await recorded.run()
    await cutting
    assert relay.refuse == 0
    assert recorded.totals.reasons == {"hold/disconnected": 1}
    hold = recorded.totals.hold
    assert (hold.current, hold.peak, hold.reconnects) == (0, 1, 1)
    (away,) = [report.seconds for _, report in recorded.published if isinstance(report, Reconnected)]
    assert away == pytest.approx(recorded.totals.due_seconds - recorded.totals.connected_seconds)
    assert recorded.runner.statistics.active == 0


async def test_stopped_before_the_hold_nothing_was_due(relay: InMemoryRelay) -> None:
    stop = asyncio.Event()
    recorded = RecordedRun(relay, Scenario.STEADY_STATE, duration=60.0)
    asyncio.get_running_loop().call_later(5.0, stop.set)
    await recorded.run(stop)
    assert recorded.totals.immediate == 3
    assert recorded.totals.due_seconds == 0.0


async def test_an_internal_error_in_one_connection_delays_no_other(
    relay: InMemoryRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = IdleConnection.open
    opening = iter([False, True, False, False])

    async def open_or_break(connection: IdleConnection) -> None:
        if next(opening):
            raise RuntimeError("an internal error")
        await opened(connection)

    monkeypatch.setattr(IdleConnection, "open", open_or_break)
    recorded = RecordedRun(relay, Scenario.STEADY_STATE, duration=20.0)
    async with asyncio.timeout(100):
        await recorded.run()
    totals = recorded.totals
    assert (totals.immediate, totals.failed, totals.unfinished, totals.aborted) == (PAIRS - 1, 0, 1, 1)
    assert totals.reasons == {"close/internal": 1}
    assert totals.hold.seconds == pytest.approx(20.0)


async def test_a_connection_dropped_together_with_its_hello_has_not_connected(
    relay: InMemoryRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive, dropping = Connection._receive_at_client, [True]

    def receive_and_drop(connection: Connection, text: str) -> None:
        receive(connection, text)
        if dropping and connection is relay.connections[0]:
            dropping.clear()
            connection.cut()

    monkeypatch.setattr(Connection, "_receive_at_client", receive_and_drop)
    recorded = await RecordedRun(relay, Scenario.STEADY_STATE, duration=20.0).run()
    totals = recorded.totals
    assert (totals.immediate, totals.recovered, totals.failed) == (PAIRS - 1, 1, 0)
    assert (totals.due_seconds, totals.connected_seconds) == pytest.approx((PAIRS * 20.0, PAIRS * 20.0))
    assert len(recorded.disconnected) == PAIRS
    assert recorded.runner.statistics.active == 0


@pytest.mark.parametrize("scenario", [Scenario.STEADY_STATE, Scenario.CONNECTION_STORM])
async def test_a_stop_fails_no_unfinished_connection(relay: InMemoryRelay, scenario: Scenario) -> None:
    stop = asyncio.Event()
    recorded = RecordedRun(relay, scenario)
    asyncio.get_running_loop().call_later(3.0, lambda: setattr(relay, "silent", True))
    asyncio.get_running_loop().call_later(5.0, stop.set)
    await recorded.run(stop)
    totals = recorded.totals
    assert (totals.attempted, totals.immediate, totals.failed) == (2, 2, 0)
    assert (totals.unfinished, totals.aborted, totals.reasons) == (1, 1, {})
    assert [run.outcome for _, run in recorded.published if isinstance(run, Run)].count(Outcome.ABORTED) == 1
