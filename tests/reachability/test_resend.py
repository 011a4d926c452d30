"""Messages that are resent over the persistent pair that failed, and what is counted of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from monitor.clock import LoopClock
from monitor.config import parse
from monitor.daemon.app import Monitor
from monitor.embedded import Fault
from monitor.vocabulary import Condition, Reason, Step
from tests.daemon.harness import page, total
from tests.probes.harness import embedded
from tests.reachability.harness import World, delivered, failed
from tests.virtual_time import WITH_SOCKETS, WITHOUT_SOCKETS

if TYPE_CHECKING:
    from collections.abc import Callable


@WITHOUT_SOCKETS
class TestResend:
    async def test_three_in_a_row_that_do_not_arrive_while_fresh_ones_cross_show_a_silent_node(
        self, world: World
    ) -> None:
        world.script = lambda _: (0.1, delivered())
        pair = world.add_pair()
        world.fail(pair=0, direction="response")  # the first of the three
        await asyncio.sleep(2.6)
        assert ("standing", False) not in world.counts(), "the last of the three is on its way"
        await asyncio.sleep(3)
        assert world.counts()[-1] == ("standing", False)
        assert pair.directions == ["request", "response", "response"]
        assert world.ups == [(0.1, True)]
        assert world.status.condition is Condition.DEGRADED
        assert world.status.cause is not None
        assert (world.status.cause.step, world.status.cause.reason) == (Step.ANSWER, Reason.SILENT)

    async def test_three_that_are_stored_and_not_pushed_show_it_too_where_no_fresh_one_crosses(
        self, world: World
    ) -> None:
        """Behind a balancer that deals connections in turn, each fresh pair has one end on the silent node."""
        world.stored = True
        world.deliver()
        world.add_pair()
        world.add_pair(1).in_flight.message.arrived_at = 1.0
        world.fail(Step.DELIVER, Reason.SILENT, pair=0)
        await asyncio.sleep(6)
        assert ("standing", False) in world.counts()
        assert world.status.up is True
        await asyncio.sleep(2)
        assert world.status.condition is Condition.NOT_ACCEPTING

    async def test_a_failure_other_than_a_missing_message_is_none_of_the_three(self, world: World) -> None:
        world.script = lambda _: (0.1, delivered())
        world.stored = True
        pair = world.add_pair()
        world.drop(pair=0)
        await asyncio.sleep(4)
        assert world.counts()[-1] == ("standing", False)
        assert len(pair.directions) == 1 + 3

    async def test_a_fresh_message_gives_it_a_second(self, world: World) -> None:
        world.script = lambda now: (0.1, delivered() if now >= 4 else failed())
        world.add_pair()
        world.fail(pair=0)
        await asyncio.sleep(5)
        assert ("standing", False) not in world.counts()

    async def test_one_that_carries_its_message_is_ok(self, world: World) -> None:
        world.script = lambda _: (0.1, delivered())
        pair = world.add_pair()
        world.fail(pair=0)
        await asyncio.sleep(1)
        pair.in_flight.message.arrived_at = world.clock.monotonic()
        await asyncio.sleep(5)
        assert world.counts() == [("fresh", True), ("standing", True)]

    async def test_nothing_is_counted_of_it_where_nothing_crosses_at_all(self, world: World) -> None:
        world.add_pair()
        world.fail(pair=0)
        await asyncio.sleep(7)
        world.script = lambda _: (0.1, delivered())
        await asyncio.sleep(10)
        assert [up for _, up in world.ups] == [False, True]
        assert [each for each in world.counts() if each[0] == "standing"] == []

    async def test_nothing_where_it_is_gone_or_drops_meanwhile(self, world: World) -> None:
        world.script = lambda _: (0.1, delivered())
        pair = world.add_pair(ready=False)
        world.drop(pair=0)
        await asyncio.sleep(6)
        assert pair.directions == []
        pair.ready = True
        world.fail(pair=0)
        await asyncio.sleep(1)
        pair.ready = False
        await asyncio.sleep(10)
        assert world.counts() == [("fresh", True), ("fresh", True)]

    async def test_one_that_comes_back_is_tried_then(self, world: World) -> None:
        world.script = lambda _: (0.1, delivered())
        pair = world.add_pair(ready=False)
        pair.in_flight.message.arrived_at = 1.0
        world.drop(pair=0)
        await asyncio.sleep(3)
        pair.ready = True
        await asyncio.sleep(1)
        assert world.counts() == [("fresh", True), ("standing", True)]

    async def test_few_are_tried_at_once_and_none_twice(self, world: World) -> None:
        pairs = [world.add_pair(number) for number in range(10)]
        world.script = lambda _: (0.1, delivered())
        for number in range(10):
            world.fail(pair=number)
            world.fail(pair=number)
        await asyncio.sleep(1)
        # One message over each of eight pairs in the round, and two over each that is examined.
        assert [len(pair.directions) for pair in pairs] == [3] * 3 + [1] * 5 + [0] * 2

    async def test_a_node_that_stays_silent_is_counted_again_at_each_slot(self, world: World) -> None:
        world.script = lambda _: (0.1, delivered())
        world.add_pair()
        for _ in range(4):
            world.fail(pair=0)
            await asyncio.sleep(10.5)
        assert world.counts().count(("standing", False)) == 4


SILENT = """
relays: [{{name: demo, url: "{one}", endpoints: ["{one}", "{other}"]}}]
probes: [{{name: steady, scenario: steady-messaging}}]
"""


class TestSilentNode:
    """Two nodes of one cluster, one of which acks and stores and pushes nothing; the probe is as shipped."""

    @WITH_SOCKETS
    async def test_it_is_named_in_time_with_its_autopsy_and_the_relay_stays_up(self) -> None:
        loop = asyncio.get_running_loop()
        async with embedded() as one, embedded(broker=one.broker) as other:
            assert one.plan is not None
            monitor = Monitor(parse(SILENT.format(one=one.url, other=other.url), "test", {}), clock=LoopClock())

            def confirmed(via: str, outcome: str) -> float:
                return total(page(monitor), "relay_probe_confirmations_total", over=via, outcome=outcome)

            def autopsies() -> list[str]:
                runs = [kept.run for kept in monitor.journal.runs(outcome="failed")]
                return [mark.note.split(":")[0] for run in runs for mark in run.timeline if mark.step is Step.HISTORY]

            await monitor.start()
            try:
                await until(lambda: monitor.monitored_relays.relays["demo"].verdict.up is True)
                one.plan.set([Fault.make("drop")])
                since = loop.time()
                await until(lambda: confirmed("standing", "failed") >= 1, 30)
                assert loop.time() - since < 20  # what on-call is promised
                assert confirmed("fresh", "ok") >= 1
                await until(lambda: "stored_not_pushed" in autopsies())
                assert monitor.monitored_relays.relays["demo"].verdict.up is True
                # It resolves by itself: healed, the next confirmations find nothing.
                one.plan.set([])
                ok = total(page(monitor), "relay_probe_exchanges_total", outcome="ok")
                await until(lambda: total(page(monitor), "relay_probe_exchanges_total", outcome="ok") >= ok + 2, 40)
                counted = confirmed("standing", "failed")
                await asyncio.sleep(4)
                assert confirmed("standing", "failed") == counted
            finally:
                await monitor.stop()


async def until(true: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something holds, looked at every second: to render a page takes some 30 ms."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - there is no event for what a page shows
            await asyncio.sleep(1)
