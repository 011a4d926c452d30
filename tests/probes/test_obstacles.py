"""What stands in a probe's way, made to happen on a real socket: the exact step and reason, and nothing left open."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from monitor.embedded import parse_fault
from monitor.pairs.pair import Pair, pair_up
from monitor.probes.steady_messaging import SteadyMessaging
from monitor.probes.steady_state import SteadyState
from monitor.reachability import verdict
from monitor.relay import rate_limit
from monitor.results import Confirmed, Disconnected, Paired, PhaseTimed, Reconnected, Run
from monitor.vocabulary import Outcome, Phase, Reason, Step, Verdict
from monitor.wire.connection import Connection
from tests.probes.harness import Stage, embedded, plan, stage
from tests.probes.odd import HELLO, behave, ignore, odd_relay, refuse, reply
from tests.sockets import closed_port, open_sockets, unanswering
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from websockets.asyncio.server import ServerConnection

    from monitor.embedded import EmbeddedRelay
    from monitor.pairs.context import ProbeContext, RunRecorder

pytestmark = WITH_SOCKETS

STANDING: dict[str, Any] = {
    "schedule": "continuous",
    "pairs": "1",
    "message_interval": "100ms",
    "settle": "0s",
    "timeout": "400ms",
}
SESSION: dict[str, Any] = {"messages": "1", "settle": "0s", "timeout": "400ms"}
PATIENT: dict[str, Any] = SESSION | {"timeout": "5s"}
"""For what must be over long before the time-out."""


@pytest.fixture(autouse=True)
async def _nothing_is_left_open() -> AsyncIterator[None]:
    sockets, tasks = open_sockets(), len(asyncio.all_tasks())
    yield
    async with asyncio.timeout(5):
        while open_sockets() > sockets or len(asyncio.all_tasks()) > tasks:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.005)


@pytest.fixture
async def relay() -> AsyncIterator[EmbeddedRelay]:
    """A relay that a test may stop and start again on the same port."""
    async with embedded() as running:
        yield running


@contextlib.asynccontextmanager
async def serving(made: Stage, context: ProbeContext | None = None) -> AsyncIterator[asyncio.Task[None]]:
    """The stage's continuous probe, going on."""
    probe = SteadyState() if made.probe.scenario == "steady-state" else SteadyMessaging()
    task = asyncio.ensure_future(probe.serve(context or made.context, made.pairs))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


def cause(run: Run) -> tuple[Step, Reason] | None:
    return None if run.failure is None else (run.failure.step, run.failure.reason)


def assert_failed(run: Run, step: Step, reason: Reason, exchanges: int = 1) -> None:
    assert cause(run) == (step, reason)
    assert run.outcome is Outcome.FAILED
    assert [exchange.outcome for exchange in run.exchanges] == [Outcome.FAILED] * exchanges


# A run that cannot begin.


@pytest.mark.parametrize(
    ("scenario", "keys", "exchanges"),
    [
        ("realistic-session", {"messages": "3"}, 3),
        ("async-delivery", {"delay": "0s", "messages": "4"}, 1),
        ("connection-storm", {"connections": "3", "ramp_up": "0s"}, 3),
        ("steady-state", {"connections": "2", "ramp_up": "0s", "duration": "3s"}, 2),
        ("steady-messaging", {"duration": "3s", "pairs": "2", "message_interval": "750ms", "settle": "0s"}, 4),
    ],
)
async def test_a_relay_that_is_down_fails_every_due_exchange_at_once(
    scenario: str, keys: dict[str, Any], exchanges: int
) -> None:
    async with stage(f"ws://127.0.0.1:{closed_port()}/", scenario, **keys) as made:
        run = await made.play()
        assert_failed(run, Step.TCP, Reason.REFUSED, exchanges)
        assert run.duration < 2


async def test_an_upgrade_that_is_refused_fails_with_its_status() -> None:
    async with odd_relay(status=403) as odd, stage(odd.url, "realistic-session", **SESSION) as made:
        run = await made.play()
        assert_failed(run, Step.UPGRADE, Reason.HTTP_STATUS)
        assert run.failure is not None
        assert "403" in run.failure.detail


