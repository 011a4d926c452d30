from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.pairs.ledger import Ledger, Message
from monitor.session.envelope import encode
from monitor.session.notices import MessageKey
from monitor.vocabulary import PRECEDENCE, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

CHANNEL = "session:one"
DAPP = "dapp"
WALLET = "wallet"


def message(nonce: int, *, sender: str = DAPP, channel: str = CHANNEL, deadline: float = 5.0) -> Message:
    """A message sent at `nonce`, due `deadline` seconds later, judged as long after that."""
    data = encode(sender, nonce, f"payload of {sender} {nonce}")
    return Message(
        key=MessageKey(channel, sender, nonce),
        data=data,
        direction="request",
        sequence=nonce,
        intended=float(nonce),
        deadline=nonce + deadline,
        horizon=nonce + 2 * deadline,
    )


def send(ledger: Ledger, *messages: Message) -> None:
    for item in messages:
        ledger.expect(item)
        ledger.published(item.key, item.intended + 0.001)
        ledger.acked(item.key, item.intended)


def deliver(ledger: Ledger, item: Message, at: float | None = None, *, offset: int = 0, live: bool = True) -> None:
    at = item.intended + 0.1 if at is None else at
    assert ledger.arrived(item.key, item.data, offset or item.key.nonce, at, live=live) is item


def verdicts(messages: list[Message]) -> list[Verdict]:
    return [item.verdict() for item in messages]


def test_a_message_that_comes_once_and_in_time_is_delivered() -> None:
    ledger, one = Ledger(), message(1)
    send(ledger, one)
    deliver(ledger, one, 1.25)
    assert verdicts(ledger.judge_all()) == [Verdict.DELIVERED]
    assert one.latency == pytest.approx(0.25)
    assert one.wire == pytest.approx(0.249)


def test_a_message_that_comes_past_its_deadline_is_late_and_not_lost() -> None:
    ledger, one = Ledger(), message(1)
    send(ledger, one)
    deliver(ledger, one, one.deadline + 0.001)
    assert verdicts(ledger.due(one.horizon)) == [Verdict.LATE]


def test_a_message_that_comes_past_its_horizon_is_late_whenever_it_is_judged() -> None:
    ledger, one = Ledger(), message(1)
    send(ledger, one)
    deliver(ledger, one, one.horizon + 0.001)
    assert verdicts(ledger.due(one.horizon + 5)) == [Verdict.LATE]


def test_a_message_at_its_very_deadline_is_in_time() -> None:
    ledger, one = Ledger(), message(1)
    send(ledger, one)
    deliver(ledger, one, one.deadline)
    assert verdicts(ledger.due(one.horizon)) == [Verdict.DELIVERED]


def test_bytes_that_differ_from_those_sent_are_corrupted_even_if_the_right_ones_came_too() -> None:
    ledger, one = Ledger(), message(1)
    send(ledger, one)
    assert ledger.arrived(one.key, one.data.replace("payload of", "payload oF"), 1, 1.1, live=True) is one
    deliver(ledger, one)
    assert verdicts(ledger.judge_all()) == [Verdict.CORRUPTED]


def test_a_second_live_delivery_of_one_attempt_is_a_duplicate() -> None:
    ledger, one = Ledger(), message(1)
    send(ledger, one)
    deliver(ledger, one, offset=1)
    deliver(ledger, one, offset=2)
    assert verdicts(ledger.judge_all()) == [Verdict.DUPLICATED]


def test_the_same_push_twice_is_a_duplicate() -> None:
    ledger, one = Ledger(), message(1)
    send(ledger, one)
    deliver(ledger, one, offset=1)
    deliver(ledger, one, offset=1)
    assert verdicts(ledger.judge_all()) == [Verdict.DUPLICATED]


def test_as_many_deliveries_as_publish_attempts_are_no_duplicate() -> None:
    ledger, one = Ledger(), message(1)
    send(ledger, one)
    ledger.published(one.key, 1.5)  # an ack did not come, so it was sent again
    deliver(ledger, one, offset=1)
    deliver(ledger, one, offset=2)
    assert verdicts(ledger.judge_all()) == [Verdict.DELIVERED]
    assert one.sent_at == pytest.approx(1.001)  # the wire time begins with the first attempt


