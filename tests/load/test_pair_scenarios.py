"""*realistic-session* and *steady-messaging* in virtual time."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from monitor.results import Paired, Reconnected
from monitor.scenarios import Scenario
from tests.load.recording import RecordedRun
from tests.virtual_time import WITHOUT_SOCKETS

if TYPE_CHECKING:
    from tests.load.in_memory_relay import InMemoryRelay

pytestmark = WITHOUT_SOCKETS


async def test_a_realistic_session_waits_and_no_latency_includes_the_waits(relay: InMemoryRelay) -> None:
    recorded = await RecordedRun(relay, Scenario.REALISTIC_SESSION, connection_pairs=1).run()
    # The dApp connects; five seconds later the wallet does.
    dapp, wallet = recorded.dialled
    assert dapp == pytest.approx(0.0)
    assert wallet == pytest.approx(5.03, abs=0.011)  # the dApp's hello, subscribe, history: 10 ms each
    # Three exchanges: half a second's pause, 10 ms for the request, a second's delay, 10 ms for the answer.
    paired = recorded.times(Paired)[0]
    assert recorded.exchanges(0) == pytest.approx([paired + 1.52 * number for number in (1, 2, 3)])
    messages = recorded.totals.sketches["messages"]
    assert (messages.count, messages.minimum, messages.maximum) == (3, pytest.approx(0.02), pytest.approx(0.02))
    # Both disconnect at once.
    assert recorded.disconnected == pytest.approx([recorded.exchanges(0)[-1]] * 2)
    assert recorded.totals.sketches["handshake"].maximum < 0.1
    assert recorded.totals.sketches["connectTime"].count == 2


async def test_steady_pairs_exchange_until_the_end(relay: InMemoryRelay) -> None:
    recorded = await RecordedRun(relay, Scenario.STEADY_MESSAGING, duration=60.0).run()
    first = recorded.exchanges(0)
    # The pause, 10 ms, the wallet's five seconds, 10 ms; the dApp's five seconds; and so on.
    assert first[0] == pytest.approx(recorded.times(Paired)[0] + 5.52)
    assert [later - earlier for earlier, later in pairwise(first)] == pytest.approx([10.52] * (len(first) - 1))
    # The duration begins after the ramp-up: the last exchange began before 8 + 60 s, and was finished.
    assert first[-1] - 5.02 < 68.0 <= first[-1] - 5.02 + 10.52
    assert recorded.totals.sketches["messages"].maximum == pytest.approx(0.02)
    assert recorded.totals.unanswered == 0


async def test_windows_are_ten_seconds_and_the_trend_compares_the_last_with_the_first(relay: InMemoryRelay) -> None:
    recorded = RecordedRun(relay, Scenario.STEADY_MESSAGING, duration=60.0, ramp_up=8.0)

    async def slow_down() -> None:
        await asyncio.sleep(50)
        relay.delay = 0.03

    slowing = asyncio.ensure_future(slow_down())
    await recorded.run()
    await slowing
    windows = recorded.totals.windows
    assert [window.at for window in windows] == [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
    assert sum(window.sketch.count for window in windows) == recorded.totals.received
    assert recorded.totals.trend == pytest.approx((0.02, 0.06), rel=0.001)


async def test_a_pair_that_drops_is_counted_once_and_reconnects(relay: InMemoryRelay) -> None:
    recorded = RecordedRun(relay, Scenario.STEADY_MESSAGING, duration=60.0, connection_pairs=2)

    async def cut() -> None:
        for at in (20.0, 30.0):
            await asyncio.sleep(at - recorded.now)
            relay.connections[0].cut()
            relay.connections[-1].cut()

    cutting = asyncio.ensure_future(cut())
    await recorded.run()
    await cutting
    totals = recorded.totals
    assert totals.disconnects == 2
    back = [report.seconds for _, report in recorded.published if isinstance(report, Reconnected)]
    assert totals.reconnects == len(back) >= 2
    assert all(0.0 < seconds < 10.0 for seconds in back)
    assert totals.received > 0
    assert recorded.runner.statistics.active == 0


async def test_a_pair_that_is_closed_for_good_fails_every_exchange_still_due(relay: InMemoryRelay) -> None:
    """Else fewer exchanges would be due the worse the relay is."""
    recorded = RecordedRun(relay, Scenario.STEADY_MESSAGING, duration=60.0, connection_pairs=2)

    async def close() -> None:
        await asyncio.sleep(30.0 - recorded.now)
        relay.connections[0].cut(3500)

    closing = asyncio.ensure_future(close())
    await recorded.run()
    await closing
    ended, other = recorded.exchanges(0), recorded.exchanges(1)
    totals = recorded.totals
    assert len(ended) == pytest.approx(len(other), abs=1)
    assert totals.unanswered == len([at for at in ended if at > 30.0]) >= 3
    assert (totals.disconnects, totals.reconnects) == (1, 0)
    assert totals.reasons == {"answer/disconnected": 1, "hold/disconnected": totals.unanswered - 1}


async def test_a_pair_that_never_reconnects_is_away_until_the_end(relay: InMemoryRelay) -> None:
    recorded = RecordedRun(relay, Scenario.STEADY_MESSAGING, duration=60.0, connection_pairs=1)

    async def close() -> None:
        await asyncio.sleep(28.0 - recorded.now)
        relay.connections[0].cut(3500)

    closing = asyncio.ensure_future(close())
    await recorded.run()
    await closing
    totals = recorded.totals
    assert totals.due_seconds - totals.connected_seconds == pytest.approx(recorded.now - 28.0, abs=0.01)


async def test_a_pair_whose_pairing_failed_is_not_used(relay: InMemoryRelay) -> None:
    relay.refuse = 2
    recorded = await RecordedRun(relay, Scenario.STEADY_MESSAGING, duration=30.0).run()
    assert (recorded.totals.immediate, recorded.totals.failed) == (2, 2)
    assert recorded.totals.reasons == {"tcp/refused": 2}
    assert recorded.totals.sent == recorded.totals.received > 0
