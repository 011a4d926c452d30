"""When a relay is called down, and what is counted of the attempts that confirm it; the attempts' results are scripted.

Times are virtual, so that each is exact. What attempts do on a real relay is in the last class, and in `test_booking`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from monitor.clock import LoopClock, utc
from monitor.config import parse
from monitor.daemon.app import Monitor
from monitor.embedded import Fault
from monitor.errors import LocalError, ProbeError
from monitor.reachability import verdict
from monitor.reachability.attempts import AttemptResult
from monitor.relays import MonitoredRelays
from monitor.results import Confirmed, Disconnected, Exchange, Failure, MessageFate, Paired, Pairing, Run
from monitor.scenarios import Scenario
from monitor.vocabulary import Outcome, Reason, Step
from tests.daemon.test_app import page, total
from tests.probes.harness import embedded
from tests.virtual_time import WITH_SOCKETS, WITHOUT_SOCKETS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from monitor.pairs.context import ProbeContext
    from monitor.reachability.verdict import RelayVerdict
    from monitor.results import Report

CONFIG = """
relays: [{name: demo, url: "ws://127.0.0.1:9/connection/websocket"}]
probes: [{name: steady, scenario: steady-messaging, timeout: 5s}]
"""
REFUSED = ProbeError(Step.TCP, Reason.REFUSED, "refused")
LIMITS = LocalError(Step.RESOLVE, Reason.OVERLOADED, "limits allow no more connects now")


class Message:
    arrived_at: float | None = None


@dataclass
class InFlightMessage:
    message: Message = field(default_factory=Message)


@dataclass(eq=False)
class StandingPair:
    """A pair that stands, or does not."""

    ready: bool = True
    terminated: bool = False
    in_flight: InFlightMessage = field(default_factory=InFlightMessage)
    directions: list[str] = field(default_factory=list)
    recorder: Any = field(default_factory=lambda: type("Recorder", (), {"run_id": "pair"}))

    def resend(self, direction: str, timeout: float) -> InFlightMessage:
        assert timeout == 5
        self.directions.append(direction)
        return self.in_flight


class World:
    """One relay's verdict, fed by hand. `script` says how an attempt that starts now ends, and after how long."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, text: str = CONFIG) -> None:
        self.clock = LoopClock()
        self.reports: list[Confirmed] = []
        self.ups: list[tuple[float, bool]] = []
        self.starts: list[float] = []
        self.recovery: list[bool] = []
        self.asked: list[ProbeError | None] = []
        self.ours = False
        self.started: float | None = None
        self.settled: list[float] = []
        self.script: Callable[[float], tuple[float, AttemptResult]] = lambda _: (0.1, failed())
        config = parse(text, "test", {})
        self.monitored_relays = MonitoredRelays(
            config,
            self.clock,
            self._take,
            is_local_fault=self._answer,
            on_resolved=lambda _: self.settled.append(self.now),
        )
        self.config = config
        monkeypatch.setattr(verdict, "try_new_pair", self._try_new_pair)

    @property
    def now(self) -> float:
        return round(self.clock.monotonic() - self._begin(), 3)

    def _begin(self) -> float:
        """Seconds count from the first thing that happens: only then time is virtual."""
        if self.started is None:
            self.started = self.clock.monotonic()
        return self.started

    @property
    def up(self) -> RelayVerdict:
        return self.monitored_relays.relays["demo"].verdict

    async def start(self) -> None:
        await self.monitored_relays.start(lambda _, up: self.ups.append((self.now, up)))
        self.context = self.monitored_relays.context("demo", self.config.probes[0])

    def counts(self) -> list[tuple[str, bool]]:
        return [(report.via, report.ok) for report in self.reports]

    def fail(
        self,
        step: Step = Step.DELIVER,
        reason: Reason = Reason.LOST,
        pair: int | None = None,
        direction: str = "request",
    ) -> None:
        self._begin()
        fate = MessageFate(direction=direction, sequence=1, verdict=None)
        self.up.observe(run(self.clock, Outcome.FAILED, Failure(step=step, reason=reason), pair, (fate,)), self.context)

    def cross(self) -> None:
        self._begin()
        exchange = Exchange(outcome=Outcome.OK, round_trip=0.01)
        self.up.observe(run(self.clock, Outcome.OK, None, 0, (), (exchange,)), self.context)

    def drop(self, pair: int | None = None, code: int = 3001) -> None:
        self._begin()
        self.up.observe(Disconnected(relay="demo", probe="steady", run_id="x", code=code, pair=pair), self.context)

    def stand(self, number: int = 0, *, ready: bool = True) -> StandingPair:
        pair = StandingPair(ready=ready)
        self.up.pairs.add("steady", number, pair)  # type: ignore[arg-type]
        return pair

    def _take(self, report: Run | Report, context: ProbeContext) -> None:
        assert isinstance(report, Confirmed)
        assert context is self.context
        self.reports.append(report)

    async def _answer(self, error: ProbeError | None) -> bool:
        self.asked.append(error)
        await asyncio.sleep(1)
        return self.ours

    async def _try_new_pair(self, context: ProbeContext, bound: float, *, recovery: bool = False) -> AttemptResult:
        assert (context, bound) == (self.context, 5)
        self.starts.append(self.now)
        self.recovery.append(recovery)
        took, tried = self.script(self.now)
        await asyncio.sleep(took)
        return tried