def test_history_bringing_again_what_came_live_is_no_second_delivery() -> None:
    ledger, one = Ledger(), message(1)
    send(ledger, one)
    deliver(ledger, one, offset=1, live=True)
    deliver(ledger, one, offset=1, live=False)
    deliver(ledger, one, offset=1, live=False)
    assert one.deliveries == 1
    assert verdicts(ledger.judge_all()) == [Verdict.DELIVERED]


def test_a_message_stored_twice_is_a_duplicate() -> None:
    ledger, one = Ledger(), message(1)
    send(ledger, one)
    deliver(ledger, one, offset=1, live=False)
    deliver(ledger, one, offset=2, live=False)
    assert verdicts(ledger.judge_all()) == [Verdict.DUPLICATED]


def test_the_message_that_a_newer_one_overtook_live_is_reordered() -> None:
    ledger, one, two = Ledger(), message(1), message(2)
    send(ledger, one, two)
    deliver(ledger, two)
    deliver(ledger, one, 2.2)
    assert verdicts(ledger.judge_all()) == [Verdict.REORDERED, Verdict.DELIVERED]


def test_the_two_directions_of_a_channel_have_orders_of_their_own() -> None:
    ledger, request, response = Ledger(), message(1), message(2, sender=WALLET)
    send(ledger, request, response)
    deliver(ledger, response)
    deliver(ledger, request, 2.2)
    assert verdicts(ledger.judge_all()) == [Verdict.DELIVERED] * 2


def test_a_message_stored_behind_a_newer_one_is_reordered() -> None:
    ledger, one, two = Ledger(), message(1), message(2)
    send(ledger, one, two)
    deliver(ledger, two, offset=1, live=False)
    deliver(ledger, one, 2.2, offset=2, live=False)
    assert verdicts(ledger.judge_all()) == [Verdict.REORDERED, Verdict.DELIVERED]


def test_a_message_that_history_brings_after_a_newer_live_one_is_in_order_where_it_was_stored_so() -> None:
    ledger, one, two = Ledger(), message(1), message(2)
    send(ledger, one, two)
    deliver(ledger, two, offset=2, live=True)  # pushed between subscribing and reading the history
    deliver(ledger, one, 2.2, offset=1, live=False)
    assert verdicts(ledger.judge_all()) == [Verdict.DELIVERED] * 2


def test_of_several_verdicts_the_first_of_the_precedence_is_given() -> None:
    ledger = Ledger()
    item, newer = message(1), message(2)
    seen = []

    def see(verdict: Verdict, act: Callable[[], object]) -> None:
        act()
        assert item.verdict() is verdict
        seen.append(verdict)

    send(ledger, item, newer)
    see(Verdict.UNRECOVERED, lambda: None)
    see(Verdict.DELIVERED, lambda: deliver(ledger, item, offset=1))
    see(Verdict.DUPLICATED, lambda: deliver(ledger, item, offset=2))
    see(Verdict.REORDERED, lambda: setattr(item, "overtaken", True))
    see(Verdict.LATE, lambda: setattr(item, "arrived_at", item.deadline + 1))
    see(Verdict.UNRECOVERED, lambda: setattr(item, "arrived_at", None))
    see(Verdict.LOST, lambda: setattr(item, "in_history", False))
    see(Verdict.CORRUPTED, lambda: setattr(item, "damaged", True))
    assert list(reversed(seen[1:])) == list(PRECEDENCE)


def test_another_sessions_message_is_a_stranger_and_blames_no_message_that_is_awaited() -> None:
    ledger, one, foreign = Ledger(), message(1), message(1, sender="somebody")
    send(ledger, one)
    assert ledger.arrived(foreign.key, foreign.data, 1, 1.05, live=True) is None
    assert ledger.unmatched == 1
    deliver(ledger, one)
    assert verdicts(ledger.judge_all()) == [Verdict.DELIVERED]


@pytest.mark.parametrize(
    "damaged",
    [MessageKey(CHANNEL, "dbpp", 1), MessageKey(CHANNEL, DAPP, 91)],
    ids=["its sender", "its nonce"],
)
def test_a_message_whose_envelope_names_another_is_the_awaited_one_corrupted(damaged: MessageKey) -> None:
    ledger, one = Ledger(), message(1)
    send(ledger, one)
    data = encode(damaged.client_id, damaged.nonce, f"payload of {DAPP} 1")
    assert ledger.arrived(damaged, data, 1, 1.1, live=True) is one
    assert ledger.unmatched == 0
    assert verdicts(ledger.judge_all()) == [Verdict.CORRUPTED]


