"""`wire.connection`: frames and time in, events and frames out."""

from __future__ import annotations

import random

import pytest

from monitor.errors import MisuseError
from monitor.vocabulary import Reason
from monitor.wire.backoff import Backoff
from monitor.wire.commands import Connect, History, Position, Presence, Publish, Refresh, Subscribe
from monitor.wire.connection import MAX_PENDING, PING_GRACE, Connection, State
from monitor.wire.events import (
    Connected,
    Dropped,
    ErrorReply,
    HistoryRead,
    MessagePushed,
    Presented,
    Publication,
    Replied,
    TokenExpiring,
    Unanswered,
)
from tests.wire.harness import CHANNEL, HELLO_REPLY, HELLO_RESULT, connected, hello_sent, receive, sent, subscribe


class TestHello:
    def test_connect_sends_name_version_token_and_data(self) -> None:
        connection = Connection(
            hello=Connect(name="relay-monitor", version="1.2", token="t", data={"a": 1}), rng=random.Random(1)
        )
        connection.connect(0.0)
        connection.opened(0.0)
        assert sent(connection) == [
            {"id": 1, "connect": {"name": "relay-monitor", "version": "1.2", "token": "t", "data": {"a": 1}}}
        ]

    def test_the_reply_is_an_event_with_the_ping_interval(self) -> None:
        connection = hello_sent()
        events = receive(connection, HELLO_REPLY)
        assert events[0] == Connected(client="c1", version="6.9.1", ping=25.0, pong=True, at=1.0)
        assert connection.state is State.CONNECTED

    def test_a_token_is_in_no_repr(self) -> None:
        texts = [repr(Connect(name="n", version="1", token="secret")), repr(Refresh(token="secret"))]
        texts.append(repr(Subscribe(channel="c", token="secret")))
        assert all("secret" not in text for text in texts)

    @pytest.mark.parametrize(("code", "reconnects"), [(100, True), (109, True), (101, False), (103, False)])
    def test_the_error_code_of_a_refused_hello_decides_on_reconnecting(self, code: int, reconnects: bool) -> None:
        connection = hello_sent(reconnect=Backoff())
        replied, dropped = receive(connection, {"id": 1, "error": {"code": code, "message": "no"}})
        assert isinstance(replied, Replied)
        assert replied.error == ErrorReply(code=code, message="no", temporary=code == 100)
        assert isinstance(dropped, Dropped)
        assert (dropped.reconnect_at is not None) is reconnects

    def test_a_hello_without_a_reply_is_dropped_as_silent(self) -> None:
        connection = hello_sent()
        connection.tick(5.0)
        unanswered, dropped = connection.events()
        assert isinstance(unanswered, Unanswered)
        assert unanswered.silent
        assert isinstance(dropped, Dropped)
        assert dropped.fault is Reason.SILENT


