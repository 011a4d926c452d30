"""The rhythm of attempts in virtual time, and their runs in the journal."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import pytest

from monitor.pairs.participant import Participant
from monitor.pairs.tracker import DeliveryTracker
from monitor.reachability.attempts import try_new_pair
from monitor.relay.client import Client
from monitor.relay.transport import Transport
from monitor.results import ATTEMPT
from monitor.vocabulary import Condition, Outcome, Step
from tests.probes.harness import PERSISTENT, embedded, probe_at
from tests.reachability.harness import CONFIG, World, delivered, failed
from tests.virtual_time import WITH_SOCKETS, WITHOUT_SOCKETS

if TYPE_CHECKING:
    from monitor.results import RelayStatus


@WITHOUT_SOCKETS
class TestRhythm:
    async def test_one_starts_every_thirty_seconds_while_nothing_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        world = World(monkeypatch)
        await world.start(regular=True)
        world.script = lambda _: (0.1, delivered())
        await asyncio.sleep(95)
        assert world.starts == [0, 30, 60, 90]
        assert world.condition == Condition.UP
        await world.monitored_relays.stop()

    async def test_one_that_fails_is_the_first_of_a_round(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """No probe reports anything: newcomers alone are refused."""
        world = World(monkeypatch)
        await world.start(regular=True)
        world.script = lambda now: (0.1, delivered() if now < 45 else failed())
        await asyncio.sleep(69)
        assert world.starts == [0, 30, 60, 62, 64]
        assert world.ups == [(0.1, True), (65.1, False)]
        await world.monitored_relays.stop()

    async def test_its_interval_is_longer_where_the_limits_leave_little(self, monkeypatch: pytest.MonkeyPatch) -> None:
        limits = "name: demo, limits: {connects_per_minute: 3, messages_per_minute: 600},"
        world = World(monkeypatch, CONFIG.replace("name: demo,", limits))
        await world.start(regular=True)
        world.script = lambda _: (0.1, delivered())
        await asyncio.sleep(400)
        assert all(later - at > 30 for at, later in zip(world.starts, world.starts[1:], strict=False))
        assert len(world.starts) >= 5
        await world.monitored_relays.stop()

    async def test_a_monitor_that_restarts_in_an_outage_begins_with_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def down() -> RelayStatus:
            first = World(monkeypatch)
            await first.start()
            first.fail()
            await asyncio.sleep(6)
            await first.monitored_relays.stop()
            return first.status

        known = await down()
        assert known.condition is Condition.DOWN
        world = World(monkeypatch)
        await world.start(known=known)
        assert (world.status.condition, world.status.since, world.status.up) == (Condition.DOWN, known.since, False)
        world.deliver()
        assert world.condition == Condition.DOWN
        world.script = lambda _: (0.1, delivered())
        await asyncio.sleep(20)
        assert world.condition == Condition.UP
        assert len(world.starts) == 4
        await world.monitored_relays.stop()


@WITH_SOCKETS
@pytest.mark.usefixtures("nothing_is_left_open")
class TestRun:
    async def test_a_failed_attempt_is_a_run_with_its_cause_and_timeline(self) -> None:
        async with (
            embedded("error:at=subscribe,channel=session,code=100") as relay,
            probe_at(relay.url, "steady-messaging", **PERSISTENT) as made,
        ):
            result = await try_new_pair(made.context, 5.0)
        assert result.delivered is False
        assert result.run is not None
        assert (result.run.id, result.run.probe, result.run.outcome) == (result.run_id, ATTEMPT, Outcome.FAILED)
        assert result.run.failure is not None
        assert (result.run.failure.step, result.run.failure.status) == (Step.SUBSCRIBE, "100")
        assert result.run.timeline
        assert made.reports == [], "it is in no SLI"

    async def test_one_that_delivers_is_ok(self) -> None:
        async with embedded() as relay, probe_at(relay.url, "steady-messaging", **PERSISTENT) as made:
            result = await try_new_pair(made.context, 5.0)
        assert (result.delivered, result.error) == (True, None)
        assert result.run is not None
        assert result.run.outcome is Outcome.OK

    async def test_limits_that_forbid_the_second_half_of_an_attempt_leave_its_result_open(self) -> None:
        """A relay that refused its history was called down if this monitor's limits left no connects to try without."""
        limits = {"connects_per_minute": 2}
        async with (
            embedded("error:at=history,code=108") as relay,
            probe_at(relay.url, "steady-messaging", None, limits, **PERSISTENT) as made,
        ):
            result = await try_new_pair(made.context, 5.0)
        assert result.error is not None
        assert (result.delivered, result.error.step) == (None, Step.HISTORY)

    async def test_the_objects_of_one_that_delivers_need_no_garbage_collection(self) -> None:
        """Those of 200 relays were collected in steps of 20 ms of the event loop, and more where it was busy."""
        async with embedded() as relay, probe_at(relay.url, "steady-messaging", **PERSISTENT) as made:
            gc.collect()
            gc.disable()
            try:
                await try_new_pair(made.context, 5.0)
                await asyncio.sleep(60)  # beyond all deadlines
                kinds = (Client, DeliveryTracker, Participant, Transport)
                assert [each for each in gc.get_objects() if isinstance(each, kinds)] == []
            finally:
                gc.enable()
