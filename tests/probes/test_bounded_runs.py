"""Bounded runs that fail or are cancelled: the exact step and reason of each fault, over real sockets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from monitor.pairs.pair import Pair
from monitor.results import PhaseTimed
from monitor.vocabulary import Outcome, Phase, Reason, Step, Verdict
from monitor.wire.connection import Connection
from tests.probes.harness import (
    QUICK_SESSION,
    SESSION,
    acks,
    assert_failed,
    plan,
    probe_at,
)
from tests.probes.odd import HELLO, behave, ignore, odd_relay, refuse, reply
from tests.sockets import closed_port
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

    from monitor.embedded import EmbeddedRelay

pytestmark = [WITH_SOCKETS, pytest.mark.usefixtures("nothing_is_left_open")]


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
    async with probe_at(f"ws://127.0.0.1:{closed_port()}/", scenario, **keys) as made:
        run = await made.run_once()
        assert_failed(run, Step.TCP, Reason.REFUSED, exchanges)
        assert run.duration < 2


async def test_an_upgrade_that_is_refused_fails_with_its_status() -> None:
    async with odd_relay(status=403) as odd, probe_at(odd.url, "realistic-session", **QUICK_SESSION) as made:
        run = await made.run_once()
        assert_failed(run, Step.UPGRADE, Reason.HTTP_STATUS)
        assert run.failure is not None
        assert "403" in run.failure.detail


async def test_a_relay_that_accepts_and_says_nothing_is_silent_at_the_hello() -> None:
    async with odd_relay(ignore) as odd, probe_at(odd.url, "realistic-session", **QUICK_SESSION) as made:
        run = await made.run_once()
        assert_failed(run, Step.HELLO, Reason.SILENT)
        assert 0.35 < run.duration < 3


async def test_a_channel_that_is_denied_fails_the_subscription() -> None:
    async def deny(connection: ServerConnection, command: dict[str, Any]) -> None:
        await (
            refuse(connection, command, 103, "permission denied")
            if "subscribe" in command
            else behave(connection, command)
        )

    async with odd_relay(deny) as odd, probe_at(odd.url, "realistic-session", **SESSION) as made:
        run = await made.run_once()
        assert_failed(run, Step.SUBSCRIBE, Reason.DENIED)
        assert run.duration < 2


@pytest.mark.parametrize(
    ("silent", "step"), [("subscribe", Step.SUBSCRIBE), ("history", Step.HISTORY), ("publish", Step.PUBLISH)]
)
async def test_a_command_that_is_not_answered_is_silence_at_its_step(silent: str, step: Step) -> None:
    async def respond(connection: ServerConnection, command: dict[str, Any]) -> None:
        if silent not in command:
            await behave(connection, command)

    async with odd_relay(respond) as odd, probe_at(odd.url, "realistic-session", **QUICK_SESSION) as made:
        assert_failed(await made.run_once(), step, Reason.SILENT)


@pytest.mark.parametrize("scenario", ["async-delivery", "realistic-session"])
async def test_a_message_that_is_refused_at_each_try_is_no_silence(relay: EmbeddedRelay, scenario: str) -> None:
    relay.plan = plan("error:at=publish,channel=session,code=103")
    async with probe_at(relay.url, scenario, messages="1", timeout="1s") as made:  # the five tries take longer
        assert_failed(await made.run_once(), Step.PUBLISH, Reason.DENIED)


async def test_an_offer_that_is_accepted_and_not_delivered_ends_the_pairing_silent() -> None:
    async with odd_relay() as odd, probe_at(odd.url, "realistic-session", **QUICK_SESSION) as made:
        run = await made.run_once()
        assert_failed(run, Step.HANDSHAKE, Reason.SILENT)
        assert run.pairing is not None
        assert run.pairing.outcome is Outcome.FAILED


@pytest.mark.parametrize(("code", "reason"), [(3500, Reason.UNAUTHORIZED), (3503, Reason.DISCONNECTED)])
async def test_a_relay_that_says_hello_and_closes_at_once_is_heard_at_once(code: int, reason: Reason) -> None:
    async def close(connection: ServerConnection, command: dict[str, Any]) -> None:
        await connection.close(code)

    async with odd_relay(close) as odd, probe_at(odd.url, "realistic-session", **SESSION) as made:
        run = await made.run_once()
        assert_failed(run, Step.HELLO, reason)
        assert run.duration < 2


async def test_a_hello_and_a_close_in_one_breath_are_both_heard() -> None:
    async def close(connection: ServerConnection, command: dict[str, Any]) -> None:
        await reply(connection, command, HELLO)
        await connection.close(3503)

    async with odd_relay(close) as odd, probe_at(odd.url, "realistic-session", **SESSION) as made:
        run = await made.run_once()
        assert run.failure is not None
        assert run.failure.reason is Reason.DISCONNECTED
        assert run.duration < 2


@pytest.mark.parametrize("code", [3500, 3001])
async def test_a_close_while_a_run_waits_for_the_answer_fails_the_exchange_at_once(
    relay: EmbeddedRelay, code: int
) -> None:
    async with probe_at(relay.url, "realistic-session", **QUICK_SESSION | {"timeout": "5s"}) as made:
        run = asyncio.ensure_future(made.run_once())
        await made.until(lambda: acks(made) == 2)  # of the offer, and of the request
        await asyncio.sleep(0.1)  # and the wallet has it; it answers after a second
        relay.disconnect_all(code)
        ended = await run
        assert_failed(ended, Step.ANSWER, Reason.DISCONNECTED)
        assert ended.failure is not None
        assert str(code) in ended.failure.detail
        await made.all_judged()
        assert {item.verdict for item in made.judged} == {Verdict.DELIVERED}  # the request did cross


async def test_a_message_that_the_wallet_protocol_does_not_accept_is_named(relay: EmbeddedRelay) -> None:
    async with probe_at(relay.url, "realistic-session", **QUICK_SESSION) as made:
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


async def test_a_message_that_is_stored_and_never_pushed_is_not_recovered(
    relay: EmbeddedRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive = Connection.receive

    def deaf(self: Connection, text: str, now: float) -> None:
        heard = [line for line in text.splitlines() if not line.startswith('{"push":{"channel":"session:')]
        if heard:
            receive(self, "\n".join(heard), now)

    monkeypatch.setattr(Connection, "receive", deaf)  # as if the relay pushed nothing on a session's channel
    async with probe_at(relay.url, "realistic-session", **QUICK_SESSION) as made:
        run = await made.run_once()
        assert_failed(run, Step.DELIVER, Reason.UNRECOVERED)
        assert [item.verdict for item in run.messages] == [None]  # it may still come, late
        await made.all_judged()
        assert [item.verdict for item in made.judged] == [Verdict.UNRECOVERED]


@pytest.mark.parametrize(
    ("scenario", "keys"),
    [
        ("realistic-session", QUICK_SESSION),
        ("async-delivery", {"delay": "30s"}),
        ("steady-state", {"connections": "2", "duration": "30s", "ramp_up": "0s"}),
        ("steady-messaging", {"pairs": "2", "duration": "30s"}),
    ],
)
async def test_a_run_that_is_stopped_is_published_as_aborted(
    relay: EmbeddedRelay, scenario: str, keys: dict[str, Any]
) -> None:
    async with probe_at(relay.url, scenario, **keys) as made:
        running = asyncio.ensure_future(made.run_once())
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