class TestCommands:
    def test_replies_are_matched_to_commands_in_any_order(self) -> None:
        connection = connected()
        first = connection.command(Publish(channel=CHANNEL, data="a"), 1.0)
        second = connection.command(Publish(channel=CHANNEL, data="b"), 1.0)
        events = receive(connection, {"id": second, "publish": {}}, {"id": first, "publish": {}}, now=1.5)
        assert [event.id for event in events if isinstance(event, Replied)] == [second, first]
        assert [event.took for event in events if isinstance(event, Replied)] == [0.5, 0.5]

    def test_history_sends_its_arguments_and_returns_publications(self) -> None:
        connection = connected()
        since = Position(epoch="e", offset=3)
        identifier = connection.command(History(channel=CHANNEL, limit=50, since=since, reverse=True), 1.0)
        assert sent(connection)[0]["history"] == {
            "channel": CHANNEL,
            "limit": 50,
            "since": {"epoch": "e", "offset": 3},
            "reverse": True,
        }
        body = {"publications": [{"data": "x", "offset": 4}], "epoch": "e", "offset": 4}
        assert receive(connection, {"id": identifier, "history": body}) == [
            HistoryRead(
                id=identifier,
                channel=CHANNEL,
                publications=(Publication(CHANNEL, "x", 4, 1.0),),
                position=Position(epoch="e", offset=4),
                took=0.0,
                at=1.0,
            )
        ]

    def test_an_error_reply_names_its_command(self) -> None:
        connection = connected()
        identifier = connection.command(Presence(channel=CHANNEL), 1.0)
        (event,) = receive(connection, {"id": identifier, "error": {"code": 108, "message": "not available"}})
        assert isinstance(event, Replied)
        assert event.error == ErrorReply(code=108, message="not available", temporary=False)

    def test_a_command_times_out_and_its_late_reply_is_ignored(self) -> None:
        connection = connected()
        identifier = connection.command(Publish(channel=CHANNEL, data=1), 1.0)
        assert connection.deadline() == 6.0
        connection.tick(6.0)
        assert connection.events() == [
            Unanswered(id=identifier, command=Publish(channel=CHANNEL, data=1), silent=True, at=6.0)
        ]
        assert receive(connection, {"id": identifier, "publish": {}}, now=7.0) == []
        assert connection.state is State.CONNECTED

    def test_a_lost_connection_ends_every_pending_command(self) -> None:
        connection = connected()
        identifier = connection.command(Publish(channel=CHANNEL, data=1), 1.0)
        connection.lost(2.0)
        unanswered, dropped = connection.events()
        assert isinstance(unanswered, Unanswered)
        assert (unanswered.id, unanswered.silent) == (identifier, False)
        assert isinstance(dropped, Dropped)

    def test_a_command_in_the_wrong_state_raises_misuse_error(self) -> None:
        connection = hello_sent()
        with pytest.raises(MisuseError, match="publish in state HELLO"):
            connection.command(Publish(channel=CHANNEL, data=1), 1.0)
        connection = connected()
        connection.command(Subscribe(channel=CHANNEL), 1.0)
        with pytest.raises(MisuseError, match="subscribed already"):
            connection.command(Subscribe(channel=CHANNEL), 1.0)

    def test_pending_commands_are_limited(self) -> None:
        connection = connected()
        for _ in range(MAX_PENDING):
            connection.command(Publish(channel=CHANNEL, data=1), 1.0)
        with pytest.raises(MisuseError, match="waiting for replies"):
            connection.command(Publish(channel=CHANNEL, data=1), 1.0)


class TestPushes:
    def test_every_kind_of_push_is_an_event(self) -> None:
        connection = connected()
        subscribe(connection)
        events = receive(
            connection,
            {"push": {"channel": CHANNEL, "pub": {"data": {"a": 1}, "offset": 1}}},
            {"push": {"channel": CHANNEL, "join": {"info": {"client": "c2"}}}},
            {"push": {"channel": CHANNEL, "leave": {"info": {"client": "c2"}}}},
            {"push": {"message": {"data": "m"}}},
        )
        assert events == [
            Publication(CHANNEL, {"a": 1}, 1, 1.0),
            Presented(channel=CHANNEL, client="c2", joined=True, at=1.0),
            Presented(channel=CHANNEL, client="c2", joined=False, at=1.0),
            MessagePushed(data="m", at=1.0),
        ]

    @pytest.mark.parametrize(("code", "reconnects"), [(3001, True), (3500, False), (4000, True), (4500, False)])
    def test_the_code_of_a_disconnect_push_decides_on_reconnecting(self, code: int, reconnects: bool) -> None:
        connection = connected(reconnect=Backoff())
        (event,) = receive(connection, {"push": {"disconnect": {"code": code, "reason": "r"}}})
        assert isinstance(event, Dropped)
        assert (event.code, event.reason, event.reconnect_at is not None) == (code, "r", reconnects)
        assert connection.closing is not None

    def test_unknown_pushes_and_fields_are_ignored(self) -> None:
        connection = connected()
        assert receive(connection, {"push": {"channel": CHANNEL, "future": {}}}, {"new": 1}) == []
        assert connection.state is State.CONNECTED


