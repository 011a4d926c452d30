"""Every scenario, played once against every kind of relay: the same steps, plausible times, each message accounted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from monitor.config.probe import SESSION_REUSE
from monitor.pairs.pair import Pair
from monitor.probes.async_delivery import AsyncDelivery
from monitor.probes.steady_messaging import SteadyMessaging
from monitor.probes.steady_state import SteadyState
from monitor.results import PairTime, PhaseTimed
from monitor.vocabulary import Outcome, Phase, Step, Verdict
from tests.probes.harness import ProbeHarness, probe_at
from tests.relays import KINDS
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    from monitor.results import Run

REACH = {Step.RESOLVE, Step.TCP, Step.UPGRADE, Step.HELLO}
TALK = REACH | {Step.SUBSCRIBE, Step.HISTORY, Step.PUBLISH, Step.HANDSHAKE}
EXCHANGE = TALK | {Step.DELIVER, Step.ANSWER}
WAIT = "600ms"
"""What a run waits for: before it begins, for the wallet to answer, for it to come back."""

QUICK = 0.55
"""Seconds in which a relay on this machine has answered; below the waits, which no measurement may contain."""


@pytest.fixture(params=[pytest.param("embedded", marks=WITH_SOCKETS), *KINDS[1:]])
def relay_kind(request: pytest.FixtureRequest) -> str:
    """Each kind of relay, the embedded one in virtual time."""
    return str(request.param)


def is_quick(seconds: float | None) -> bool:
    """Whether a duration holds no wait; in virtual time, where only waits take any, it is nothing at all."""
    assert seconds is not None
    if getattr(asyncio.get_running_loop(), "looptime_on", False):
        return abs(seconds) < 1e-6
    return 0 < seconds < QUICK


def assert_ok(run: Run, made: ProbeHarness, steps: set[Step], exchanges: int) -> None:
    assert (run.failure, run.outcome) == (None, Outcome.OK)
    assert {mark.step for mark in run.timeline} == steps
    assert all(0 <= mark.started <= mark.ended <= run.duration + 1 for mark in run.timeline)
    assert [exchange.outcome for exchange in run.exchanges] == [Outcome.OK] * exchanges
    assert made.runs == [run]


def assert_paired(run: Run) -> None:
    assert run.pairing is not None
    assert run.pairing.outcome is Outcome.OK
    assert is_quick(run.pairing.seconds)


def assert_messages(run: Run, made: ProbeHarness, directions: list[str]) -> None:
    """Every message of the run was delivered, and judged once."""
    assert sorted(item.direction for item in run.messages) == sorted(directions)
    assert [item.sequence for item in run.messages] == list(range(1, len(directions) + 1))
    assert {item.verdict for item in run.messages} == {Verdict.DELIVERED}
    assert made.sent == len(directions)
    assert [item.verdict for item in made.judged] == [Verdict.DELIVERED] * len(directions)


def assert_round_trips(run: Run) -> None:
    """The relay's part lies within each message, their latencies make up the round trip, and no wait is inside."""
    messages = {item.sequence: item for item in run.messages}
    for number, exchange in enumerate(run.exchanges):
        request, response = messages[2 * number + 1], messages[2 * number + 2]
        assert request.latency is not None
        assert response.latency is not None
        assert exchange.wire_request is not None
        assert exchange.wire_response is not None
        assert is_quick(exchange.wire_request)
        assert is_quick(exchange.wire_response)
        assert exchange.wire_request <= request.latency
        assert exchange.wire_response <= response.latency
        assert exchange.round_trip == pytest.approx(request.latency + response.latency)
        assert is_quick(exchange.round_trip)
        assert (exchange.wire_request, exchange.wire_response) == (request.wire, response.wire)


async def test_steady_messaging_as_a_bounded_run(relay_url: str) -> None:
    keys: dict[str, Any] = {"schedule": "{every: 1m}", "duration": "1s", "pairs": "2"}
    async with probe_at(relay_url, "steady-messaging", message_interval="300ms", settle="0s", **keys) as made:
        assert made.probe.exchanges == 1
        run = await made.run_once()
        await made.all_judged()
        assert_ok(run, made, EXCHANGE, 2)
        assert_paired(run)
        assert sorted(item.direction for item in run.messages) == ["request", "request", "response", "response"]
        assert [item.verdict for item in made.judged] == [Verdict.DELIVERED] * made.sent
        for exchange in run.exchanges:
            assert is_quick(exchange.round_trip)


async def test_steady_messaging_as_a_standing_pair(relay_url: str) -> None:
    keys: dict[str, Any] = {"schedule": "continuous", "pairs": "1"}
    async with probe_at(relay_url, "steady-messaging", message_interval="100ms", settle="0s", **keys) as made:
        serving = asyncio.ensure_future(SteadyMessaging().serve(made.context, made.pairs))
        await made.until(lambda: len(made.runs) >= 3)
        serving.cancel()
        await asyncio.wait({serving})
        *ready, last = made.runs
        assert last.outcome in {Outcome.ABORTED, Outcome.OK}  # a slot the end fell into, or the third
        for run in ready:
            assert run.outcome is Outcome.OK
            assert run.pair == 0
            assert_messages_of_slot(run)
        assert made.slots.count("started") == len(made.runs)
        assert sum(time.seconds for time in made.all(PairTime) if not time.connected) < QUICK  # the first pairing
        assert {item.verdict for item in made.judged} == {Verdict.DELIVERED}
        assert len(made.judged) == made.sent


