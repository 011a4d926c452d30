"""The verdicts on thousands of messages, held against the relay's own note of what it did to each."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from monitor.embedded import parse_fault
from monitor.embedded.namespaces import Namespace
from monitor.pairs import payloads
from monitor.pairs.ledger import Ledger
from monitor.pairs.pair import Pair, pair_up
from monitor.probes.async_delivery import AsyncDelivery
from monitor.vocabulary import Finding, Outcome, Reason, Step, Verdict
from monitor.wire.backoff import Backoff
from tests.probes.harness import ProbeHarness, embedded, probe_at
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from monitor.embedded import EmbeddedRelay, FaultPlan
    from monitor.pairs.ledger import Message
    from monitor.pairs.tracker import InFlightMessage

pytestmark = WITH_SOCKETS

TIMEOUT = 2.0
"""Deadline of a message; its horizon is as much later. `DELAY` is between the two."""

DELAY = 1.5 * TIMEOUT
PAIRS, ROUNDS, BURST = 25, 40, 5
MESSAGES = PAIRS * ROUNDS * 2 * BURST

MIXTURE = [
    "drop:channel=session,probability=0.02",
    "unstored:channel=session,probability=0.02",
    f"delay:channel=session,probability=0.02,by={DELAY}",
    "corrupt:channel=session,probability=0.02",
    "truncate:channel=session,probability=0.01",
    "duplicate:channel=session,probability=0.02",
    f"reorder:channel=session,probability=0.02,by={DELAY}",
    "misroute:channel=session,probability=0.02",
]
DONE_TO = {
    "drop": Verdict.UNRECOVERED,
    "unstored": Verdict.UNRECOVERED,  # lost, if the history were read
    "delay": Verdict.LATE,
    "corrupt": Verdict.CORRUPTED,
    "truncate": Verdict.CORRUPTED,
    "duplicate": Verdict.DUPLICATED,
    "reorder": Verdict.REORDERED,
    "delayed": Verdict.LATE,
    "misroute": Verdict.DELIVERED,  # it came as well where it should
}


class RecordingLedger(Ledger):
    """A ledger that keeps the verdict on every message."""

    def __init__(self, remembered: int) -> None:
        super().__init__(remembered=remembered)
        self.verdicts: dict[str, Verdict] = {}

    def due(self, now: float) -> list[Message]:
        return self._keep(super().due(now))

    def judge_all(self) -> list[Message]:
        return self._keep(super().judge_all())

    def _keep(self, messages: list[Message]) -> list[Message]:
        for message in messages:
            assert message.data not in self.verdicts  # each is judged once
            self.verdicts[message.data] = message.verdict()
        return messages


@pytest.fixture
async def ill() -> AsyncIterator[EmbeddedRelay]:
    """A relay with a plan that says nothing yet."""
    async with embedded(seed=20) as relay:
        yield relay


def arm(relay: EmbeddedRelay, *specs: str) -> FaultPlan:
    assert relay.plan is not None
    relay.plan.set([parse_fault(spec) for spec in specs])
    return relay.plan


async def pair_many(
    made: ProbeHarness, count: int, reconnect: Backoff | None = None
) -> list[tuple[Pair, RecordingLedger]]:
    pairs = []
    for _ in range(count):
        ledger = RecordingLedger(made.context.admission.history)
        pair = await pair_up(made.context, made.context.recorder(), reconnect=reconnect, ledger=ledger)
        pairs.append((pair, ledger))
    return pairs


async def talk(pair: Pair, rounds: int, pause: float) -> None:
    """Bursts both ways, none waiting for another to arrive; then until the last message's horizon."""
    sent: list[InFlightMessage] = []
    clock, number = pair._clock, 0
    for _ in range(rounds):
        for direction in ("request", "response"):
            for _ in range(BURST):
                number += 1
                now = clock.monotonic()
                payload = payloads.request(pair.recorder.run_id, number)
                sent.append(pair.send(direction, payload, now, now + TIMEOUT))
        await asyncio.sleep(pause)
        pair.tracker.judge()
    while (horizon := pair.tracker.ledger.next_horizon()) is not None:
        await asyncio.sleep(max(0.001, horizon - clock.monotonic()))
        pair.tracker.judge()
    pair._record_fates(sent)
    pair.close()