def run(
    clock: LoopClock,
    outcome: Outcome,
    failure: Failure | None,
    pair: int | None,
    messages: tuple[MessageFate, ...] = (),
    exchanges: tuple[Exchange, ...] = (),
) -> Run:
    return Run(
        id="x",
        relay="demo",
        probe="steady",
        scenario=Scenario.STEADY_MESSAGING,
        started_at=utc(clock),
        duration=1.0,
        outcome=outcome,
        failure=failure,
        exchanges=exchanges,
        pair=pair,
        messages=messages,
    )


def failed(error: ProbeError = REFUSED) -> AttemptResult:
    return AttemptResult(run_id="fresh", delivered=False, error=error)


def unknown(error: ProbeError) -> AttemptResult:
    return AttemptResult(run_id="fresh", delivered=None, error=error)


def delivered() -> AttemptResult:
    return AttemptResult(run_id="fresh", delivered=True)


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    made = World(monkeypatch)
    await made.start()
    yield made
    await made.monitored_relays.stop()


@WITHOUT_SOCKETS
class TestDown:
    async def test_three_attempts_two_seconds_apart_all_failed_take_it_down(self, world: World) -> None:
        world.fail()
        await asyncio.sleep(20)
        assert world.starts[:3] == [0, 2, 4]
        # The last attempt ends at 4.1; by then the question whether it is ours, asked at 0.1, is asked once more.
        assert world.ups == [(5.1, False)]
        assert world.counts()[:3] == [("fresh", False)] * 3

    async def test_while_down_an_attempt_every_five_seconds_finds_the_repair(self, world: World) -> None:
        world.script = lambda now: (0.1, failed() if now < 18 else delivered())
        world.drop()
        await asyncio.sleep(30)
        assert world.starts == [0, 2, 4, 10.1, 15.1, 20.1]
        assert world.recovery == [False] * 3 + [True] * 3
        assert world.ups == [(5.1, False), (20.2, True)]

    async def test_attempts_that_take_their_time_keep_to_the_five_seconds(self, world: World) -> None:
        world.script = lambda _: (4.9, failed())
        world.drop()
        await asyncio.sleep(26)
        assert world.ups == [(9.9, False)]
        assert world.starts[3:] == [14.9, 19.9, 24.9]

    async def test_the_first_message_that_crosses_makes_it_up_again(self, world: World) -> None:
        world.fail()
        await asyncio.sleep(7)
        world.cross()
        await asyncio.sleep(30)
        assert world.ups == [(5.1, False), (7, True)]
        assert len(world.starts) == 3, "nobody looks for a repair any more"

    async def test_what_fails_again_right_after_a_repair_is_confirmed_at_once(self, world: World) -> None:
        world.fail()
        await asyncio.sleep(7)
        world.cross()
        await asyncio.sleep(1)
        world.fail()
        await asyncio.sleep(7)
        assert world.starts == [0, 2, 4, 8, 10, 12]
        assert world.ups == [(5.1, False), (7, True), (13.1, False)]

    async def test_one_that_crosses_ends_the_round_and_nothing_falls(self, world: World) -> None:
        world.cross()
        world.script = lambda now: (0.1, delivered() if now >= 2 else failed())
        world.fail()
        await asyncio.sleep(20)
        assert world.ups == [(0, True)]
        assert world.starts == [0, 2]
        assert world.counts() == [("fresh", False), ("fresh", True)]

    async def test_a_message_that_crosses_meanwhile_is_enough(self, world: World) -> None:
        world.fail()
        await asyncio.sleep(3)
        world.cross()
        await asyncio.sleep(20)
        assert world.ups == [(3, True)]

    async def test_flapping_is_counted_each_time(self, world: World) -> None:
        world.cross()
        # Down for ten seconds, up for ten.
        world.script = lambda now: (0.1, failed() if (now + 1) % 20 < 11 else delivered())
        for _ in range(3):
            world.drop()
            await asyncio.sleep(20)
        assert [up for _, up in world.ups] == [True, False, True, False, True, False, True]

    async def test_a_standing_pair_that_cannot_be_made_starts_a_round_too(self, world: World) -> None:
        origin = {"relay": "demo", "probe": "steady", "run_id": "x"}
        failure = Failure(step=Step.UPGRADE, reason=Reason.RATE_LIMITED)
        world.up.observe(Paired(**origin, pairing=Pairing(outcome=Outcome.FAILED, failure=failure)), world.context)
        await asyncio.sleep(1)
        world.up.observe(Paired(**origin, pairing=Pairing(outcome=Outcome.ABORTED)), world.context)
        await asyncio.sleep(1)
        assert world.starts == []
        world.up.observe(Paired(**origin, pairing=Pairing(outcome=Outcome.FAILED)), world.context)
        await asyncio.sleep(1)
        assert world.starts == [0]

    async def test_failures_at_the_same_moment_start_one_round(self, world: World) -> None:
        world.fail()
        world.drop()
        await asyncio.sleep(4.5)
        assert world.starts == [0, 2, 4]

    async def test_rounds_start_five_seconds_apart_at_least(self, world: World) -> None:
        world.script = lambda _: (0.1, delivered())
        for _ in range(100):
            world.fail()
            await asyncio.sleep(0.5)
        assert all(later - first >= 5 for first, later in zip(world.starts, world.starts[1:], strict=False))
        assert len(world.starts) == 10

    @pytest.mark.parametrize("attempts", [1, 10])
    async def test_all_attempts_fit_into_the_time_they_have(
        self, monkeypatch: pytest.MonkeyPatch, attempts: int
    ) -> None:
        world = World(monkeypatch, CONFIG.replace("timeout: 5s", f"timeout: 5s, confirm: {{attempts: {attempts}}}"))
        await world.start()
        world.script = lambda _: (4.9, failed())
        world.fail()
        await asyncio.sleep(12)
        await world.monitored_relays.stop()
        assert len([start for start in world.starts if start <= 5]) == attempts
        # The answer whose fault it is takes another second here.
        assert [(up, at <= 10 + 1) for at, up in world.ups] == [(False, True)]