def assert_messages_of_slot(run: Run) -> None:
    assert [item.direction for item in run.messages] == ["request", "response"]
    assert {item.verdict for item in run.messages} == {Verdict.DELIVERED}
    assert len(run.exchanges) == 1
    assert run.exchanges[0].round_trip == pytest.approx(sum(item.latency or 0 for item in run.messages))


async def test_realistic_session(relay_url: str) -> None:
    async with probe_at(relay_url, "realistic-session", messages="2", settle=WAIT, wallet_delay=WAIT) as session:
        run = await session.run_once()
        assert_ok(run, session, EXCHANGE, 2)
        assert_paired(run)
        assert_messages(run, session, ["request", "response"] * 2)
        assert_round_trips(run)
        phases = {report.phase for report in session.all(PhaseTimed)}
        assert phases >= {Phase.TCP, Phase.UPGRADE, Phase.HELLO, Phase.SUBSCRIBE, Phase.HISTORY, Phase.PUBLISH_ACK}
        assert {report.run_id for report in session.all(PhaseTimed)} == {run.id}


async def test_a_pairings_time_holds_no_wait_of_the_wallet(relay_url: str) -> None:
    async with probe_at(relay_url, "realistic-session", messages="1", settle="0s", wallet_delay=WAIT) as session:
        run = await session.run_once()
        assert_ok(run, session, EXCHANGE, 1)
        assert_paired(run)


@pytest.mark.parametrize("messages", [1, 20])
async def test_async_delivery(relay_url: str, messages: int) -> None:
    async with probe_at(relay_url, "async-delivery", delay=WAIT, messages=str(messages)) as offline:
        run = await offline.run_once()
        assert_ok(run, offline, TALK | {Step.RESUME, Step.RECOVER}, 1)
        assert_paired(run)
        assert_messages(run, offline, ["offline"] * messages)
        assert is_quick(run.exchanges[0].recovery)
        # A message lay in the history meanwhile: its latency is as long as the absence, and there is no wire latency.
        assert all(item.wire is None and item.latency is not None and item.latency > QUICK for item in run.messages)


def channels_of(made: ProbeHarness, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sessions' channels, in the order of the pairings that are made from now on."""
    seen: list[str] = []
    pair = Pair.pair

    async def recorded(self: Pair) -> object:
        result = await pair(self)
        assert self.tracker.channel is not None
        seen.append(self.tracker.channel)
        return result

    monkeypatch.setattr(Pair, "pair", recorded)
    return seen


async def test_async_delivery_reuses_its_session_for_an_hour(relay_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with probe_at(relay_url, "async-delivery", delay="50ms", messages="2") as offline:
        channels = channels_of(offline, monkeypatch)
        played = AsyncDelivery()
        runs = [await offline.run_once(played) for _ in range(3)]
        assert [run.failure for run in runs] == [None] * 3
        assert [run.pairing is not None for run in runs] == [True, False, False]
        assert len(channels) == 1
        assert [item.verdict for item in offline.judged] == [Verdict.DELIVERED] * 6
        assert played._reusable is not None
        pair, made_at = played._reusable
        played._reusable = (pair, made_at - SESSION_REUSE)
        renewed = await offline.run_once(played)
        assert renewed.failure is None
        assert renewed.pairing is not None
        assert len(set(channels)) == 2


async def test_async_delivery_pairs_for_each_run_where_it_is_told_so(
    relay_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with probe_at(relay_url, "async-delivery", delay="50ms", pairing="fresh") as offline:
        channels = channels_of(offline, monkeypatch)
        played = AsyncDelivery()
        runs = [await offline.run_once(played) for _ in range(2)]
        assert [run.failure for run in runs] == [None] * 2
        assert all(run.pairing is not None for run in runs)
        assert len(set(channels)) == 2


async def test_connection_storm(relay_url: str) -> None:
    async with probe_at(relay_url, "connection-storm", connections="10", ramp_up="200ms") as storm:
        run = await storm.run_once()
        assert_ok(run, storm, REACH, 10)
        assert run.duration >= 0.179  # nine intervals; a timer may be early
        starts = sorted(mark.started for mark in run.timeline if mark.step is Step.RESOLVE)
        assert len(starts) == 10
        assert all(start >= 0.02 * number - 0.002 for number, start in enumerate(starts))  # a timer may be early
        assert run.messages == ()


async def test_steady_state_as_a_bounded_run(relay_url: str) -> None:
    keys: dict[str, Any] = {"schedule": "{every: 1m}", "duration": "1s", "connections": "3", "ramp_up": "0s"}
    async with probe_at(relay_url, "steady-state", **keys) as idle:
        run = await idle.run_once()
        assert_ok(run, idle, REACH, 3)
        assert 0.999 <= run.duration < 3  # a timer may be early


async def test_steady_state_as_a_standing_connection(relay_url: str) -> None:
    async with probe_at(relay_url, "steady-state", {"duration": 0.2}, schedule="continuous", connections="1") as idle:
        serving = asyncio.ensure_future(SteadyState().serve(idle.context, idle.pairs))
        await idle.until(lambda: len(idle.runs) >= 3)
        serving.cancel()
        await asyncio.wait({serving})
        assert [run.outcome for run in idle.runs[:3]] == [Outcome.OK] * 3
        assert idle.slots.count("started") == len(idle.runs)
        assert sum(time.seconds for time in idle.all(PairTime) if time.connected) > 0.4
