"""No sample vanishes: what a blocked loop does to exchanges shows in their numbers, and every slot is accounted for."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from monitor.embedded import parse_fault
from monitor.probes.steady_messaging import SteadyMessaging
from monitor.vocabulary import Outcome
from tests.probes.harness import embedded, probe_at
from tests.virtual_time import EMPTY_ROUNDS, WITH_SOCKETS, block_loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from monitor.embedded import EmbeddedRelay
    from tests.probes.harness import ProbeHarness

pytestmark = WITH_SOCKETS

PERIOD = 0.2
KEYS: Any = {"schedule": "continuous", "pairs": "3", "message_interval": "100ms", "settle": "0s", "timeout": "5s"}


@pytest.fixture
async def relay() -> AsyncIterator[EmbeddedRelay]:
    async with embedded() as running:
        yield running


def _has_runs(made: ProbeHarness, number: int) -> bool:
    return len(made.runs) >= number


@pytest.mark.parametrize("blocked", [0.6, 2.5])
async def test_a_blocked_loop_makes_numbers_worse_and_none_vanish(relay: EmbeddedRelay, blocked: float) -> None:
    assert relay.plan is not None
    relay.plan.set([parse_fault("delay:channel=session,by=0.03")])  # so that exchanges are under way at all
    loop = asyncio.get_running_loop()
    async with probe_at(relay.url, "steady-messaging", **KEYS) as made:
        task = asyncio.ensure_future(SteadyMessaging().serve(made.context, made.pairs))
        await made.until(lambda: len(made.runs) >= 6)
        began = loop.time()
        for _ in range(2):
            # In the middle of exchanges, three pairs being spread over every period.
            loop.call_later(PERIOD / 5, partial(block_loop, blocked, empty_rounds=EMPTY_ROUNDS))
            enough = len(made.runs) + 9
            await made.until(partial(_has_runs, made, enough))
        task.cancel()
        await asyncio.wait({task})
        lasted = loop.time() - began
        await made.all_judged()
    runs = made.runs
    # Every slot that was started has its run; the last of each pair, cut short, is aborted.
    assert made.slots.count("started") == len(runs)
    assert [run.outcome for run in runs].count(Outcome.ABORTED) <= 3
    assert {run.outcome for run in runs} <= {Outcome.OK, Outcome.ABORTED}
    # What was under way shows the stall; what should have begun meanwhile was missed or begun late, and counted.
    slowest = max(exchange.round_trip or 0.0 for run in runs for exchange in run.exchanges)
    assert slowest > blocked / 2
    grid = 3 * lasted / PERIOD
    assert abs(len(made.slots) - 3 * 2 - grid) < 3 * 3 + 3
    if blocked > 1:
        assert made.slots.count("missed") > 0
    assert made.sent == len(made.judged)


async def test_what_a_timer_is_late_by_is_in_every_figure_that_it_holds_up(
    relay: EmbeddedRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleep, wait, lateness = asyncio.sleep, 0.123, 1.0

    async def sleep_long(delay: float) -> None:
        await sleep(delay + lateness if delay == wait else delay)

    monkeypatch.setattr(asyncio, "sleep", sleep_long)
    waits: Any = {"timeout": "5s", "messages": "1"}
    async with probe_at(relay.url, "realistic-session", settle="123ms", wallet_delay="123ms", **waits) as made:
        session = await made.run_once()
    async with probe_at(relay.url, "async-delivery", delay="123ms", **waits) as made:
        delivery = await made.run_once()
    assert session.pairing is not None
    for seconds in (session.pairing.seconds, session.exchanges[0].round_trip, delivery.exchanges[0].recovery):
        assert seconds == pytest.approx(lateness)


async def test_what_is_held_back_is_measured(relay: EmbeddedRelay) -> None:
    assert relay.plan is not None
    relay.plan.set([parse_fault("delay:channel=session,by=1.0")])
    async with probe_at(relay.url, "realistic-session", messages="2", settle="0s", timeout="5s") as made:
        run = await made.run_once()
    for exchange in run.exchanges:
        assert exchange.wire_request == pytest.approx(1.0)
        assert exchange.round_trip == pytest.approx(2.0)
