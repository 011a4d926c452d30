"""The five scenarios in virtual time, against a relay that takes exactly 10 ms for each way there and back."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from monitor.errors import LocalError, ProbeError, RateLimitedError
from monitor.load.plan import Plan
from monitor.load.scenario_runner import ScenarioRunner
from monitor.pairs.idle import IdleConnection
from monitor.results import Paired, PairTime, Reconnected, Report, Run
from monitor.scenarios import Scenario
from monitor.session.envelope import decode, encode
from monitor.vocabulary import Outcome, Reason, Step
from tests.load.stand_in import Line
from tests.virtual_time import WITHOUT_SOCKETS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.load.stand_in import StandIn

pytestmark = WITHOUT_SOCKETS

TARGET = "ws://relay.test/connection/websocket"
PAIRS = 4


class Stage:
    """One play and what it published, each with the moment, in seconds since the beginning."""

    def __init__(self, relay: StandIn, scenario: Scenario, **keys: Any) -> None:
        self.relay = relay
        usual: dict[str, Any] = {"connections": PAIRS, "connection_pairs": PAIRS, "ramp_up": 8.0, "crypto": "mock"}
        self.plan = Plan(target=TARGET, scenario=scenario, **(usual | keys))
        self.play = ScenarioRunner(self.plan, relay.clock, self._take)
        self.published: list[tuple[float, Run | Report]] = []

    def _take(self, report: Run | Report) -> None:
        self.published.append((self.now, report))

    @property
    def now(self) -> float:
        return self.relay.clock.monotonic() - self.play.statistics.began

    async def run(self, stop: asyncio.Event | None = None) -> Stage:
        await self.play.run(stop)
        return self

    @property
    def totals(self) -> Any:
        return self.play.statistics.totals

    def moments(self, kind: type[Run | Report]) -> list[float]:
        return [at for at, report in self.published if isinstance(report, kind)]

    def exchanges(self, pair: int) -> list[float]:
        """When each exchange of one pair ended."""
        return [at for at, report in self.published if isinstance(report, Run) and report.pair == pair]

    @property
    def dialled(self) -> list[float]:
        return [at - self.play.statistics.began for at in self.relay.dialled]

    @property
    def left(self) -> list[float]:
        return [at - self.play.statistics.began for at in self.relay.left]


async def test_starts_are_spread_over_the_ramp_up_and_wait_for_nobody(relay: StandIn) -> None:
    relay.silent = True
    stage = await Stage(relay, Scenario.REALISTIC_SESSION, timeout=30.0).run()
    assert stage.dialled == pytest.approx([0.0, 2.0, 4.0, 6.0])  # though none of them was ever answered
    assert stage.totals.attempted == PAIRS
    assert stage.totals.reasons == {"hello/silent": PAIRS}


async def test_a_workers_starts_are_those_a_single_process_would_make(relay: StandIn) -> None:
    relay.silent = True
    stage = await Stage(relay, Scenario.REALISTIC_SESSION, worker=(1, 2), timeout=5.0).run()
    assert stage.dialled == pytest.approx([2.0, 6.0])


async def test_a_realistic_session_takes_its_waits_and_counts_none_of_them(relay: StandIn) -> None:
    stage = await Stage(relay, Scenario.REALISTIC_SESSION, connection_pairs=1).run()
    # The dApp connects; five seconds later the wallet does.
    dapp, wallet = stage.dialled
    assert dapp == pytest.approx(0.0)
    assert wallet == pytest.approx(5.03, abs=0.011)  # the dApp's hello, subscribe, history: 10 ms each
    # Three exchanges, each half a second of settling, 10 ms there, a second's thinking, 10 ms back.
    paired = stage.moments(Paired)[0]
    assert stage.exchanges(0) == pytest.approx([paired + 1.52 * number for number in (1, 2, 3)])
    messages = stage.totals.sketches["messages"]
    assert (messages.count, messages.minimum, messages.maximum) == (3, pytest.approx(0.02), pytest.approx(0.02))
    # And leaves at once.
    assert stage.left == pytest.approx([stage.exchanges(0)[-1]] * 2)
    assert stage.totals.sketches["handshake"].maximum < 0.1
    assert stage.totals.sketches["connectTime"].count == 2


async def test_a_timer_that_fires_early_makes_no_latency_shorter(
    relay: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As uvloop's do, which count whole milliseconds."""
    sleep = asyncio.sleep

    async def sleep_short(delay: float) -> None:
        await sleep(max(0.0, delay - 0.0009))

    monkeypatch.setattr(asyncio, "sleep", sleep_short)
    sketches = (await Stage(relay, Scenario.REALISTIC_SESSION).run()).totals.sketches
    assert sketches["messages"].minimum == pytest.approx(0.02)
    assert sketches["connectTime"].minimum == pytest.approx(0.01)
    assert sketches["handshake"].minimum > 0.02
    sketches = (await Stage(relay, Scenario.ASYNC_DELIVERY).run()).totals.sketches
    assert sketches["recovery"].minimum == pytest.approx(0.03)
    sketches = (await Stage(relay, Scenario.CONNECTION_STORM).run()).totals.sketches
    assert sketches["connectTime"].minimum == pytest.approx(0.01)


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> float:
    """As where the loop was blocked for so many seconds over the moment when each timer was due."""
    sleep, seconds = asyncio.sleep, 1.5

    async def sleep_long(delay: float) -> None:
        await sleep(delay + seconds if delay > 0 else 0)

    monkeypatch.setattr(asyncio, "sleep", sleep_long)
    return seconds