@pytest.mark.parametrize("arrives", [True, False], ids=["which arrived", "which is awaited too"])
def test_a_message_whose_envelope_names_an_older_one_is_itself_corrupted_and_not_that_one(arrives: bool) -> None:
    ledger, one, two = Ledger(), message(1), message(2)
    two.data = encode(DAPP, 2, "what the second one says")
    send(ledger, one, two)
    if arrives:
        deliver(ledger, one)
    data = encode(DAPP, 1, "what the second one says")
    assert ledger.arrived(one.key, data, 2, 2.1, live=True) is two
    if not arrives:
        deliver(ledger, one, 2.2)
    assert verdicts(ledger.judge_all()) == [Verdict.DELIVERED, Verdict.CORRUPTED]


def test_a_damaged_copy_of_a_message_that_arrived_is_no_other_message() -> None:
    ledger, one, two = Ledger(), message(1), message(2)
    send(ledger, one, two)
    deliver(ledger, one)
    assert ledger.arrived(one.key, one.data.replace("payload of", "payload oF"), 2, 2.1, live=True) is one
    deliver(ledger, two, 2.2)
    assert verdicts(ledger.judge_all()) == [Verdict.CORRUPTED, Verdict.DELIVERED]


def test_a_publication_without_a_readable_envelope_is_the_oldest_message_awaited_on_its_channel() -> None:
    ledger, other, one, two = Ledger(), message(1, channel="session:other"), message(2), message(3)
    send(ledger, other, one, two)
    assert ledger.garbled(CHANNEL, None) is one
    assert verdicts(ledger.judge_all()) == [Verdict.UNRECOVERED, Verdict.CORRUPTED, Verdict.UNRECOVERED]