@pytest.mark.slow
async def test_every_verdict_is_what_was_done_to_the_message(ill: EmbeddedRelay) -> None:
    """Precision and recall are 1: the two accounts of ten thousand messages, the relay's and ours, are the same."""
    keys: Any = {"timeout": "2s", "messages": "1"}
    async with probe_at(ill.url, "realistic-session", **keys) as made:
        pairs = await pair_many(made, PAIRS)
        plan = arm(ill, *MIXTURE)
        await asyncio.gather(*(talk(pair, ROUNDS, 0.5) for pair, _ in pairs))
    judged_as = {data: verdict for _, ledger in pairs for data, verdict in ledger.verdicts.items()}
    assert len(judged_as) == MESSAGES
    done: dict[str, str] = {}
    for fault in plan.injected:
        data = json.loads(fault.data)
        if fault.kind == "delayed":
            data = data["push"]["pub"]["data"]
        done[data] = fault.kind
    expected = {data: DONE_TO[done[data]] if data in done else Verdict.DELIVERED for data in judged_as}
    wrong = Counter((done.get(data), verdict) for data, verdict in judged_as.items() if verdict is not expected[data])
    assert wrong == Counter()
    assert set(Counter(done.values())) >= set(DONE_TO) - {"delayed"}  # every fault did strike
    judged = Counter(item.verdict for item in made.judged)
    assert judged.pop(Verdict.MISROUTED) == Counter(done.values())["misroute"]
    assert judged == Counter(judged_as.values())
    assert made.sent == MESSAGES == judged.total()


async def test_nothing_is_lost_across_reconnects(ill: EmbeddedRelay) -> None:
    """The relay cuts a connection instead of a push, again and again; recovery and history bring every message."""
    keys: Any = {"timeout": "2s", "messages": "1"}
    async with probe_at(ill.url, "realistic-session", **keys) as made:
        pairs = await pair_many(made, 5, Backoff(minimum=0.01, maximum=0.05))
        plan = arm(ill, "close:channel=session,at=push,code=3004,probability=0.05", "duplicate:probability=0.05")

        async def converse(pair: Pair) -> None:
            for _ in range(20):
                while not pair.ready:  # noqa: ASYNC110 - nothing tells of it here
                    await asyncio.sleep(0.01)
                await exchange(pair)
            while (horizon := pair.tracker.ledger.next_horizon()) is not None:
                await asyncio.sleep(max(0.001, horizon - pair._clock.monotonic()))
                pair.tracker.judge()
            pair.close()

        async def exchange(pair: Pair) -> None:
            await pair.exchange(pair._clock.monotonic(), 0.0)

        await asyncio.gather(*(converse(pair) for pair, _ in pairs))
    kinds = Counter(fault.kind for fault in plan.injected)
    assert kinds["close"] > 5
    verdicts = Counter(verdict for _, ledger in pairs for verdict in ledger.verdicts.values())
    assert set(verdicts) <= {Verdict.DELIVERED, Verdict.DUPLICATED}
    assert verdicts[Verdict.DUPLICATED] <= kinds["duplicate"]
    assert verdicts.total() == made.sent


def keeping(size: int) -> tuple[Namespace, ...]:
    """The production namespaces of a relay that keeps so many messages of a session."""
    return (Namespace(name="handshake", size=5, ttl=300.0), Namespace(name="session", size=size, ttl=300.0))


async def test_a_session_with_more_messages_than_clients_usually_ask_for_loses_none() -> None:
    kept: Any = {"history": {"size": 200, "ttl": "300s"}}
    async with (
        embedded(namespaces=keeping(200)) as relay,
        probe_at(relay.url, "async-delivery", timeout="2s", delay="0s", messages="20", relay=kept) as made,
    ):
        probe = AsyncDelivery()
        runs = [await made.run_once(probe) for _ in range(5)]
        await made.all_judged()
    assert {run.outcome for run in runs} == {Outcome.OK}
    assert {report.verdict for report in made.judged} == {Verdict.DELIVERED}


