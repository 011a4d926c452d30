"""Persistent pairs: failing slots, reconnects, replacement."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from monitor.embedded import parse_fault
from monitor.results import Disconnected, Paired, Reconnected
from monitor.vocabulary import Outcome, Reason, Step, Verdict
from monitor.wire.connection import Connection
from tests.probes.harness import (
    PERSISTENT,
    assert_failed,
    cause,
    plan,
    probe_at,
    serving,
)
from tests.sockets import closed_port
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    from monitor.embedded import EmbeddedRelay

pytestmark = [WITH_SOCKETS, pytest.mark.usefixtures("nothing_is_left_open")]


async def test_a_relay_that_is_down_from_the_start_fails_each_slot_with_the_reason() -> None:
    async with probe_at(f"ws://127.0.0.1:{closed_port()}/", "steady-messaging", **PERSISTENT) as made, serving(made):
        await made.until(lambda: len(made.runs) == 3)
        for run in made.runs:
            assert_failed(run, Step.TCP, Reason.REFUSED)
        assert {paired.pairing.outcome for paired in made.all(Paired)} == {Outcome.FAILED}


async def test_standing_pairs_come_back_by_themselves_when_their_relay_does(relay: EmbeddedRelay) -> None:
    async with probe_at(relay.url, "steady-messaging", **PERSISTENT | {"pairs": "2"}) as made, serving(made):
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
    async with probe_at(relay.url, "steady-messaging", **PERSISTENT) as made, serving(made):
        await made.until(lambda: any(run.outcome is Outcome.OK for run in made.runs))
        relay.plan.set([parse_fault("close:at=publish,code=3001,count=1")])
        await made.until(lambda: made.all(Reconnected))
        assert [report.code for report in made.all(Disconnected)] == [3001]


async def test_a_pair_whose_relay_told_it_not_to_come_back_is_made_anew(relay: EmbeddedRelay) -> None:
    async with probe_at(relay.url, "steady-messaging", **PERSISTENT) as made, serving(made):
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
    async with probe_at(relay.url, "steady-messaging", **PERSISTENT) as made, serving(made):
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
        probe_at(relay.url, "steady-messaging", {"max_age": 0.3}, **PERSISTENT | {"timeout": "5s"}) as made,
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
    async with probe_at(relay.url, "steady-messaging", **PERSISTENT) as made, serving(made):
        await made.until(lambda: any(run.outcome is Outcome.OK for run in made.runs))
        deaf = True
        await made.until(lambda: [cause(run) for run in made.runs].count((Step.PUBLISH, Reason.SILENT)) >= 2)
        deaf = False
        since = len(made.runs)
        await made.until(lambda: [run.outcome for run in made.runs[since:]].count(Outcome.OK) >= 3)
    await made.all_judged()
    assert len(made.judged) == made.sent
    assert {item.verdict for item in made.judged} <= {Verdict.DELIVERED, Verdict.LATE}
    assert {cause(run) for run in made.runs} <= {None, (Step.PUBLISH, Reason.SILENT), (Step.DELIVER, Reason.TIMEOUT)}


async def test_junk_on_the_channel_spoils_no_message_that_comes_intact_after_it(relay: EmbeddedRelay) -> None:
    """Whoever can write on a channel could else make a sound relay look broken."""
    relay.plan = plan("delay:channel=session,by=0.1")  # so that junk comes while it is awaited
    async with probe_at(relay.url, "steady-messaging", **PERSISTENT | {"timeout": "2s"}) as made:
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