class TestPings:
    def test_a_ping_is_answered_and_postpones_the_deadline(self) -> None:
        connection = connected()
        assert connection.deadline() == 1.0 + 25 + PING_GRACE
        assert receive(connection, {}, now=20.0) == []
        assert sent(connection) == [{}]
        assert connection.deadline() == 20.0 + 25 + PING_GRACE

    def test_without_pong_a_ping_is_not_answered(self) -> None:
        connection = connected(pong=False)
        receive(connection, {})
        assert sent(connection) == []

    def test_without_a_ping_for_interval_and_grace_the_connection_is_silent(self) -> None:
        connection = connected(reconnect=Backoff())
        connection.tick(35.9)
        assert connection.events() == []
        connection.tick(36.0)
        (event,) = connection.events()
        assert isinstance(event, Dropped)
        assert event.fault is Reason.SILENT
        assert event.reconnect_at is not None

    def test_other_traffic_does_not_replace_pings(self) -> None:
        connection = connected()
        subscribe(connection)
        receive(connection, {"push": {"channel": CHANNEL, "pub": {"data": 1, "offset": 1}}}, now=35.0)
        assert connection.deadline() == 36.0

    def test_a_server_without_pings_has_no_ping_deadline(self) -> None:
        connection = connected(ping=0)
        assert connection.deadline() is None


class TestTokens:
    def test_a_token_is_requested_before_it_expires(self) -> None:
        connection = connected(expires=True, ttl=100)
        assert connection.deadline() == 36.0  # the ping is due first
        receive(connection, {}, now=90.0)
        connection.tick(91.0)
        assert connection.events() == [TokenExpiring(channel=None, at=91.0)]
        identifier = connection.command(Refresh(token="new"), 91.0)
        receive(connection, {"id": identifier, "refresh": {"expires": True, "ttl": 10}}, now=91.0)
        connection.tick(96.0)
        assert TokenExpiring(channel=None, at=96.0) in connection.events()


class TestReconnecting:
    @pytest.mark.parametrize(
        ("code", "reconnects"), [(None, True), (1000, True), (1006, True), (1009, False), (3001, True), (3499, True),
                           (3500, False), (3999, False), (4000, True), (4499, True), (4500, False), (4999, False)],
    )  # fmt: skip
    def test_the_close_code_decides_on_reconnecting(self, code: int | None, reconnects: bool) -> None:
        connection = connected(reconnect=Backoff())
        connection.lost(2.0, code, "r")
        (event,) = connection.events()
        assert isinstance(event, Dropped)
        assert (event.reconnect_at is not None) is reconnects
        assert connection.state is (State.WAITING if reconnects else State.CLOSED)

    def test_delays_grow_with_failures_and_are_reset_by_a_hello(self) -> None:
        connection = connected(reconnect=Backoff())
        now, delays = 2.0, []
        for _ in range(12):
            connection.lost(now)
            (dropped,) = [event for event in connection.events() if isinstance(event, Dropped)]
            assert dropped.reconnect_at is not None
            delays.append(dropped.reconnect_at - now)
            now = dropped.reconnect_at
            connection.tick(now)
        assert delays[0] <= 0.1 + 1e-9
        assert 15.0 <= delays[-1] <= 30.0
        connection.opened(now)
        receive(connection, {"id": sent(connection)[0]["id"], "connect": HELLO_RESULT}, now=now)
        connection.lost(now)
        (last,) = connection.events()
        assert isinstance(last, Dropped)
        assert last.reconnect_at is not None
        assert last.reconnect_at - now <= 0.1 + 1e-9

    def test_retry_after_delays_the_reconnect(self) -> None:
        connection = connected(reconnect=Backoff())
        connection.lost(2.0, not_before=20.0)
        assert connection.deadline() == 22.0
