"""`wire.connection`: frames and time in, events and frames out."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import MAX_DETAIL, MisuseError
from monitor.vocabulary import Reason
from monitor.wire.backoff import Backoff
from monitor.wire.commands import Connect, History, Position, Presence, Publish, Refresh, Subscribe, Unsubscribe
from monitor.wire.connection import MAX_PENDING, PING_GRACE, Connection, State
from monitor.wire.events import (
    Connected,
    Dropped,
    ErrorReply,
    Event,
    HistoryRead,
    MessagePushed,
    Presented,
    Publication,
    Replied,
    Subscribed,
    TokenExpiring,
    Unanswered,
    Unsubscribed,
)

CHANNEL = "session:00000000-0000-4000-8000-000000000001"
HELLO_BODY = {"client": "c1", "version": "6.9.1", "ping": 25, "pong": True}
HELLO = {"id": 1, "connect": HELLO_BODY}


def made(*, reconnect: Backoff | None = None) -> Connection:
    """A connection whose hello is sent."""
    connection = Connection(hello=Connect(name="n", version="1"), rng=random.Random(1), reconnect=reconnect)
    connection.connect(0.0)
    connection.opened(0.0)
    return connection


def feed(connection: Connection, *objects: Any, now: float = 1.0) -> list[Event]:
    connection.receive("\n".join(json.dumps(item) for item in objects), now)
    return connection.events()


def sent(connection: Connection) -> list[Any]:
    return [json.loads(line) for line in connection.data_to_send()]


def connected(*, reconnect: Backoff | None = None, **hello: Any) -> Connection:
    connection = made(reconnect=reconnect)
    feed(connection, {"id": 1, "connect": {**HELLO_BODY, **hello}})
    sent(connection)
    return connection


def subscribed(connection: Connection, epoch: str = "e", offset: int = 0, now: float = 1.0) -> int:
    """Subscribes `CHANNEL`; returns the command's id."""
    identifier = connection.command(Subscribe(channel=CHANNEL), now)
    reply = {"recoverable": True, "positioned": True, "epoch": epoch, "offset": offset}
    feed(connection, {"id": identifier, "subscribe": reply}, now=now)
    sent(connection)
    return identifier


class TestHello:
    def test_connect_carries_name_version_token_and_data(self) -> None:
        connection = Connection(
            hello=Connect(name="relay-monitor", version="1.2", token="t", data={"a": 1}), rng=random.Random(1)
        )
        connection.connect(0.0)
        connection.opened(0.0)
        assert sent(connection) == [
            {"id": 1, "connect": {"name": "relay-monitor", "version": "1.2", "token": "t", "data": {"a": 1}}}
        ]

    def test_the_reply_is_an_event_with_the_servers_ping(self) -> None:
        connection = made()
        events = feed(connection, HELLO)
        assert events[0] == Connected(client="c1", version="6.9.1", ping=25.0, pong=True, at=1.0)
        assert connection.state is State.CONNECTED

    def test_a_token_is_in_no_repr(self) -> None:
        texts = [repr(Connect(name="n", version="1", token="secret")), repr(Refresh(token="secret"))]
        texts.append(repr(Subscribe(channel="c", token="secret")))
        assert all("secret" not in text for text in texts)

    @pytest.mark.parametrize(("code", "back"), [(100, True), (109, True), (101, False), (103, False)])
    def test_a_refused_hello_comes_back_only_where_that_can_help(self, code: int, back: bool) -> None:
        connection = made(reconnect=Backoff())
        replied, dropped = feed(connection, {"id": 1, "error": {"code": code, "message": "no"}})
        assert isinstance(replied, Replied)
        assert replied.error == ErrorReply(code=code, message="no", temporary=code == 100)
        assert isinstance(dropped, Dropped)
        assert (dropped.reconnect_at is not None) is back

    def test_a_hello_without_a_reply_is_silent(self) -> None:
        connection = made()
        connection.tick(5.0)
        unanswered, dropped = connection.events()
        assert isinstance(unanswered, Unanswered)
        assert unanswered.silent
        assert isinstance(dropped, Dropped)
        assert dropped.fault is Reason.SILENT