@WITHOUT_SOCKETS
class TestNoVerdict:
    async def test_none_while_the_relay_asks_for_fewer(self, world: World) -> None:
        world.fail(Step.UPGRADE, Reason.RATE_LIMITED)
        world.context.admission.connects.pause(10)
        world.fail()
        world.drop()
        await asyncio.sleep(20)
        assert (world.starts, world.ups, world.up.unresolved) == ([], [], False)

    @pytest.mark.parametrize(("code", "rounds"), [(3001, 1), (3013, 0), (3504, 0)])
    async def test_none_where_it_closes_to_have_fewer(self, world: World, code: int, rounds: int) -> None:
        world.script = lambda _: (0.1, delivered())
        world.drop(code=code)
        await asyncio.sleep(20)
        assert len(world.starts) == rounds

    async def test_an_attempt_that_is_asked_for_fewer_ends_the_round(self, world: World) -> None:
        world.script = lambda _: (0.1, unknown(ProbeError(Step.UPGRADE, Reason.RATE_LIMITED)))
        world.fail()
        await asyncio.sleep(20)
        assert (world.starts, world.ups, world.settled) == ([0], [], [0.1])

    async def test_one_failure_beside_attempts_that_could_not_be_made_is_too_little(self, world: World) -> None:
        world.script = lambda now: (0.1, failed() if now == 0 else unknown(LIMITS))
        world.fail()
        await asyncio.sleep(20)
        assert world.ups == []

    async def test_two_failures_beside_one_are_enough(self, world: World) -> None:
        world.script = lambda now: (0.1, unknown(LIMITS) if now == 2 else failed())
        world.fail()
        await asyncio.sleep(9)
        assert world.ups == [(5.1, False)]

    async def test_a_run_that_found_no_way_out_of_this_machine_makes_us_ask(self, world: World) -> None:
        failure = Failure(step=Step.TCP, reason=Reason.UNREACHABLE, detail="no local route")
        world.up.observe(run(world.clock, Outcome.ABORTED, failure, None), world.context)
        await asyncio.sleep(2)
        (asked,) = world.asked
        assert isinstance(asked, LocalError)
        assert str(asked) == "tcp: unreachable: no local route"
        assert world.starts == []