async def test_a_relay_that_accepts_and_says_nothing_is_silent_at_the_hello() -> None:
    async with odd_relay(ignore) as odd, stage(odd.url, "realistic-session", **SESSION) as made:
        run = await made.play()
        assert_failed(run, Step.HELLO, Reason.SILENT)
        assert 0.35 < run.duration < 3


async def test_a_channel_that_is_denied_fails_the_subscription() -> None:
    async def deny(connection: ServerConnection, command: dict[str, Any]) -> None:
        await (
            refuse(connection, command, 103, "permission denied")
            if "subscribe" in command
            else behave(connection, command)
        )

    async with odd_relay(deny) as odd, stage(odd.url, "realistic-session", **PATIENT) as made:
        run = await made.play()
        assert_failed(run, Step.SUBSCRIBE, Reason.DENIED)
        assert run.duration < 2


@pytest.mark.parametrize(
    ("silent", "step"), [("subscribe", Step.SUBSCRIBE), ("history", Step.HISTORY), ("publish", Step.PUBLISH)]
)
async def test_a_command_that_is_not_answered_is_silence_at_its_step(silent: str, step: Step) -> None:
    async def answer(connection: ServerConnection, command: dict[str, Any]) -> None:
        if silent not in command:
            await behave(connection, command)

    async with odd_relay(answer) as odd, stage(odd.url, "realistic-session", **SESSION) as made:
        assert_failed(await made.play(), step, Reason.SILENT)


@pytest.mark.parametrize("scenario", ["async-delivery", "realistic-session"])
async def test_a_message_that_is_refused_at_each_try_is_no_silence(relay: EmbeddedRelay, scenario: str) -> None:
    relay.plan = plan("error:at=publish,channel=session,code=103")
    async with stage(relay.url, scenario, messages="1", timeout="1s") as made:  # the five tries take longer
        assert_failed(await made.play(), Step.PUBLISH, Reason.DENIED)


async def test_an_offer_that_is_accepted_and_not_delivered_ends_the_pairing_silent() -> None:
    async with odd_relay() as odd, stage(odd.url, "realistic-session", **SESSION) as made:
        run = await made.play()
        assert_failed(run, Step.HANDSHAKE, Reason.SILENT)
        assert run.pairing is not None
        assert run.pairing.outcome is Outcome.FAILED


@pytest.mark.parametrize(("code", "reason"), [(3500, Reason.UNAUTHORIZED), (3503, Reason.DISCONNECTED)])
async def test_a_relay_that_says_hello_and_closes_at_once_is_heard_at_once(code: int, reason: Reason) -> None:
    async def close(connection: ServerConnection, command: dict[str, Any]) -> None:
        await connection.close(code)

    async with odd_relay(close) as odd, stage(odd.url, "realistic-session", **PATIENT) as made:
        run = await made.play()
        assert_failed(run, Step.HELLO, reason)
        assert run.duration < 2


async def test_a_hello_and_a_close_in_one_breath_are_both_heard() -> None:
    async def close(connection: ServerConnection, command: dict[str, Any]) -> None:
        await reply(connection, command, HELLO)
        await connection.close(3503)

    async with odd_relay(close) as odd, stage(odd.url, "realistic-session", **PATIENT) as made:
        run = await made.play()
        assert run.failure is not None
        assert run.failure.reason is Reason.DISCONNECTED
        assert run.duration < 2


# In the middle of an exchange.


@pytest.mark.parametrize("code", [3500, 3001])
async def test_a_close_while_a_run_waits_for_the_answer_fails_the_exchange_at_once(
    relay: EmbeddedRelay, code: int
) -> None:
    async with stage(relay.url, "realistic-session", **SESSION | {"timeout": "5s"}) as made:
        run = asyncio.ensure_future(made.play())
        await made.until(lambda: acks(made) == 2)  # of the offer, and of the request
        await asyncio.sleep(0.1)  # and the wallet has it; it answers after a second
        relay.disconnect_all(code)
        ended = await run
        assert_failed(ended, Step.ANSWER, Reason.DISCONNECTED)
        assert ended.failure is not None
        assert str(code) in ended.failure.detail
        await made.settled()
        assert {item.verdict for item in made.judged} == {Verdict.DELIVERED}  # the request did cross


