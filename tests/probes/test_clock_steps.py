"""Steps of the wall clock: they end no session, and a session that has ended is replaced at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from monitor.clock import LoopClock
from monitor.results import Paired
from monitor.vocabulary import Outcome
from tests.probes.harness import PERSISTENT, probe_at, serving
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    from monitor.embedded import EmbeddedRelay
    from tests.probes.harness import ProbeHarness

pytestmark = [WITH_SOCKETS, pytest.mark.usefixtures("nothing_is_left_open")]

DAY = 86400.0


def step(made: ProbeHarness, seconds: float) -> None:
    clock = made.context.clock
    assert isinstance(clock, LoopClock)
    clock.step(seconds)


@pytest.mark.parametrize("seconds", [31 * DAY, 400 * DAY, -31 * DAY, 3600.0])
async def test_a_step_of_the_wall_clock_ends_no_session(relay: EmbeddedRelay, seconds: float) -> None:
    """A session lasts 30 days. Until the pair's `max_age` each exchange failed: "cannot send when DISCONNECTED"."""
    async with probe_at(relay.url, "steady-messaging", **PERSISTENT) as made, serving(made):
        await made.until(lambda: made.runs)
        step(made, seconds)
        known = len(made.runs)
        await made.until(lambda: len(made.runs) >= known + 5)
    assert {run.outcome for run in made.runs} == {Outcome.OK}
    assert len(made.all(Paired)) == 1


async def test_a_session_that_is_reused_survives_a_step_of_the_wall_clock(relay: EmbeddedRelay) -> None:
    keys: dict[str, Any] = {"messages": "1", "delay": "10ms", "timeout": "400ms", "pairing": "reuse"}
    async with probe_at(relay.url, "async-delivery", {"delay": 0.01}, **keys) as made:
        probe = made.probe_object()
        first = await made.run_once(probe)
        step(made, 31 * DAY)
        second = await made.run_once(probe)
    assert [first.outcome, second.outcome] == [Outcome.OK, Outcome.OK]
    assert second.pairing is None, "the session was reused"


async def test_a_pair_whose_session_has_ended_is_replaced_at_once(relay: EmbeddedRelay) -> None:
    async with probe_at(relay.url, "steady-messaging", **PERSISTENT) as made, serving(made):
        await made.until(lambda: made.runs)
        made.pair(0).dapp.peer.disconnect()
        known = len(made.runs)
        await made.until(lambda: len(made.all(Paired)) == 2)
        await made.until(lambda: made.runs[-1].outcome is Outcome.OK)
    assert len([run for run in made.runs[known:] if run.outcome is not Outcome.OK]) <= 2