@WITHOUT_SOCKETS
class TestWhoseFault:
    async def test_a_fault_of_ours_takes_no_relay_down(self, world: World) -> None:
        world.ours = True
        world.fail()
        await asyncio.sleep(30)
        assert world.ups == []

    async def test_it_is_asked_as_soon_as_an_attempt_fails_and_open_until_it_is_answered(self, world: World) -> None:
        world.fail()
        assert world.up.unresolved
        await asyncio.sleep(1)
        assert (world.asked, world.settled) == ([REFUSED], [])
        await asyncio.sleep(0.2)
        assert world.settled == [1.1]

    async def test_a_message_that_crosses_answers_it(self, world: World) -> None:
        world.script = lambda _: (0.1, delivered())
        world.fail()
        await asyncio.sleep(1)
        assert (world.settled, world.asked) == ([0.1], [])

    async def test_down_for_long_it_is_asked_again_at_the_next_failure(self, world: World) -> None:
        world.fail()
        await asyncio.sleep(9)
        asked = len(world.asked)
        world.fail()
        unresolved = [world.up.unresolved]  # it has just been answered
        await asyncio.sleep(11)
        world.fail()
        unresolved.append(world.up.unresolved)
        assert unresolved == [False, True]
        await asyncio.sleep(1.1)
        assert len(world.asked) == asked + 1
        assert world.settled[-1] == 21

    async def test_frozen_it_reaches_no_verdict_and_thawed_it_looks_for_the_repair(self, world: World) -> None:
        world.fail()
        await asyncio.sleep(1)
        world.up.suspend()
        assert world.settled == [1]
        await asyncio.sleep(30)
        assert (world.ups, world.starts) == ([], [0])
        world.fail()
        await asyncio.sleep(6)
        assert [up for _, up in world.ups] == [False]
        world.up.suspend()
        since = len(world.starts)
        await asyncio.sleep(30)
        assert len(world.starts) == since
        world.up.resume()
        await asyncio.sleep(6)
        assert len(world.starts) == since + 1