def acks(made: Stage) -> int:
    return sum(report.phase is Phase.PUBLISH_ACK for report in made.all(PhaseTimed))


async def test_a_message_that_the_wallet_protocol_does_not_accept_is_named(relay: EmbeddedRelay) -> None:
    async with stage(relay.url, "realistic-session", **SESSION) as made:
        context = made.context
        recorder = context.recorder()
        pair = Pair(context, recorder)
        assert (await pair.pair()).outcome is Outcome.OK
        # As a wallet does that was restored from a later copy of its store: what comes is old news to it.
        assert pair.tracker.channel is not None
        pair.wallet.peer._transport.accept(pair.tracker.channel, pair.dapp.peer.client_id, 1000)
        await pair.exchange(context.clock.monotonic(), 0.0)
        pair.close()
        assert_failed(recorder.finish(), Step.DELIVER, Reason.WRONG_PEER)


async def test_a_message_that_is_accepted_and_never_delivered_is_lost(
    relay: EmbeddedRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive = Connection.receive

    def deaf(self: Connection, text: str, now: float) -> None:
        heard = [line for line in text.splitlines() if not line.startswith('{"push":{"channel":"session:')]
        if heard:
            receive(self, "\n".join(heard), now)

    monkeypatch.setattr(Connection, "receive", deaf)  # as if the relay pushed nothing on a session's channel
    async with stage(relay.url, "realistic-session", **SESSION) as made:
        run = await made.play()
        assert_failed(run, Step.DELIVER, Reason.LOST)
        assert [item.verdict for item in run.messages] == [None]  # it may still come, late
        await made.settled()
        assert [item.verdict for item in made.judged] == [Verdict.LOST]


# Standing pairs.


async def test_a_relay_that_is_down_from_the_start_fails_each_slot_with_the_reason() -> None:
    async with stage(f"ws://127.0.0.1:{closed_port()}/", "steady-messaging", **STANDING) as made, serving(made):
        await made.until(lambda: len(made.runs) == 3)
        for run in made.runs:
            assert_failed(run, Step.TCP, Reason.REFUSED)
        assert {paired.pairing.outcome for paired in made.all(Paired)} == {Outcome.FAILED}


async def test_standing_pairs_come_back_by_themselves_when_their_relay_does(relay: EmbeddedRelay) -> None:
    async with stage(relay.url, "steady-messaging", **STANDING | {"pairs": "2"}) as made, serving(made):
        await made.until(lambda: {run.pair for run in made.runs if run.outcome is Outcome.OK} == {0, 1})
        await relay.stop()
        since = len(made.runs)
        await made.until(lambda: len(made.runs) >= since + 6)
        failed = made.runs[since + 2 :]  # the first of each pair may have been under way
        for run in failed:
            assert_failed(run, Step.TCP, Reason.REFUSED)
        dropped = made.all(Disconnected)
        assert [report.code for report in dropped] == [3001] * 4
        await relay.start()
        since = len(made.runs)
        await made.until(lambda: {run.pair for run in made.runs[since:] if run.outcome is Outcome.OK} == {0, 1})
        assert made.all(Reconnected)
        assert made.all(Disconnected) == dropped  # what did not stand cannot drop
        assert len(made.all(Paired)) == 2  # the sessions are those of before
        assert 0 <= made.slots.count("started") - len(made.runs) <= 2  # at most one under way for each pair


async def test_a_drop_in_the_middle_of_a_publish_is_a_drop_too(relay: EmbeddedRelay) -> None:
    relay.plan = plan()
    async with stage(relay.url, "steady-messaging", **STANDING) as made, serving(made):
        await made.until(lambda: any(run.outcome is Outcome.OK for run in made.runs))
        relay.plan.set([parse_fault("close:at=publish,code=3001,count=1")])
        await made.until(lambda: made.all(Reconnected))
        assert [report.code for report in made.all(Disconnected)] == [3001]


async def test_a_pair_whose_relay_told_it_not_to_come_back_is_made_anew(relay: EmbeddedRelay) -> None:
    async with stage(relay.url, "steady-messaging", **STANDING) as made, serving(made):
        await made.until(lambda: any(run.outcome is Outcome.OK for run in made.runs))
        relay.disconnect_all(3503)
        await made.until(lambda: len(made.all(Paired)) == 2)
        since = len(made.runs)
        await made.until(lambda: any(run.outcome is Outcome.OK for run in made.runs[since:]))
        assert {report.code for report in made.all(Disconnected)} == {3503}


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("error:at=history,code=100,count=1", (Step.HISTORY, Reason.RELAY_ERROR)),
        ("silent:at=history,count=1", (Step.HISTORY, Reason.SILENT)),
        ("error:at=subscribe,code=103,count=1", (Step.SUBSCRIBE, Reason.DENIED)),
    ],
)
@pytest.mark.parametrize("loss", ["close:at=push,code=3001,count=1", "unsubscribe:code=2500,count=1"])
async def test_a_pair_that_cannot_take_its_channel_up_again_says_why_and_is_made_anew(
    relay: EmbeddedRelay, fault: str, why: tuple[Step, Reason], loss: str
) -> None:
    relay.plan = plan()
    async with stage(relay.url, "steady-messaging", **STANDING) as made, serving(made):
        await made.until(lambda: any(run.outcome is Outcome.OK for run in made.runs))
        pair = made.pair(0)
        before = len(made.all(Paired))
        relay.plan.set([parse_fault(fault), parse_fault(loss)])
        await made.until(lambda: pair.terminated)
        assert (pair.error.step, pair.error.reason) == why
        await made.until(lambda: len(made.all(Paired)) > before)
        await made.until(lambda: made.runs[-1].outcome is Outcome.OK)
        await asyncio.sleep(0.5)  # in which a pair that is made again and again would be
        assert len(made.all(Paired)) == before + 1