@pytest.mark.parametrize("scenario", [Scenario.CONNECTION_STORM, Scenario.STEADY_STATE])
async def test_a_connection_is_timed_from_when_it_was_to_start(relay: StandIn, late: float, scenario: Scenario) -> None:
    totals = (await Stage(relay, scenario, duration=20.0).run()).totals
    connects = totals.sketches["connectTime"]
    # The first start waits for nothing.
    assert (connects.minimum, connects.quantile(0.5)) == pytest.approx((0.01, late + 0.01), rel=0.001)
    assert totals.immediate == PAIRS


async def test_a_pairing_is_timed_from_when_the_wallet_was_to_start(relay: StandIn, late: float) -> None:
    totals = (await Stage(relay, Scenario.REALISTIC_SESSION).run()).totals
    assert totals.sketches["handshake"].minimum == pytest.approx(late + 0.05, abs=0.03)
    connects = totals.sketches["connectTime"]
    # Of eight ends only the first dApp, which waits for nothing, is in time.
    assert (connects.count, connects.minimum) == (2 * PAIRS, pytest.approx(0.01))
    assert connects.ranked(2) == pytest.approx(late + 0.01, rel=0.001)


async def test_a_recovery_is_timed_from_when_the_wallet_was_to_be_back(relay: StandIn, late: float) -> None:
    totals = (await Stage(relay, Scenario.ASYNC_DELIVERY).run()).totals
    recovery = totals.sketches["recovery"]
    assert (recovery.count, recovery.minimum) == (PAIRS, pytest.approx(late + 0.03))


async def test_steady_pairs_loop_from_their_connecting_to_the_end(relay: StandIn) -> None:
    stage = await Stage(relay, Scenario.STEADY_MESSAGING, duration=60.0).run()
    first = stage.exchanges(0)
    # Settle, 10 ms, the wallet's five seconds, 10 ms; the dApp's five seconds; and so on.
    assert first[0] == pytest.approx(stage.moments(Paired)[0] + 5.52)
    assert [later - earlier for earlier, later in pairwise(first)] == pytest.approx([10.52] * (len(first) - 1))
    # The duration begins after the ramp-up: the last exchange began before 8 + 60 s, and was finished.
    assert first[-1] - 5.02 < 68.0 <= first[-1] - 5.02 + 10.52
    assert stage.totals.sketches["messages"].maximum == pytest.approx(0.02)
    assert stage.totals.unanswered == 0


async def test_steady_pairs_never_send_in_one_burst(relay: StandIn) -> None:
    stage = await Stage(relay, Scenario.STEADY_MESSAGING, duration=30.0).run()
    ends = sorted(at for number in range(PAIRS) for at in stage.exchanges(number))
    assert min(later - earlier for earlier, later in pairwise(ends)) > 0.5