def test_what_is_left_of_a_message_tells_which_one_it_was() -> None:
    ledger, one, two = Ledger(), message(1), message(2)
    send(ledger, one, two)
    assert ledger.garbled(CHANNEL, two.data[: len(two.data) // 2 + 10]) is two
    assert verdicts(ledger.judge_all()) == [Verdict.UNRECOVERED, Verdict.CORRUPTED]


@pytest.mark.parametrize("junk", [None, "hello", '{"hello":"world"}', "[]"])
def test_garbage_is_a_stranger_after_all_once_the_message_comes_intact(junk: str | None) -> None:
    ledger, one = Ledger(), message(1)
    one.data = encode(DAPP, 1, "as long as an encrypted payload is" * 5)
    send(ledger, one)
    assert ledger.garbled(CHANNEL, junk) is one
    assert (one.verdict(), ledger.unmatched) == (Verdict.CORRUPTED, 0)
    deliver(ledger, one)
    assert (one.verdict(), ledger.unmatched) == (Verdict.DELIVERED, 1)
    assert verdicts(ledger.judge_all()) == [Verdict.DELIVERED]


def test_a_message_of_which_something_is_left_stays_corrupted_though_it_comes_intact_too() -> None:
    ledger, one = Ledger(), message(1)
    send(ledger, one)
    assert ledger.garbled(CHANNEL, one.data[: len(one.data) // 2]) is one
    deliver(ledger, one)
    assert verdicts(ledger.judge_all()) == [Verdict.CORRUPTED]


def test_garbage_while_nothing_is_awaited_is_a_stranger() -> None:
    ledger, one = Ledger(), message(1)
    send(ledger, one)
    deliver(ledger, one)
    assert ledger.garbled(CHANNEL, None) is None
    assert ledger.garbled("session:other", None) is None
    assert ledger.unmatched == 2
    assert verdicts(ledger.judge_all()) == [Verdict.DELIVERED]


def test_each_message_is_judged_once_at_its_own_horizon() -> None:
    ledger, one, two = Ledger(), message(1), message(2)
    send(ledger, one, two)
    deliver(ledger, one)
    assert ledger.next_horizon() == one.horizon
    assert ledger.due(one.horizon - 0.001) == []
    assert ledger.due(one.horizon) == [one]
    assert ledger.pending == 1
    assert ledger.due(two.horizon) == [two]
    assert ledger.due(1e9) == ledger.judge_all() == []
    assert ledger.next_horizon() is None


def test_a_horizon_that_moved_holds_up_no_other() -> None:
    """What was sent to an absent wallet is due when the wallet is back; what was sent before and after it, as ever."""
    ledger, one, two, three = Ledger(), message(1), message(2), message(3)
    send(ledger, one, two, three)
    one.horizon = 100.0
    assert ledger.next_horizon() == two.horizon
    assert ledger.due(two.horizon) == [two]
    assert ledger.due(three.horizon) == [three]
    assert ledger.due(99.0) == []
    assert ledger.due(100.0) == [one]


def test_what_comes_after_the_verdict_changes_nothing() -> None:
    ledger, one = Ledger(), message(1)
    send(ledger, one)
    assert verdicts(ledger.due(one.horizon)) == [Verdict.UNRECOVERED]
    for data in (one.data, one.data[:-9] + "damaged!}"):
        assert ledger.arrived(one.key, data, 1, one.horizon + 1, live=True) is None
    assert ledger.judge_all() == []
    assert one.verdict() is Verdict.UNRECOVERED
    assert ledger.unmatched == 0  # known still: it is no other session's


def test_a_damaged_copy_of_one_judged_is_not_taken_for_another_that_is_alike() -> None:
    ledger, one, two = Ledger(), message(1), message(2)
    one.data, two.data = (encode(DAPP, number, "as long as an encrypted payload" * 5) for number in (1, 2))
    two.horizon = one.horizon + 10
    send(ledger, one, two)
    assert ledger.due(one.horizon) == [one]
    assert ledger.arrived(one.key, one.data.replace("encrypted", "damaged", 1), 1, one.horizon, live=False) is None
    assert not two.damaged
    assert ledger.arrived(one.key, two.data, 2, one.horizon, live=True) is two  # its nonce is all that was damaged
    assert two.damaged


def test_a_message_that_arrived_is_awaited_no_more() -> None:
    ledger, one, two = Ledger(), message(1), message(2)
    send(ledger, one, two)
    deliver(ledger, one)
    assert list(ledger.outstanding()) == [two]


def test_past_its_limit_the_ledger_judges_the_oldest_early_and_forgets_none() -> None:
    ledger, sent = Ledger(limit=3), [message(number) for number in range(1, 6)]
    send(ledger, *sent)
    assert ledger.pending == 5
    assert ledger.due(0.0) == sent[:2]
    assert ledger.judge_all() == sent[2:]


def test_messages_judged_are_forgotten_past_the_limit() -> None:
    ledger, sent = Ledger(remembered=2), [message(number) for number in range(1, 4)]
    for item in sent:
        send(ledger, item)
        ledger.judge_all()
    strangers = []
    for item in sent:
        assert ledger.arrived(item.key, item.data, 1, 99.0, live=True) is None
        strangers.append(ledger.unmatched)
    assert strangers == [1, 1, 1]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["send", "again", "live", "history", "damage", "stranger", "garble", "due"]),
        st.integers(1, 12),
        st.floats(0, 20),
    ),
    max_size=60,
)


@given(steps=STEPS, limit=st.integers(1, 8))
def test_the_verdicts_add_up_to_what_was_sent_whatever_happens(steps: list[tuple[str, int, float]], limit: int) -> None:
    ledger, sent = Ledger(limit=limit), dict[int, Message]()
    judged = Counter[MessageKey]()
    offset = 0
    for what, number, at in steps:
        item = sent.get(number)
        if what == "send" and item is None:
            sent[number] = message(number)
            send(ledger, sent[number])
        elif what == "garble":
            ledger.garbled(CHANNEL, None)
        elif what == "stranger":
            foreign = message(number, sender="somebody")
            assert ledger.arrived(foreign.key, foreign.data, 0, at, live=True) is None
        elif what == "due":
            judged.update(done.key for done in ledger.due(at))
        elif item is not None:
            offset += 1
            if what == "again":
                ledger.published(item.key, at)
            else:
                ledger.arrived(item.key, item.data + "?" * (what == "damage"), offset, at, live=what == "live")
        assert ledger.pending + judged.total() == len(sent)
    judged.update(done.key for done in ledger.judge_all())
    assert judged == Counter(item.key for item in sent.values())
    assert Counter(item.verdict() for item in sent.values()).total() == len(sent)