async def test_a_pair_is_replaced_at_its_age_without_a_failed_exchange(relay: EmbeddedRelay) -> None:
    async with (
        stage(relay.url, "steady-messaging", {"max_age": 0.3}, **STANDING | {"timeout": "5s"}) as made,
        serving(made),
    ):
        await made.until(lambda: len(made.all(Paired)) >= 4)
        assert {run.outcome for run in made.runs} == {Outcome.OK}
        assert made.all(Disconnected) == []
        assert relay.connections <= 4  # the old pair leaves when the new one stands


async def test_messages_that_go_out_after_their_exchange_are_booked_as_themselves(
    relay: EmbeddedRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without acks each message is tried again, and those behind it go out when later exchanges are under way."""
    receive = Connection.receive
    deaf = False

    def without_acks(self: Connection, text: str, now: float) -> None:
        heard = [line for line in text.splitlines() if not (deaf and line.endswith('"publish":{}}'))]
        if heard:
            receive(self, "\n".join(heard), now)

    monkeypatch.setattr(Connection, "receive", without_acks)
    async with stage(relay.url, "steady-messaging", **STANDING) as made, serving(made):
        await made.until(lambda: any(run.outcome is Outcome.OK for run in made.runs))
        deaf = True
        await made.until(lambda: [cause(run) for run in made.runs].count((Step.PUBLISH, Reason.SILENT)) >= 2)
        deaf = False
        since = len(made.runs)
        await made.until(lambda: [run.outcome for run in made.runs[since:]].count(Outcome.OK) >= 3)
    await made.settled()
    assert len(made.judged) == made.sent
    assert {item.verdict for item in made.judged} <= {Verdict.DELIVERED, Verdict.LATE}
    assert {cause(run) for run in made.runs} <= {None, (Step.PUBLISH, Reason.SILENT), (Step.DELIVER, Reason.TIMEOUT)}


async def test_a_standing_connection_books_a_drop_on_its_interval_and_comes_back(relay: EmbeddedRelay) -> None:
    keys: dict[str, Any] = {"schedule": "continuous", "connections": "1"}
    async with stage(relay.url, "steady-state", {"duration": 0.4}, **keys) as made, serving(made):
        await made.until(lambda: made.runs)
        relay.disconnect_all(3001)
        await made.until(lambda: len(made.runs) == 2)
        assert made.runs[0].outcome is Outcome.OK
        assert_failed(made.runs[1], Step.HOLD, Reason.DISCONNECTED)
        await made.until(lambda: len(made.runs) == 3)
        assert made.runs[2].outcome is Outcome.OK
        assert [report.code for report in made.all(Disconnected)] == [3001]
        assert len(made.all(Reconnected)) == 1


# Stopped.


@pytest.mark.parametrize(
    ("scenario", "keys"),
    [
        ("realistic-session", SESSION),
        ("async-delivery", {"delay": "30s"}),
        ("steady-state", {"connections": "2", "duration": "30s", "ramp_up": "0s"}),
        ("steady-messaging", {"pairs": "2", "duration": "30s"}),
    ],
)
async def test_a_run_that_is_stopped_is_published_as_aborted(
    relay: EmbeddedRelay, scenario: str, keys: dict[str, Any]
) -> None:
    async with stage(relay.url, scenario, **keys) as made:
        running = asyncio.ensure_future(made.play())
        await made.until(lambda: any(report.phase is Phase.HELLO for report in made.all(PhaseTimed)))
        await asyncio.sleep(0.1)  # well inside
        running.cancel()
        await asyncio.wait({running})
        assert running.cancelled()
        (run,) = made.runs
        assert run.outcome is Outcome.ABORTED
        assert {exchange.outcome for exchange in run.exchanges} == {Outcome.ABORTED}
    async with asyncio.timeout(2):
        while relay.connections:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("pairing", ["fresh", "reuse"])
async def test_what_an_absent_wallet_had_yet_to_get_when_its_run_is_stopped_is_not_lost(
    relay: EmbeddedRelay, pairing: str
) -> None:
    keys: dict[str, Any] = {"delay": "30s", "messages": "2", "timeout": "400ms", "pairing": pairing}
    async with stage(relay.url, "async-delivery", **keys) as made:
        running = asyncio.ensure_future(made.play())
        await made.until(lambda: acks(made) == 3)  # of the offer, and of both messages
        running.cancel()
        await asyncio.wait({running})
        await made.settled()
        assert [item.verdict for item in made.judged] == [None, None]


async def test_what_a_relay_keeps_from_a_wallet_that_it_refuses_is_lost(relay: EmbeddedRelay) -> None:
    relay.plan = plan()
    keys: dict[str, Any] = {"delay": "300ms", "messages": "1", "timeout": "400ms"}
    async with stage(relay.url, "async-delivery", **keys) as made:
        running = asyncio.ensure_future(made.play())
        await made.until(lambda: acks(made) == 2)
        relay.plan.set([parse_fault("error:at=hello,code=103")])
        assert_failed(await running, Step.HELLO, Reason.UNAUTHORIZED)
        await made.settled()
        assert [item.verdict for item in made.judged] == [Verdict.LOST]


async def test_what_a_relay_stored_before_it_refused_the_rest_is_not_lost(relay: EmbeddedRelay) -> None:
    """A new wallet looks for it, though the run is over."""
    relay.plan = plan("error:at=publish,channel=session,skip=1,code=100")
    keys: dict[str, Any] = {"delay": "0s", "messages": "2", "timeout": "400ms"}
    async with stage(relay.url, "async-delivery", **keys) as made:
        assert_failed(await made.play(), Step.PUBLISH, Reason.RELAY_ERROR)
        await made.settled()
        assert sorted(str(item.verdict) for item in made.judged) == [Verdict.DELIVERED, Verdict.LOST]


async def test_junk_on_the_channel_spoils_no_message_that_comes_intact_after_it(relay: EmbeddedRelay) -> None:
    """Whoever can write on a channel could else make a sound relay look broken."""
    relay.plan = plan("delay:channel=session,by=0.1")  # so that junk comes while it is awaited
    async with stage(relay.url, "steady-messaging", **STANDING | {"timeout": "2s"}) as made:
        context = made.context
        async with serving(made, context):
            await made.until(lambda: made.runs)
            channel = made.pair(0).tracker.channel
            assert channel is not None
            while len(made.runs) < 4:
                relay.broker.publish(channel, '"junk"', "{}", asyncio.get_running_loop().time())
                await asyncio.sleep(0.02)
    assert [cause(run) for run in made.runs[:4]] == [None] * 4
    assert {item.verdict for item in made.judged} <= {Verdict.DELIVERED, None}


# Our own doing.


async def test_connects_past_the_limit_are_not_made_and_not_blamed_on_the_relay(relay: EmbeddedRelay) -> None:
    async with stage(relay.url, "realistic-session", None, {"connects_per_minute": 1}, **SESSION) as made:
        run = await made.play()
        assert run.outcome is Outcome.ABORTED
        assert run.failure is not None
        assert run.failure.reason is Reason.OVERLOADED


async def test_a_relay_that_refuses_is_never_asked_more_often_than_the_limit_allows() -> None:
    few = {"connects_per_minute": 5}
    async with odd_relay(status=503) as odd, stage(odd.url, "steady-messaging", None, few, **STANDING) as made:
        made.watch_reachability = True
        async with serving(made):
            await made.until(lambda: len(made.runs) >= 6)
        assert 0 < odd.connects <= 5


@pytest.mark.parametrize("limit", [1, 2])
async def test_a_pair_that_was_refused_is_tried_again_under_the_smallest_limit(
    relay: EmbeddedRelay, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(rate_limit, "WINDOW_SECONDS", 0.3)  # a minute is that long here
    relay.plan = plan("error:at=hello,code=107,count=1")
    few = {"connects_per_minute": limit}
    async with stage(relay.url, "steady-messaging", None, few, **STANDING | {"timeout": "2s"}) as made, serving(made):
        await made.until(lambda: made.runs and made.runs[-1].outcome is Outcome.OK)
        assert relay.plan.injected


async def test_tries_of_a_message_hold_to_the_limit_too() -> None:
    """The wallet protocol tries each message five times; a relay that refuses them all must not be asked more often."""
    few = {"messages_per_minute": 12}
    async with (
        embedded("error:at=publish,channel=session,code=100") as relay,
        stage(relay.url, "steady-messaging", None, few, **STANDING) as made,
        serving(made),
    ):
        assert relay.plan is not None
        await made.until(lambda: "skipped" in made.slots, 30)  # nothing is left of the limit
        await asyncio.sleep(2)  # in which a message that is refused would be tried again and again
        assert 5 <= len(relay.plan.injected) <= 11  # the offer was one


async def test_a_file_of_ours_that_cannot_be_read_is_not_blamed_on_the_relay(
    relay: EmbeddedRelay, tmp_path: Path
) -> None:
    header = tmp_path / "header"
    header.write_text("one")
    made_up = {"dapp": {"X-Key": {"file": str(header)}}}
    async with stage(relay.url, "steady-messaging", None, {}, relay={"headers": made_up}, **STANDING) as made:
        header.unlink()
        async with serving(made):
            await made.until(lambda: len(made.runs) >= 2)
            assert {run.outcome for run in made.runs} == {Outcome.ABORTED}
            assert cause(made.runs[-1]) == (Step.UPGRADE, Reason.INTERNAL)
            header.write_text("two")
            await made.until(lambda: made.runs[-1].outcome is Outcome.OK)


async def test_what_keeps_a_dropped_connection_away_may_be_ours(relay: EmbeddedRelay, tmp_path: Path) -> None:
    header = tmp_path / "header"
    header.write_text("one")
    made_up = {"dapp": {"X-Key": {"file": str(header)}}}
    keys: dict[str, Any] = {"schedule": "continuous", "connections": "1", "timeout": "5s"}
    async with (
        stage(relay.url, "steady-state", {"duration": 0.3}, relay={"headers": made_up}, **keys) as made,
        serving(made),
    ):
        await made.until(lambda: relay.connections == 1)
        header.unlink()
        relay.disconnect_all(3001)
        await made.until(lambda: made.runs and made.runs[-1].outcome is Outcome.ABORTED)
        assert cause(made.runs[-1]) == (Step.UPGRADE, Reason.INTERNAL)
        assert Outcome.FAILED in {run.outcome for run in made.runs}  # the drop itself was the relay's


async def test_a_pair_that_a_fault_of_ours_kept_from_being_made_is_made_at_its_next_slot(
    relay: EmbeddedRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[RunRecorder] = []

    async def fail_at_first(context: ProbeContext, recorder: RunRecorder, **options: Any) -> Pair:
        tries.append(recorder)
        if len(tries) == 1:
            raise RuntimeError("a fault of this program")
        return await pair_up(context, recorder, **options)

    monkeypatch.setattr("monitor.probes.steady_messaging.pair_up", fail_at_first)
    async with stage(relay.url, "steady-messaging", **STANDING | {"timeout": "2s"}) as made, serving(made):
        await made.until(lambda: made.runs and made.runs[-1].outcome is Outcome.OK)
    assert len(tries) == 2


async def test_a_proxy_that_is_no_address_is_ours(relay: EmbeddedRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://[::1:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with stage(relay.url, "realistic-session", **SESSION) as made:
        run = await made.play()
    assert (run.outcome, cause(run)) == (Outcome.ABORTED, (Step.PROXY, Reason.INTERNAL))


async def test_a_proxy_whose_address_does_not_answer_is_no_silent_one(
    relay: EmbeddedRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with stage(relay.url, "realistic-session", **SESSION) as made:
        with unanswering() as proxy:
            monkeypatch.setenv("http_proxy", proxy)
            assert cause(await made.play()) == (Step.PROXY, Reason.TIMEOUT)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            monkeypatch.setenv("http_proxy", f"127.0.0.1:{silent.getsockname()[1]}")
            assert cause(await made.play()) == (Step.PROXY, Reason.SILENT)


@pytest.mark.looptime(False)  # noqa: FBT003 - a look-up's thread takes real time
async def test_a_fault_of_this_program_in_the_way_back_is_ours_and_over_when_it_is(
    relay: EmbeddedRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that has no threads left, as the resolver needs one."""
    url = relay.url.replace("127.0.0.1", "localhost")
    async with stage(url, "steady-messaging", **STANDING) as made, serving(made):
        await made.until(lambda: made.runs and made.runs[-1].outcome is Outcome.OK)

        def start(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", start)
            await relay.stop()
            await relay.start()
            await made.until(lambda: made.runs[-1].failure is not None and made.runs[-1].outcome is Outcome.ABORTED)
            assert cause(made.runs[-1]) == (Step.RESOLVE, Reason.INTERNAL)
        await made.until(lambda: made.runs[-1].outcome is Outcome.OK)


# Up and down.


async def test_a_relay_is_up_at_the_first_message_that_crosses(relay: EmbeddedRelay) -> None:
    async with stage(relay.url, "steady-messaging", **STANDING) as made:
        made.watch_reachability = True
        assert made.monitored_relays.relays["demo"].verdict.up is None
        async with serving(made):
            await made.until(lambda: made.ups)
        assert made.ups == [True]


async def test_a_connection_that_is_held_says_nothing_of_messages(relay: EmbeddedRelay) -> None:
    keys: dict[str, Any] = {"schedule": "continuous", "connections": "1"}
    async with stage(relay.url, "steady-state", {"duration": 0.2}, **keys) as made:
        made.watch_reachability = True
        async with serving(made):
            await made.until(lambda: len(made.runs) >= 2)
        assert {run.outcome for run in made.runs[:2]} == {Outcome.OK}
        assert made.ups == []


async def test_a_relay_is_down_once_fresh_attempts_confirm_it_and_up_again_when_it_is_back(
    relay: EmbeddedRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict, "CONFIRMATION_SPACING", 0.1)
    monkeypatch.setattr(verdict, "RECOVERY_INTERVAL", 0.2)
    async with stage(relay.url, "steady-messaging", **STANDING) as made:
        made.watch_reachability = True
        async with serving(made):
            await made.until(lambda: made.ups == [True])
            await relay.stop()
            await made.until(lambda: made.ups == [True, False])
            assert [report.ok for report in made.all(Confirmed)][:3] == [False] * 3
            await relay.start()
            await made.until(lambda: made.ups == [True, False, True])


async def test_one_blip_takes_no_relay_down(relay: EmbeddedRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "CONFIRMATION_SPACING", 0.1)
    async with stage(relay.url, "steady-messaging", **STANDING) as made:
        made.watch_reachability = True
        async with serving(made):
            await made.until(lambda: made.ups == [True])
            relay.disconnect_all(3001)
            await made.until(lambda: any(report.ok for report in made.all(Confirmed)))
            since = len(made.runs)
            await made.until(lambda: any(run.outcome is Outcome.OK for run in made.runs[since:]))
        assert made.ups == [True]