async def test_pairs_leave_one_after_another(relay: StandIn) -> None:
    stage = await Stage(relay, Scenario.STEADY_MESSAGING, duration=30.0, ramp_up=0.0, connection_pairs=5).run()
    leaving = sorted(stage.left)[::2]  # each pair has two connections
    assert [later - earlier for earlier, later in pairwise(leaving)] == pytest.approx([0.001] * 4)
    stage = await Stage(begun_anew(relay), Scenario.STEADY_STATE, duration=1.0, ramp_up=8.0, connections=5).run()
    assert [later - earlier for earlier, later in pairwise(stage.left)] == pytest.approx([1.6] * 4)


def begun_anew(relay: StandIn) -> StandIn:
    relay.left.clear()
    relay.dialled.clear()
    return relay


async def test_snapshots_are_ten_seconds_and_the_trend_is_last_against_first(relay: StandIn) -> None:
    stage = Stage(relay, Scenario.STEADY_MESSAGING, duration=60.0, ramp_up=8.0)

    async def slow_down() -> None:
        await asyncio.sleep(50)
        relay.way = 0.03

    slowing = asyncio.ensure_future(slow_down())
    await stage.run()
    await slowing
    windows = stage.totals.windows
    assert [window.at for window in windows] == [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
    assert sum(window.sketch.count for window in windows) == stage.totals.received
    assert stage.totals.trend == pytest.approx((0.02, 0.06), rel=0.001)


async def test_a_pair_that_drops_is_counted_once_and_comes_back(relay: StandIn) -> None:
    stage = Stage(relay, Scenario.STEADY_MESSAGING, duration=60.0, connection_pairs=2)

    async def cut() -> None:
        for at in (20.0, 30.0):
            await asyncio.sleep(at - stage.now)
            relay.lines[0].cut()
            relay.lines[-1].cut()

    cutting = asyncio.ensure_future(cut())
    await stage.run()
    await cutting
    totals = stage.totals
    assert totals.disconnects == 2
    back = [report.seconds for _, report in stage.published if isinstance(report, Reconnected)]
    assert totals.reconnects == len(back) >= 2
    assert all(0.0 < seconds < 10.0 for seconds in back)
    assert totals.received > 0
    assert stage.play.statistics.active == 0


async def test_a_pair_that_is_ended_for_good_fails_what_was_still_due(relay: StandIn) -> None:
    """Fewer exchanges would be due the worse the relay is, and the rest would look well."""
    stage = Stage(relay, Scenario.STEADY_MESSAGING, duration=60.0, connection_pairs=2)

    async def end() -> None:
        await asyncio.sleep(30.0 - stage.now)
        relay.lines[0].cut(3500)

    ending = asyncio.ensure_future(end())
    await stage.run()
    await ending
    ended, other = stage.exchanges(0), stage.exchanges(1)
    totals = stage.totals
    assert len(ended) == pytest.approx(len(other), abs=1)
    assert totals.unanswered == len([at for at in ended if at > 30.0]) >= 3
    assert (totals.disconnects, totals.reconnects) == (1, 0)
    assert totals.reasons == {"answer/disconnected": 1, "hold/disconnected": totals.unanswered - 1}


async def test_async_delivery_resumes_a_new_wallet_on_the_same_store(relay: StandIn) -> None:
    stage = await Stage(relay, Scenario.ASYNC_DELIVERY, connection_pairs=1, delay=30.0).run()
    _, wallet, new_wallet = stage.dialled
    assert wallet < 1.0  # nobody scans here
    published = stage.exchanges(0)[0]
    # The message is accepted 10 ms after the pairing, then the delay; the new wallet is a connection of its own.
    assert new_wallet == pytest.approx(stage.moments(Paired)[0] + 0.01 + 30.0)
    recovery = stage.totals.sketches["recovery"]
    assert (recovery.count, recovery.maximum) == (1, pytest.approx(published - new_wallet))
    assert recovery.maximum == pytest.approx(0.03)  # hello, subscribe, history
    assert (stage.totals.recoveries_attempted, stage.totals.recoveries_received, stage.totals.recoveries_failed) == (
        1,
        1,
        0,
    )
    assert stage.totals.verdicts == {"delivered": 1}


def while_away(act: Callable[..., object], *arguments: object) -> None:
    """Let something happen while the wallet of `absence` is away."""
    asyncio.get_running_loop().call_later(20.0, act, *arguments)


async def absence(relay: StandIn, **keys: Any) -> Stage:
    """One pair's, for 30 s."""
    return await Stage(relay, Scenario.ASYNC_DELIVERY, connection_pairs=1, delay=30.0, **keys).run()


@pytest.mark.parametrize(
    ("fault", "tries", "least"),
    [
        ("reset:at=hello,count=1", 2, 0.1),
        ("error:at=hello,code=100,count=6", 7, 0.1 + (0.2 + 0.4 + 0.8 + 1.6 + 3.2) / 2),
        ("silent:at=history,count=1", 2, 10.1),
        ("error:at=subscribe,code=100,count=3", 4, 0.1 + (0.2 + 0.4) / 2),
    ],
)
async def test_a_wallet_that_is_kept_from_its_messages_comes_again_and_that_time_counts(
    relay: StandIn, fault: str, tries: int, least: float
) -> None:
    while_away(relay.arm, fault)
    stage = await absence(relay)
    back = stage.dialled[2:]
    assert len(back) == tries
    recovery = stage.totals.sketches["recovery"]
    assert (recovery.count, recovery.maximum) == (1, pytest.approx(back[-1] - back[0] + 0.03))
    assert least < recovery.maximum < 60.0
    assert (stage.totals.recoveries_received, stage.totals.recoveries_failed, stage.totals.reasons) == (1, 0, {})
    assert stage.totals.verdicts == {"delivered": 1}
    assert not any(line.open for line in relay.lines)


async def test_a_wallet_that_is_asked_to_come_back_later_does(relay: StandIn) -> None:
    relay.refusal = RateLimitedError(Step.UPGRADE, Reason.RATE_LIMITED, "HTTP 503", retry_after=7.0)
    while_away(setattr, relay, "refuse", 1)
    stage = await absence(relay)
    assert stage.dialled[3] - stage.dialled[2] == pytest.approx(7.0)
    assert stage.totals.recoveries_received == 1


async def test_a_wallet_that_is_kept_away_until_its_time_is_up_failed_for_the_last_reason(relay: StandIn) -> None:
    """And its message has a verdict before the test ends."""
    relay.refusal = ProbeError(Step.UPGRADE, Reason.HTTP_STATUS, "HTTP 502")
    while_away(setattr, relay, "refuse", 2)
    while_away(relay.arm, "error:at=hello,code=100")
    stage = await absence(relay)
    assert stage.exchanges(0)[0] - stage.dialled[2] <= 60.0
    assert len(stage.dialled) > 2 + 2
    assert (stage.totals.recoveries_failed, stage.totals.reasons) == (1, {"hello/relay_error": 1})
    assert stage.totals.verdicts == {"lost": 1}
    assert not stage.play.interrupted


async def test_a_wallet_that_is_asked_to_come_back_when_its_time_is_up_has_failed_at_once(relay: StandIn) -> None:
    relay.refusal = RateLimitedError(Step.UPGRADE, Reason.RATE_LIMITED, "HTTP 503", retry_after=90.0)
    while_away(setattr, relay, "refuse", 1)
    stage = await absence(relay)
    assert stage.exchanges(0) == pytest.approx(stage.dialled[2:])
    assert (stage.totals.recoveries_failed, stage.totals.reasons) == (1, {"upgrade/rate_limited": 1})
    assert stage.totals.verdicts == {"lost": 1}


async def test_no_wallet_comes_again_for_a_fault_of_our_own(relay: StandIn) -> None:
    relay.refusal = LocalError(Step.TCP, Reason.UNREACHABLE, "no local route")
    while_away(setattr, relay, "refuse", 1)
    stage = await absence(relay)
    assert len(stage.dialled) == 3
    assert (stage.totals.recoveries_attempted, stage.totals.aborted) == (0, 1)
    assert stage.totals.verdicts == {}


async def test_no_wallet_comes_again_for_what_one_that_stands_was_given(relay: StandIn) -> None:
    relay.arm("delay:at=publish,channel=session,by=0")  # for its deed

    def garble() -> None:
        (sent,) = relay.plan.injected
        envelope = decode(json.loads(sent.data))
        unread = encode(*envelope._replace(nonce=envelope.nonce + 1, payload="bm90aGluZw=="))
        relay.broker.publish(sent.channel, json.dumps(unread), "{}", relay.clock.monotonic())

    while_away(garble)
    stage = await absence(relay, crypto="real")
    assert len(stage.dialled) == 3
    assert (stage.totals.recoveries_failed, stage.totals.reasons) == (1, {"resume/undecryptable": 1})


async def test_what_the_relay_stored_and_never_acked_is_not_lost(relay: StandIn) -> None:
    relay.arm("unacked:at=publish,channel=session")
    stage = await absence(relay)
    assert (stage.totals.recoveries_failed, stage.totals.reasons) == (1, {"publish/silent": 1})
    assert stage.totals.verdicts == {"delivered": 1}


async def test_what_was_never_acked_and_is_kept_from_the_wallet_that_looks_for_it_is_lost(relay: StandIn) -> None:
    relay.arm("unacked:at=publish,channel=session", "reset:at=hello,skip=2")
    stage = await absence(relay)
    assert stage.totals.reasons == {"publish/silent": 1}
    assert stage.totals.verdicts == {"lost": 1}


async def test_a_recovery_has_60_s_or_20_ms_a_pair(relay: StandIn) -> None:
    while_away(setattr, relay, "silent", True)  # noqa: FBT003 - the attribute's value
    stage = await absence(relay)
    resumed = stage.dialled[2]
    assert stage.exchanges(0)[0] - resumed == pytest.approx(60.0)
    assert (stage.totals.recoveries_failed, stage.totals.reasons) == (1, {"hello/silent": 1})
    assert stage.totals.verdicts == {"lost": 1}
    assert Plan(target=TARGET, scenario=Scenario.ASYNC_DELIVERY, connection_pairs=5000).recovery_timeout == 100.0


async def test_a_connect_is_immediate_or_recovered_after_retries(relay: StandIn) -> None:
    relay.refuse = 3
    stage = await Stage(relay, Scenario.CONNECTION_STORM, ramp_up=4.0, seed=7).run()
    totals = stage.totals
    assert (totals.immediate, totals.recovered, totals.failed) == (2, 2, 0)
    assert totals.retries == 3
    # Immediate ones took their hello; recovered ones also the pauses before their retries, which belong to them.
    assert totals.sketches["connectTime"].minimum == pytest.approx(0.01)
    assert totals.sketches["connectTime"].maximum > 0.5


async def test_who_is_asked_to_come_back_later_does_and_nobody_else(relay: StandIn) -> None:
    relay.refuse, relay.refusal = 1, RateLimitedError(Step.UPGRADE, Reason.RATE_LIMITED, "HTTP 503", retry_after=7.0)
    stage = await Stage(relay, Scenario.CONNECTION_STORM, ramp_up=4.0, timeout=10.0).run()
    assert stage.dialled == pytest.approx([0.0, 1.0, 2.0, 3.0, 7.0], abs=0.02)
    assert (stage.totals.immediate, stage.totals.recovered, stage.totals.retries) == (3, 1, 1)


async def test_a_connect_that_never_stands_failed(relay: StandIn) -> None:
    relay.refuse = 10**6
    stage = await Stage(relay, Scenario.CONNECTION_STORM, timeout=10.0).run()
    assert (stage.totals.immediate, stage.totals.recovered, stage.totals.failed) == (0, 0, PAIRS)
    assert stage.totals.reasons == {"tcp/refused": PAIRS}
    assert stage.now < 8.0 + 30.0


async def test_the_hold_begins_after_the_ramp_up_and_counts_who_is_away(relay: StandIn) -> None:
    stage = Stage(relay, Scenario.STEADY_STATE, duration=20.0)

    async def cut() -> None:
        await asyncio.sleep(15)
        relay.lines[0].cut()
        relay.lines[1].cut()
        await asyncio.sleep(12.9)
        relay.lines[2].cut()  # too late to come back before the end

    cutting = asyncio.ensure_future(cut())
    await stage.run()
    await cutting
    hold = stage.totals.hold
    assert hold.seconds == pytest.approx(20.0)
    assert min(stage.left) == pytest.approx(28.0)
    assert (hold.current, hold.peak, hold.reconnects) == (1, 2, 2)
    assert stage.totals.reasons == {"hold/disconnected": 3}


async def test_a_drop_is_one_however_many_tries_it_takes_to_come_back(relay: StandIn) -> None:
    stage = Stage(relay, Scenario.STEADY_STATE, duration=40.0, connections=2)

    async def cut() -> None:
        await asyncio.sleep(15)
        relay.refuse = 4
        relay.lines[0].cut()

    cutting = asyncio.ensure_future(cut())
    await stage.run()
    await cutting
    assert relay.refuse == 0
    assert stage.totals.reasons == {"hold/disconnected": 1}
    hold = stage.totals.hold
    assert (hold.current, hold.peak, hold.reconnects) == (0, 1, 1)
    (away,) = [report.seconds for _, report in stage.published if isinstance(report, Reconnected)]
    assert away == pytest.approx(stage.totals.due_seconds - stage.totals.connected_seconds)
    assert stage.play.statistics.active == 0


@pytest.mark.parametrize("scenario", [Scenario.STEADY_STATE, Scenario.STEADY_MESSAGING])
async def test_stability_is_seconds_connected_of_seconds_due_though_all_came_back(
    relay: StandIn, scenario: Scenario
) -> None:
    stage = Stage(relay, scenario, duration=60.0)

    async def kill() -> None:
        await asyncio.sleep(30)
        relay.refuse = 10**6
        for line in relay.lines:
            line.cut()
        await asyncio.sleep(3)
        relay.refuse = 0

    killing = asyncio.ensure_future(kill())
    await stage.run()
    await killing
    totals = stage.totals
    # A hold is 60 s of each; pairs stand from their pairing, some five seconds after their start, to the end.
    if scenario is Scenario.STEADY_STATE:
        assert totals.due_seconds == pytest.approx(PAIRS * 60.0)
    else:
        assert PAIRS * 60.0 < totals.due_seconds < PAIRS * 80.0
    away = totals.due_seconds - totals.connected_seconds
    assert 3.0 * PAIRS <= away < 10.0 * PAIRS  # three seconds, and the back-off
    published = [report for _, report in stage.published if isinstance(report, PairTime)]
    assert sum(report.seconds for report in published if not report.connected) == pytest.approx(away)
    assert max(later - earlier for earlier, later in pairwise(stage.moments(PairTime))) < 1.1


async def test_a_pair_that_never_came_back_was_away_until_the_end(relay: StandIn) -> None:
    stage = Stage(relay, Scenario.STEADY_MESSAGING, duration=60.0, connection_pairs=1)

    async def end() -> None:
        await asyncio.sleep(28.0 - stage.now)
        relay.lines[0].cut(3500)

    ending = asyncio.ensure_future(end())
    await stage.run()
    await ending
    totals = stage.totals
    assert totals.due_seconds - totals.connected_seconds == pytest.approx(stage.now - 28.0, abs=0.01)


async def test_stopped_before_the_hold_nothing_was_due(relay: StandIn) -> None:
    stop = asyncio.Event()
    stage = Stage(relay, Scenario.STEADY_STATE, duration=60.0)
    asyncio.get_running_loop().call_later(5.0, stop.set)
    await stage.run(stop)
    assert stage.totals.immediate == 3
    assert stage.totals.due_seconds == 0.0


async def test_a_fault_of_our_own_in_one_connection_holds_up_none_of_the_others(
    relay: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = IdleConnection.open
    opening = iter([False, True, False, False])

    async def open_or_break(held: IdleConnection) -> None:
        if next(opening):
            raise RuntimeError("a fault of ours")
        await opened(held)

    monkeypatch.setattr(IdleConnection, "open", open_or_break)
    stage = Stage(relay, Scenario.STEADY_STATE, duration=20.0)
    async with asyncio.timeout(100):
        await stage.run()
    totals = stage.totals
    assert (totals.immediate, totals.failed, totals.unfinished, totals.aborted) == (PAIRS - 1, 0, 1, 1)
    assert totals.reasons == {"close/internal": 1}
    assert totals.hold.seconds == pytest.approx(20.0)


async def test_a_connection_that_is_greeted_and_dropped_in_one_breath_does_not_stand(
    relay: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    come, dropping = Line._come, [True]

    def come_and_drop(line: Line, text: str) -> None:
        come(line, text)
        if dropping and line is relay.lines[0]:
            dropping.clear()
            line.cut()

    monkeypatch.setattr(Line, "_come", come_and_drop)
    stage = await Stage(relay, Scenario.STEADY_STATE, duration=20.0).run()
    totals = stage.totals
    assert (totals.immediate, totals.recovered, totals.failed) == (PAIRS - 1, 1, 0)
    assert (totals.due_seconds, totals.connected_seconds) == pytest.approx((PAIRS * 20.0, PAIRS * 20.0))
    assert len(stage.left) == PAIRS
    assert stage.play.statistics.active == 0


async def test_stopped_early_it_keeps_what_there_is(relay: StandIn) -> None:
    stop = asyncio.Event()
    stage = Stage(relay, Scenario.STEADY_MESSAGING, duration=600.0)
    asyncio.get_running_loop().call_later(40.0, stop.set)
    await stage.run(stop)
    assert stage.play.interrupted
    assert stage.now == pytest.approx(40.0, abs=0.1)
    totals = stage.totals
    assert totals.received > 0
    assert totals.sent == totals.received
    assert totals.aborted <= PAIRS
    assert stage.play.statistics.active == 0


async def test_stopped_in_the_ramp_up_it_blames_nobody_for_what_was_still_being_made(relay: StandIn) -> None:
    stop = asyncio.Event()
    stage = Stage(relay, Scenario.STEADY_MESSAGING, duration=60.0, connection_pairs=10, ramp_up=10.0)
    asyncio.get_running_loop().call_later(8.5, stop.set)
    await stage.run(stop)
    totals = stage.totals
    # Nine had started; the users of the last five had not scanned yet.
    assert (totals.attempted, totals.immediate, totals.failed, totals.unfinished) == (4, 4, 0, 5)
    assert stage.play.statistics.started == 9
    assert totals.aborted >= totals.unfinished
    assert totals.reasons == {}


@pytest.mark.parametrize("scenario", [Scenario.STEADY_STATE, Scenario.CONNECTION_STORM])
async def test_stopped_while_connections_are_being_made_it_blames_nobody(relay: StandIn, scenario: Scenario) -> None:
    stop = asyncio.Event()
    stage = Stage(relay, scenario)
    asyncio.get_running_loop().call_later(3.0, lambda: setattr(relay, "silent", True))
    asyncio.get_running_loop().call_later(5.0, stop.set)
    await stage.run(stop)
    totals = stage.totals
    assert (totals.attempted, totals.immediate, totals.failed) == (2, 2, 0)
    assert (totals.unfinished, totals.aborted, totals.reasons) == (1, 1, {})
    assert [run.outcome for _, run in stage.published if isinstance(run, Run)].count(Outcome.ABORTED) == 1


@pytest.mark.parametrize("scenario", Scenario)
async def test_what_fails_for_a_fault_of_our_own_is_aborted_and_in_no_rate(relay: StandIn, scenario: Scenario) -> None:
    relay.refuse, relay.refusal = 10**6, LocalError(Step.TCP, Reason.UNREACHABLE, "no local route")
    stage = await Stage(relay, scenario, duration=5.0, timeout=2.0).run()
    totals = stage.totals
    assert (totals.attempted, totals.failed) == (0, 0)
    assert (totals.unfinished, totals.aborted) == (PAIRS, PAIRS)
    assert totals.reasons == {"tcp/unreachable": PAIRS}
    assert stage.play.statistics.started == PAIRS


async def test_no_pair_is_kept_that_could_not_be_made(relay: StandIn) -> None:
    relay.refuse = 2
    stage = await Stage(relay, Scenario.STEADY_MESSAGING, duration=30.0).run()
    assert (stage.totals.immediate, stage.totals.failed) == (2, 2)
    assert stage.totals.reasons == {"tcp/refused": 2}
    assert stage.totals.sent == stage.totals.received > 0