class TestAutopsy:
    """Which layer lost a message is judged_as by the history, read from several places."""

    @pytest.mark.parametrize(
        ("spec", "finding"),
        [
            ("drop:channel=session", Finding.STORED_NOT_PUSHED),
            ("unstored:channel=session", Finding.NOT_STORED),
            ("silent:at=publish,channel=session", Finding.NOT_ACCEPTED),
        ],
    )
    async def test_the_broken_layer_is_named(self, ill: EmbeddedRelay, spec: str, finding: Finding) -> None:
        arm(ill, spec)
        async with probe_at(ill.url, "realistic-session", timeout="500ms", settle="0s", messages="1") as made:
            run = await made.run_once()
        notes = [mark.note for mark in run.timeline if mark.note and not mark.failed]
        places = "the persistent connection: {0}; a new connection: {0}".format(
            "stored" if finding is Finding.STORED_NOT_PUSHED else "not stored"
        )
        assert notes == [f"{finding.value}: {places}"]
        assert run.failure is not None
        silent = finding is Finding.NOT_ACCEPTED
        missing = Reason.LOST if finding is Finding.NOT_STORED else Reason.UNRECOVERED
        assert run.failure.reason is (Reason.SILENT if silent else missing)
        assert run.failure.step is (Step.PUBLISH if silent else Step.DELIVER)

    async def test_an_answer_that_comes_when_it_is_over_changes_no_verdict(self, ill: EmbeddedRelay) -> None:
        arm(ill, "drop:channel=session,count=1", "delay:at=history,skip=3,by=0.6")  # the pair's own come first
        keys: Any = {"timeout": "1s", "settle": "0s", "messages": "1"}
        async with probe_at(ill.url, "realistic-session", **keys) as made:
            run = await made.run_once()
            await made.all_judged()
        assert any("the persistent connection: no reply" in mark.note for mark in run.timeline)
        assert [item.verdict for item in made.judged] == [Verdict.UNRECOVERED]

    async def test_an_absent_wallets_message_is_looked_for_when_it_is_not_recovered(self, ill: EmbeddedRelay) -> None:
        arm(ill, "unstored:channel=session,skip=1,count=1")
        keys: Any = {"timeout": "500ms", "delay": "50ms", "messages": "3"}
        async with probe_at(ill.url, "async-delivery", **keys) as made:
            run = await made.run_once()
        assert run.failure is not None
        assert (run.failure.step, run.failure.reason) == (Step.RECOVER, Reason.LOST)
        (note,) = [mark.note for mark in run.timeline if mark.note and not mark.failed]
        assert note.startswith(f"{Finding.NOT_STORED.value}: the persistent connection: not stored")

    async def test_what_was_not_read_is_not_called_not_stored(self) -> None:
        """A relay that keeps more than the configuration says gives the oldest only."""
        async with (
            embedded(namespaces=keeping(100)) as relay,
            probe_at(relay.url, "async-delivery", timeout="2s", delay="0s", messages="20") as made,
        ):
            probe = AsyncDelivery()
            runs = [await made.run_once(probe) for _ in range(3)]
        assert [run.outcome for run in runs] == [Outcome.OK, Outcome.OK, Outcome.FAILED]
        cut = "not among the oldest 50"
        assert {mark.note for mark in runs[-1].timeline if mark.note and not mark.failed} == {
            f"not known: the persistent connection: {cut}; a new connection: {cut}"
        }

    async def test_another_endpoint_is_asked_where_there_is_one(self, ill: EmbeddedRelay) -> None:
        arm(ill, "drop:channel=session")
        keys: Any = {"timeout": "500ms", "settle": "0s", "messages": "1"}
        async with (
            embedded(broker=ill.broker) as well,
            probe_at(ill.url, "realistic-session", relay={"endpoints": (ill.url, well.url)}, **keys) as made,
        ):
            runs = [await made.run_once() for _ in range(2)]  # the wallet meets the ill node in one of them
            failed = [run for run in runs if run.outcome is Outcome.FAILED]
            notes = [mark.note for run in failed for mark in run.timeline if mark.note and not mark.failed]
        assert notes
        assert notes[0] == (
            "stored_not_pushed: the persistent connection: stored; a new connection: stored; another endpoint: stored"
        )

    async def test_a_relay_is_not_searched_again_and_again(self, ill: EmbeddedRelay) -> None:
        arm(ill, "drop:channel=session")
        async with probe_at(ill.url, "realistic-session", timeout="300ms", settle="0s", messages="1") as made:
            runs = [await made.run_once() for _ in range(3)]
        notes = [" ".join(mark.note for mark in run.timeline) for run in runs]
        assert ["a new connection" in note for note in notes] == [True, False, False]
        assert all("the persistent connection: stored" in note for note in notes)
        skipped = "no other connection asked: the relay's last diagnosis began less than 20 s before"
        assert [skipped in note for note in notes] == [False, True, True]
