"""`session.inbox` and `outbox`: each message once and in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from monitor.session.envelope import Envelope, decode
from monitor.session.inbox import Inbox
from monitor.session.outbox import ATTEMPTS, Outbox
from monitor.session.store import MemoryStore, TransportStore

if TYPE_CHECKING:
    from monitor.session.actions import Publish

CHANNEL = "session:x"


def message(nonce: int) -> Envelope:
    return Envelope("them", nonce, "")


def reference(pushed: list[int], stored: list[int]) -> list[int]:
    """Return what the protocol's client accepts: pushes, then the history, each above the highest nonce so far."""
    accepted, highest = [], 0
    for nonce in [*pushed, *stored]:
        if nonce > highest:
            highest = nonce
            accepted.append(nonce)
    return accepted


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 12))
def test_history_and_live_pushes_are_merged_without_gap_or_duplicate(
    count: int, first_pushed: int, last_stored: int
) -> None:
    """Of `count` messages, those after `first_pushed` are pushed, and the history has those up to `last_stored`."""
    pushed = [nonce for nonce in range(1, count + 1) if nonce > first_pushed]
    stored = [nonce for nonce in range(1, count + 1) if nonce <= last_stored]
    inbox = Inbox(CHANNEL, TransportStore(MemoryStore()))
    inbox.subscribed()
    assert not any(inbox.receive_live(message(nonce)) for nonce in pushed)  # held until the history is read
    released = list(inbox.receive_history(message(nonce) for nonce in stored))
    assert [envelope.nonce for envelope, _ in released] == sorted({*pushed, *stored})
    passed = {envelope.nonce for envelope, dropped in released if not dropped}
    assert passed == set(reference(pushed, stored))


def test_after_the_history_each_live_message_passes_once() -> None:
    inbox = Inbox(CHANNEL, TransportStore(MemoryStore()))
    inbox.subscribed()
    assert list(inbox.receive_history([])) == []
    assert [inbox.receive_live(message(nonce)) for nonce in (1, 1, 3, 2, 4)] == [True, False, True, False, True]


def test_a_second_subscription_waits_for_its_history() -> None:
    inbox = Inbox(CHANNEL, TransportStore(MemoryStore()))
    inbox.subscribed()
    list(inbox.receive_history([message(1)]))
    inbox.subscribed()
    assert not inbox.receive_live(message(3))
    assert [
        (envelope.nonce, dropped) for envelope, dropped in inbox.receive_history([message(1), message(2), message(3)])
    ] == [
        (2, True),
        (3, False),
    ]


def test_messages_of_the_own_client_are_dropped() -> None:
    store = TransportStore(MemoryStore())
    inbox = Inbox(CHANNEL, store)
    own = Envelope(store.client_id, 1, "")
    assert list(inbox.receive_history([own])) == []
    assert not inbox.receive_live(own)


def sent(publish: Publish | None) -> int:
    assert publish is not None
    return publish.message_id


def test_messages_are_published_one_at_a_time_in_order() -> None:
    outbox = Outbox(TransportStore(MemoryStore()))
    first, second = outbox.put(CHANNEL, "a"), outbox.put(CHANNEL, "b")
    assert sent(outbox.next()) == first
    assert outbox.next() is None
    assert outbox.published(first, ok=True, now=0.0) is None
    assert sent(outbox.next()) == second


def test_a_refused_message_is_published_five_times_with_the_same_nonce_and_growing_delays() -> None:
    outbox = Outbox(TransportStore(MemoryStore()))
    identifier = outbox.put(CHANNEL, "a")
    now, delays, nonces, failed = 100.0, [], set(), None
    for _ in range(ATTEMPTS):
        publish = outbox.next()
        assert publish is not None
        nonces.add(decode(publish.data).nonce)
        failed = outbox.published(identifier, ok=False, now=now)
        due = outbox.deadline()
        if due is not None:
            outbox.tick(due - 0.001)
            assert outbox.next() is None
            delays.append(round(due - now, 6))
            now = due
            outbox.tick(now)
    assert (delays, nonces) == ([0.1, 0.2, 0.4, 0.8], {1})
    assert failed is not None
    assert failed.message_id == identifier
    assert outbox.next() is None


def test_a_late_reply_to_an_earlier_message_is_ignored() -> None:
    outbox = Outbox(TransportStore(MemoryStore()))
    first, second = outbox.put(CHANNEL, "a"), outbox.put(CHANNEL, "b")
    outbox.next()
    outbox.published(first, ok=True, now=0.0)
    outbox.next()
    assert outbox.published(first, ok=False, now=0.0) is None
    assert outbox.published(second, ok=True, now=0.0) is None
    assert outbox.next() is None
