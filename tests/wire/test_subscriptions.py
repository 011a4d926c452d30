"""`wire.subscriptions`: positions, resubscription and recovery."""

from __future__ import annotations

import pytest

from monitor.wire.backoff import Backoff
from monitor.wire.commands import Position, Subscribe, Unsubscribe
from monitor.wire.connection import State
from monitor.wire.events import (
    Dropped,
    Subscribed,
    Unsubscribed,
)
from tests.wire.harness import CHANNEL, HELLO_RESULT, connected, receive, sent, subscribe


def test_a_subscribe_reply_has_the_position() -> None:
    connection = connected()
    identifier = connection.command(Subscribe(channel=CHANNEL), 1.0)
    body = {"recoverable": True, "positioned": True, "epoch": "e", "offset": 7}
    event = receive(connection, {"id": identifier, "subscribe": body})[0]
    assert event == Subscribed(
        channel=CHANNEL,
        position=Position(epoch="e", offset=7),
        was_recovering=False,
        recovered=False,
        publications=(),
        at=1.0,
    )


def test_resubscription_recovers_from_the_last_received_offset() -> None:
    connection = connected(reconnect=Backoff())
    subscribe(connection, offset=2)
    receive(connection, {"push": {"channel": CHANNEL, "pub": {"data": "x", "offset": 3}}})
    connection.lost(2.0)
    (dropped,) = connection.events()
    assert isinstance(dropped, Dropped)
    assert dropped.reconnect_at is not None
    connection.tick(dropped.reconnect_at)
    assert connection.state is State.OPENING
    connection.opened(3.0)
    hello = sent(connection)[0]
    receive(connection, {"id": hello["id"], "connect": HELLO_RESULT}, now=3.0)
    (resubscribe,) = sent(connection)
    assert resubscribe["subscribe"] == {
        "channel": CHANNEL,
        "positioned": True,
        "recoverable": True,
        "recover": True,
        "epoch": "e",
        "offset": 3,
    }
    publications = [{"data": "y", "offset": 4}, {"data": "z", "offset": 5}]
    body = {"recoverable": True, "epoch": "e", "offset": 3, "recovered": True, "was_recovering": True}
    events = receive(connection, {"id": resubscribe["id"], "subscribe": body | {"publications": publications}}, now=3.1)
    recovered = events[0]
    assert isinstance(recovered, Subscribed)
    assert recovered.recovered
    assert [item.data for item in recovered.publications] == ["y", "z"]
    assert recovered.position == Position(epoch="e", offset=5)  # the reply has the requested offset


def test_an_omitted_offset_is_zero() -> None:
    connection = connected()
    identifier = connection.command(Subscribe(channel=CHANNEL), 1.0)
    event = receive(connection, {"id": identifier, "subscribe": {"recoverable": True, "epoch": "e"}})[0]
    assert isinstance(event, Subscribed)
    assert event.position == Position(epoch="e", offset=0)


@pytest.mark.parametrize(("code", "reconnects"), [(2000, False), (2499, False), (2500, True), (2501, True)])
def test_an_unsubscribe_push_resubscribes_from_2500_on(code: int, reconnects: bool) -> None:
    connection = connected()
    subscribe(connection, epoch="e", offset=4)
    (event,) = receive(connection, {"push": {"channel": CHANNEL, "unsubscribe": {"code": code, "reason": "r"}}})
    assert event == Unsubscribed(channel=CHANNEL, code=code, reason="r", resubscribing=reconnects, at=1.0)
    commands = sent(connection)
    assert [command["subscribe"]["offset"] for command in commands] == ([4] if reconnects else [])


def test_repeated_unsubscribe_pushes_cause_one_resubscription() -> None:
    connection = connected(reconnect=Backoff())
    subscribe(connection, offset=4)
    push = {"push": {"channel": CHANNEL, "unsubscribe": {"code": 2500, "reason": ""}}}
    assert len(receive(connection, *[push] * 9000)) == 9000
    assert len(sent(connection)) == 1


def test_an_error_of_an_earlier_subscription_does_not_end_a_later_one() -> None:
    connection = connected()
    first = connection.command(Subscribe(channel=CHANNEL), 1.0)
    connection.command(Unsubscribe(channel=CHANNEL), 1.0)
    connection.command(Subscribe(channel=CHANNEL), 1.0)
    receive(connection, {"id": first, "error": {"code": 105, "message": "already subscribed"}})
    assert list(connection.subscriptions) == [CHANNEL]


def test_a_refused_first_subscription_is_removed() -> None:
    connection = connected()
    identifier = connection.command(Subscribe(channel=CHANNEL), 1.0)
    receive(connection, {"id": identifier, "error": {"code": 103, "message": "permission denied"}})
    assert connection.subscriptions == {}


def test_a_resubscription_is_retried_after_a_temporary_error() -> None:
    connection = connected(reconnect=Backoff())
    subscribe(connection, offset=4)
    receive(connection, {"push": {"channel": CHANNEL, "unsubscribe": {"code": 2500, "reason": ""}}})
    (again,) = sent(connection)
    receive(connection, {"id": again["id"], "error": {"code": 100, "message": "internal", "temporary": True}})
    due = connection.deadline()
    assert due is not None
    connection.tick(due)
    assert sent(connection)[0]["subscribe"]["offset"] == 4


def test_after_an_unrecoverable_position_the_channel_is_resubscribed_without_recovery() -> None:
    connection = connected(reconnect=Backoff())
    subscribe(connection, offset=4)
    receive(connection, {"push": {"channel": CHANNEL, "unsubscribe": {"code": 2500, "reason": ""}}})
    (again,) = sent(connection)
    receive(connection, {"id": again["id"], "error": {"code": 112, "message": "unrecoverable position"}})
    due = connection.deadline()
    assert due is not None
    connection.tick(due)
    assert "recover" not in sent(connection)[0]["subscribe"]


def test_an_unsubscribed_channel_is_not_resubscribed() -> None:
    connection = connected(reconnect=Backoff())
    subscribe(connection)
    connection.command(Unsubscribe(channel=CHANNEL), 2.0)
    assert connection.subscriptions == {}
