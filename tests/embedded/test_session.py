"""`embedded.session`: lines of a client in, lines of the relay out, on a manual clock."""

from __future__ import annotations

import json
from typing import Any

import pytest

from monitor.embedded.broker import Broker
from monitor.embedded.namespaces import PRODUCTION
from monitor.embedded.session import MAX_BUFFERED, ServerSettings, Session

CHANNEL = "session:0f8fad5b-d9cb-469f-a165-70867728950e"
HELLO = '{"id":1,"connect":{}}'


class Client:
    """A session with its broker, on a manual clock."""

    def __init__(self, broker: Broker | None = None, *, connected: bool = True, **settings: Any) -> None:
        self.now = 0.0
        self.wakeups = 0
        self.broker = broker or Broker(PRODUCTION)
        self.session = Session(self.broker, ServerSettings(**settings), self.now, self._wake)
        if connected:
            self.send(HELLO)

    def _wake(self) -> None:
        self.wakeups += 1

    def send(self, *lines: str) -> list[dict[str, Any]]:
        self.session.receive("\n".join(lines), self.now)
        return self.received()

    def received(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.session.lines()]

    def at(self, now: float) -> list[dict[str, Any]]:
        self.now = now
        self.session.tick(now)
        return self.received()

    @property
    def code(self) -> int | None:
        return None if self.session.closing is None else self.session.closing[0]


def history(number: int, more: str = "") -> str:
    return f'{{"id":{number},"history":{{"channel":"{CHANNEL}"{more}}}}}'


def publish(number: int, data: str) -> str:
    return f'{{"id":{number},"publish":{{"channel":"{CHANNEL}","data":{data}}}}}'


@pytest.mark.parametrize(
    "line",
    [
        '{"id":1,"connect":{"token":5}}',
        '{"id":1,"connect":{"token":{}}}',
        '{"id":1,"connect":[]}',
        '{"send":{"data":1}}',
        "{",
        "3",
        "",
    ],
)
def test_a_malformed_first_command_closes_the_connection(line: str) -> None:
    client = Client(connected=False)
    assert client.send(line) == []
    assert client.session.closing == (3501, "bad request")


def test_replies_to_commands_before_a_malformed_one_are_sent() -> None:
    client = Client()
    assert [reply["id"] for reply in client.send(history(2), history(3), "{", history(4))] == [2, 3]
    assert client.code == 3501


def test_a_client_that_never_connects_is_stale() -> None:
    client = Client(connected=False, stale_timeout=10.0)
    assert client.session.deadline() == 10.0
    client.at(9.9)
    assert client.code is None
    client.at(10.0)
    assert client.code == 3502


def test_a_connection_is_closed_without_a_pong_and_kept_with_one() -> None:
    client = Client(ping_interval=25.0, pong_timeout=8.0)
    assert client.at(25.0) == [{}]
    client.send("{}")
    assert client.at(50.0) == [{}]
    client.at(57.9)
    assert client.code is None
    client.at(58.0)
    assert client.code == 3012


def test_a_second_pong_for_one_ping_is_a_bad_request() -> None:
    client = Client(ping_interval=25.0)
    client.at(25.0)
    client.send("{}", "{}")
    assert client.code == 3501


def test_a_client_that_does_not_read_is_closed_and_unsubscribed() -> None:
    broker = Broker(PRODUCTION)
    slow, publisher = Client(broker), Client(broker)
    slow.send(f'{{"id":2,"subscribe":{{"channel":"{CHANNEL}"}}}}')
    for number in range(MAX_BUFFERED // 50_000 + 2):
        publisher.send(publish(number + 2, '"' + "x" * 50_000 + '"'))
    assert (slow.code, publisher.code) == (3008, None)
    assert not broker.stream(CHANNEL, 0.0).subscribers


def test_replies_to_one_frame_count_towards_the_buffer_limit() -> None:
    client = Client()
    for number in range(20):
        client.send(publish(number + 2, '"' + "x" * 60_000 + '"'))
    replies = client.send(*(history(number + 50, ',"limit":-1') for number in range(500)))
    assert client.code == 3008
    assert len(replies) <= 2


@pytest.mark.parametrize(
    ("more", "offsets"),
    [
        ('"limit":9,"since":{"offset":2}', [3, 4, 5]),
        ('"limit":9,"since":{"offset":9}', []),
        ('"limit":2,"reverse":true', [5, 4]),
        ('"limit":9,"reverse":true,"since":{"offset":3}', [2, 1]),
        ('"limit":9,"reverse":true,"since":{"offset":6}', [5, 4, 3, 2, 1]),
        ('"limit":9,"reverse":true,"since":{"offset":7}', []),
        ('"limit":9,"reverse":true,"since":{"offset":1}', []),
    ],
)
def test_history_starts_next_to_the_since_position(more: str, offsets: list[int]) -> None:
    client = Client()
    client.send(*(publish(number, str(number)) for number in range(2, 7)))
    (reply,) = client.send(history(9, "," + more))
    assert [item["offset"] for item in reply["history"]["publications"]] == offsets


def test_a_closed_session_is_unsubscribed_from_every_channel() -> None:
    client = Client()
    client.send(f'{{"id":2,"subscribe":{{"channel":"{CHANNEL}"}}}}')
    client.session.disconnected()
    client.broker.publish(CHANNEL, "1", "{}", 0.0)
    assert client.received() == []
    assert client.session.deadline() is None