@WITHOUT_SOCKETS
class TestTheStandingPair:
    async def test_it_fails_where_a_fresh_message_sent_later_has_crossed(self, world: World) -> None:
        world.script = lambda _: (0.1, delivered())
        pair = world.stand()
        world.fail(pair=0, direction="response")
        await asyncio.sleep(2.4)
        assert world.counts() == [("fresh", True)], "half a time-out is not over yet"
        await asyncio.sleep(0.3)
        assert world.counts() == [("fresh", True), ("standing", False)]
        assert pair.directions == ["response"]
        assert world.ups == [(0.1, True)]

    async def test_it_has_a_second_from_the_fresh_message_on(self, world: World) -> None:
        world.script = lambda now: (0.1, delivered() if now >= 4 else failed())
        world.stand()
        world.fail(pair=0)
        await asyncio.sleep(5)
        assert ("standing", False) not in world.counts()
        await asyncio.sleep(0.3)
        assert world.counts()[-1] == ("standing", False)

    async def test_one_that_carries_its_message_is_ok(self, world: World) -> None:
        world.script = lambda _: (0.1, delivered())
        pair = world.stand()
        world.fail(pair=0)
        await asyncio.sleep(1)
        pair.in_flight.message.arrived_at = world.clock.monotonic()
        await asyncio.sleep(5)
        assert world.counts() == [("fresh", True), ("standing", True)]

    async def test_nothing_is_counted_of_it_where_nothing_crosses_at_all(self, world: World) -> None:
        world.stand()
        world.fail(pair=0)
        await asyncio.sleep(7)
        world.script = lambda _: (0.1, delivered())
        await asyncio.sleep(10)
        assert [up for _, up in world.ups] == [False, True]
        assert [each for each in world.counts() if each[0] == "standing"] == []

    async def test_nothing_where_it_is_gone_or_drops_meanwhile(self, world: World) -> None:
        world.script = lambda _: (0.1, delivered())
        pair = world.stand(ready=False)
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
        pair = world.stand(ready=False)
        pair.in_flight.message.arrived_at = 1.0
        world.drop(pair=0)
        await asyncio.sleep(3)
        pair.ready = True
        await asyncio.sleep(1)
        assert world.counts() == [("fresh", True), ("standing", True)]

    async def test_few_are_tried_at_once_and_none_twice(self, world: World) -> None:
        pairs = [world.stand(number) for number in range(10)]
        world.script = lambda _: (0.1, delivered())
        for number in range(10):
            world.fail(pair=number)
            world.fail(pair=number)
        await asyncio.sleep(1)
        assert [len(pair.directions) for pair in pairs] == [1] * 3 + [0] * 7

    async def test_a_node_that_stays_silent_is_counted_again_at_each_slot(self, world: World) -> None:
        world.script = lambda _: (0.1, delivered())
        world.stand()
        for _ in range(4):
            world.fail(pair=0)
            await asyncio.sleep(10.5)
        assert world.counts() == [("fresh", True), ("standing", False)] * 4


SILENT = """
relays: [{{name: demo, url: "{one}", endpoints: ["{one}", "{other}"]}}]
probes: [{{name: steady, scenario: steady-messaging}}]
"""


class TestASilentNode:
    """Two nodes of one cluster, one of which acks and stores and pushes nothing; the probe is as shipped."""

    @WITH_SOCKETS
    async def test_it_is_named_in_time_with_its_autopsy_and_the_relay_stays_up(self) -> None:
        loop = asyncio.get_running_loop()
        async with embedded() as one, embedded(broker=one.broker) as other:
            assert one.plan is not None
            monitor = Monitor(parse(SILENT.format(one=one.url, other=other.url), "test", {}), clock=LoopClock())

            def confirmed(over: str, outcome: str) -> float:
                return total(page(monitor), "relay_probe_confirmations_total", over=over, outcome=outcome)

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