class TestCommands:
    def test_replies_find_their_commands_in_any_order(self) -> None:
        connection = connected()
        first = connection.command(Publish(channel=CHANNEL, data="a"), 1.0)
        second = connection.command(Publish(channel=CHANNEL, data="b"), 1.0)
        events = feed(connection, {"id": second, "publish": {}}, {"id": first, "publish": {}}, now=1.5)
        assert [event.id for event in events if isinstance(event, Replied)] == [second, first]
        assert [event.took for event in events if isinstance(event, Replied)] == [0.5, 0.5]

    def test_history_asks_for_what_it_was_told_and_gives_publications(self) -> None:
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
        assert feed(connection, {"id": identifier, "history": body}) == [
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
        (event,) = feed(connection, {"id": identifier, "error": {"code": 108, "message": "not available"}})
        assert isinstance(event, Replied)
        assert event.error == ErrorReply(code=108, message="not available", temporary=False)

    def test_no_reply_in_time_is_unanswered_and_a_late_one_is_ignored(self) -> None:
        connection = connected()
        identifier = connection.command(Publish(channel=CHANNEL, data=1), 1.0)
        assert connection.deadline() == 6.0
        connection.tick(6.0)
        assert connection.events() == [
            Unanswered(id=identifier, command=Publish(channel=CHANNEL, data=1), silent=True, at=6.0)
        ]
        assert feed(connection, {"id": identifier, "publish": {}}, now=7.0) == []
        assert connection.state is State.CONNECTED

    def test_a_lost_connection_leaves_no_command_waiting(self) -> None:
        connection = connected()
        identifier = connection.command(Publish(channel=CHANNEL, data=1), 1.0)
        connection.lost(2.0)
        unanswered, dropped = connection.events()
        assert isinstance(unanswered, Unanswered)
        assert (unanswered.id, unanswered.silent) == (identifier, False)
        assert isinstance(dropped, Dropped)

    def test_misuse_is_an_error_of_the_caller(self) -> None:
        connection = made()
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


class TestSubscriptions:
    def test_a_reply_gives_the_position(self) -> None:
        connection = connected()
        identifier = connection.command(Subscribe(channel=CHANNEL), 1.0)
        body = {"recoverable": True, "positioned": True, "epoch": "e", "offset": 7}
        event = feed(connection, {"id": identifier, "subscribe": body})[0]
        assert event == Subscribed(
            channel=CHANNEL,
            position=Position(epoch="e", offset=7),
            was_recovering=False,
            recovered=False,
            publications=(),
            at=1.0,
        )

    def test_resubscription_resumes_at_the_last_offset_seen(self) -> None:
        connection = connected(reconnect=Backoff())
        subscribed(connection, offset=2)
        feed(connection, {"push": {"channel": CHANNEL, "pub": {"data": "x", "offset": 3}}})
        connection.lost(2.0)
        (dropped,) = connection.events()
        assert isinstance(dropped, Dropped)
        assert dropped.reconnect_at is not None
        connection.tick(dropped.reconnect_at)
        assert connection.state is State.OPENING
        connection.opened(3.0)
        hello = sent(connection)[0]
        feed(connection, {"id": hello["id"], "connect": HELLO_BODY}, now=3.0)
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
        events = feed(
            connection, {"id": resubscribe["id"], "subscribe": body | {"publications": publications}}, now=3.1
        )
        recovered = events[0]
        assert isinstance(recovered, Subscribed)
        assert recovered.recovered
        assert [item.data for item in recovered.publications] == ["y", "z"]
        assert recovered.position == Position(epoch="e", offset=5)  # the reply echoes what was asked

    def test_an_omitted_offset_is_zero(self) -> None:
        connection = connected()
        identifier = connection.command(Subscribe(channel=CHANNEL), 1.0)
        event = feed(connection, {"id": identifier, "subscribe": {"recoverable": True, "epoch": "e"}})[0]
        assert isinstance(event, Subscribed)
        assert event.position == Position(epoch="e", offset=0)

    @pytest.mark.parametrize(("code", "back"), [(2000, False), (2499, False), (2500, True), (2501, True)])
    def test_an_unsubscribe_push_resubscribes_from_2500_on(self, code: int, back: bool) -> None:
        connection = connected()
        subscribed(connection, epoch="e", offset=4)
        (event,) = feed(connection, {"push": {"channel": CHANNEL, "unsubscribe": {"code": code, "reason": "r"}}})
        assert event == Unsubscribed(channel=CHANNEL, code=code, reason="r", resubscribing=back, at=1.0)
        commands = sent(connection)
        assert [command["subscribe"]["offset"] for command in commands] == ([4] if back else [])

    def test_pushes_that_say_so_again_ask_for_no_second_resubscription(self) -> None:
        connection = connected(reconnect=Backoff())
        subscribed(connection, offset=4)
        push = {"push": {"channel": CHANNEL, "unsubscribe": {"code": 2500, "reason": ""}}}
        assert len(feed(connection, *[push] * 9000)) == 9000
        assert len(sent(connection)) == 1

    def test_a_refusal_of_an_earlier_subscription_ends_no_later_one(self) -> None:
        connection = connected()
        first = connection.command(Subscribe(channel=CHANNEL), 1.0)
        connection.command(Unsubscribe(channel=CHANNEL), 1.0)
        connection.command(Subscribe(channel=CHANNEL), 1.0)
        feed(connection, {"id": first, "error": {"code": 105, "message": "already subscribed"}})
        assert list(connection.subscriptions) == [CHANNEL]

    def test_a_refused_first_subscription_is_forgotten(self) -> None:
        connection = connected()
        identifier = connection.command(Subscribe(channel=CHANNEL), 1.0)
        feed(connection, {"id": identifier, "error": {"code": 103, "message": "permission denied"}})
        assert connection.subscriptions == {}

    def test_a_resubscription_refused_for_now_is_tried_again(self) -> None:
        connection = connected(reconnect=Backoff())
        subscribed(connection, offset=4)
        feed(connection, {"push": {"channel": CHANNEL, "unsubscribe": {"code": 2500, "reason": ""}}})
        (again,) = sent(connection)
        feed(connection, {"id": again["id"], "error": {"code": 100, "message": "internal", "temporary": True}})
        due = connection.deadline()
        assert due is not None
        connection.tick(due)
        assert sent(connection)[0]["subscribe"]["offset"] == 4

    def test_an_unrecoverable_position_is_given_up_and_the_channel_is_not(self) -> None:
        connection = connected(reconnect=Backoff())
        subscribed(connection, offset=4)
        feed(connection, {"push": {"channel": CHANNEL, "unsubscribe": {"code": 2500, "reason": ""}}})
        (again,) = sent(connection)
        feed(connection, {"id": again["id"], "error": {"code": 112, "message": "unrecoverable position"}})
        due = connection.deadline()
        assert due is not None
        connection.tick(due)
        assert "recover" not in sent(connection)[0]["subscribe"]

    def test_after_unsubscribing_nothing_is_resumed(self) -> None:
        connection = connected(reconnect=Backoff())
        subscribed(connection)
        connection.command(Unsubscribe(channel=CHANNEL), 2.0)
        assert connection.subscriptions == {}


class TestPushes:
    def test_every_kind_of_push_is_an_event(self) -> None:
        connection = connected()
        subscribed(connection)
        events = feed(
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

    @pytest.mark.parametrize(("code", "back"), [(3001, True), (3500, False), (4000, True), (4500, False)])
    def test_a_disconnect_push_ends_the_connection(self, code: int, back: bool) -> None:
        connection = connected(reconnect=Backoff())
        (event,) = feed(connection, {"push": {"disconnect": {"code": code, "reason": "r"}}})
        assert isinstance(event, Dropped)
        assert (event.code, event.reason, event.reconnect_at is not None) == (code, "r", back)
        assert connection.closing is not None

    def test_unknown_pushes_and_fields_are_ignored(self) -> None:
        connection = connected()
        assert feed(connection, {"push": {"channel": CHANNEL, "future": {}}}, {"new": 1}) == []
        assert connection.state is State.CONNECTED


class TestPings:
    def test_a_ping_is_answered_and_puts_the_deadline_off(self) -> None:
        connection = connected()
        assert connection.deadline() == 1.0 + 25 + PING_GRACE
        assert feed(connection, {}, now=20.0) == []
        assert sent(connection) == [{}]
        assert connection.deadline() == 20.0 + 25 + PING_GRACE

    def test_without_pong_a_ping_is_not_answered(self) -> None:
        connection = connected(pong=False)
        feed(connection, {})
        assert sent(connection) == []

    def test_no_ping_for_interval_and_grace_is_a_dead_connection(self) -> None:
        connection = connected(reconnect=Backoff())
        connection.tick(35.9)
        assert connection.events() == []
        connection.tick(36.0)
        (event,) = connection.events()
        assert isinstance(event, Dropped)
        assert event.fault is Reason.SILENT
        assert event.reconnect_at is not None

    def test_other_traffic_does_not_stand_in_for_pings(self) -> None:
        connection = connected()
        subscribed(connection)
        feed(connection, {"push": {"channel": CHANNEL, "pub": {"data": 1, "offset": 1}}}, now=35.0)
        assert connection.deadline() == 36.0

    def test_a_server_without_pings_is_never_dead_for_want_of_them(self) -> None:
        connection = connected(ping=0)
        assert connection.deadline() is None


class TestTokens:
    def test_a_token_is_asked_for_before_it_expires(self) -> None:
        connection = connected(expires=True, ttl=100)
        assert connection.deadline() == 36.0  # the ping first
        feed(connection, {}, now=90.0)
        connection.tick(91.0)
        assert connection.events() == [TokenExpiring(channel=None, at=91.0)]
        identifier = connection.command(Refresh(token="new"), 91.0)
        feed(connection, {"id": identifier, "refresh": {"expires": True, "ttl": 10}}, now=91.0)
        connection.tick(96.0)
        assert TokenExpiring(channel=None, at=96.0) in connection.events()


class TestReconnecting:
    @pytest.mark.parametrize(
        ("code", "back"), [(None, True), (1000, True), (1006, True), (1009, False), (3001, True), (3499, True),
                           (3500, False), (3999, False), (4000, True), (4499, True), (4500, False), (4999, False)],
    )  # fmt: skip
    def test_the_close_code_says_whether_to_come_back(self, code: int | None, back: bool) -> None:
        connection = connected(reconnect=Backoff())
        connection.lost(2.0, code, "r")
        (event,) = connection.events()
        assert isinstance(event, Dropped)
        assert (event.reconnect_at is not None) is back
        assert connection.state is (State.WAITING if back else State.CLOSED)

    def test_delays_grow_with_failures_and_start_over_after_a_hello(self) -> None:
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
        feed(connection, {"id": sent(connection)[0]["id"], "connect": HELLO_BODY}, now=now)
        connection.lost(now)
        (last,) = connection.events()
        assert isinstance(last, Dropped)
        assert last.reconnect_at is not None
        assert last.reconnect_at - now <= 0.1 + 1e-9

    def test_retry_after_is_obeyed(self) -> None:
        connection = connected(reconnect=Backoff())
        connection.lost(2.0, not_before=20.0)
        assert connection.deadline() == 22.0

    @given(failures=st.integers(0, 10_000), seed=st.integers())
    def test_every_delay_lies_within_the_bounds(self, failures: int, seed: int) -> None:
        assert 0.1 <= Backoff().delay(failures, random.Random(seed)) <= 30.0


class TestBadFrames:
    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("not json", Reason.PROTOCOL),
            ("[]", Reason.PROTOCOL),
            ('{"id": 1, "connect": {}} x', Reason.PROTOCOL),
            ("NaN", Reason.PROTOCOL),
            ("[" * 100_000, Reason.PROTOCOL),
            ('{"id": ' + "9" * 5000 + "}", Reason.PROTOCOL),
            ('{"id": 99, "publish": {}}', Reason.PROTOCOL),
            ('{"id": 1}', Reason.PROTOCOL),
            ('{"id": 1, "connect": {"client": "c", "ping": "soon"}}', Reason.PROTOCOL),
            ('{"id": 1, "connect": {"client": "c", "ping": -1}}', Reason.PROTOCOL),
            ('{"id": 1, "connect": {"ping": 25}}', Reason.PROTOCOL),
            ('{"id": [], "connect": {}}', Reason.PROTOCOL),
            ('{"push": 1}', Reason.PROTOCOL),
            ('{"push": {"channel": "c", "pub": {}}}', Reason.PROTOCOL),
            ('{"push": {"channel": "c", "pub": {"data": 1, "offset": "x"}}}', Reason.PROTOCOL),
            ("{}\n" * 20_000, Reason.TOO_LARGE),
        ],
    )
    def test_a_bad_frame_is_a_result_with_its_reason(self, text: str, fault: Reason) -> None:
        connection = made(reconnect=Backoff())
        connection.receive(text, 1.0)
        dropped = [event for event in connection.events() if isinstance(event, Dropped)]
        assert [event.fault for event in dropped] == [fault]
        assert connection.state is State.CLOSED  # the same bytes would come again
        assert connection.closing is not None

    @pytest.mark.parametrize("depth", [1, 300])
    def test_a_reply_to_a_command_that_never_was_is_quoted_in_part(self, depth: int) -> None:
        identifier = "[" * depth + '"' + "x" * 1_000_000 + '"' + "]" * depth
        connection = made()
        connection.receive(f'{{"id": {identifier}}}', 1.0)
        (dropped,) = [event for event in connection.events() if isinstance(event, Dropped)]
        assert dropped.fault is Reason.PROTOCOL
        assert dropped.reason.startswith("a reply to command [")
        assert dropped.reason.endswith(", which was never sent")
        assert len(dropped.reason) < 300

    def test_whoever_says_why_it_dropped_is_cut_short(self) -> None:
        connection = connected()
        connection.lost(2.0, 3000, "x" * 1_000_000)
        (dropped,) = connection.events()
        assert isinstance(dropped, Dropped)
        assert dropped.reason == "x" * MAX_DETAIL

    @given(text=st.text())
    def test_no_text_makes_it_raise(self, text: str) -> None:
        connection = made()
        connection.receive(text, 1.0)
        connection.tick(2.0)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(0, 3),
            lambda inner: st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["id", "push", "pub", "data", "offset", "channel", "connect", "subscribe", "publications", "error",
                     "code", "disconnect", "unsubscribe", "join", "message", "refresh", "info", "ping", "epoch", "ttl",
                     "expires", "client"]
                ),
                inner,
                max_size=4,
            ),
        )
    )  # fmt: skip
    def test_no_json_shape_makes_it_raise(self, value: Any) -> None:
        connection = connected(reconnect=Backoff())
        connection.command(Subscribe(channel=CHANNEL), 1.0)
        connection.receive(json.dumps(value), 1.0)
        connection.events()
        connection.tick(60.0)

    @given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
    def test_how_objects_are_spread_over_frames_makes_no_difference(self, cuts: list[int]) -> None:
        pushes = [json.dumps({"push": {"channel": CHANNEL, "pub": {"data": n, "offset": n + 1}}}) for n in range(12)]
        whole = connected()
        whole.receive("\n".join(pushes), 1.0)
        split = connected()
        rest = list(pushes)
        for cut in cuts:
            frame, rest = rest[: cut + 1], rest[cut + 1 :]
            if frame:
                split.receive("\n".join(frame), 1.0)
        if rest:
            split.receive("\n".join(rest), 1.0)
        assert split.events() == whole.events()
