"""One client of the embedded relay: lines in, lines out, at a time of the test's choosing."""

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
    """A session and its relay, on a clock that stands still unless moved."""

    def __init__(self, broker: Broker | None = None, *, connected: bool = True, **settings: Any) -> None:
        self.now = 0.0
        self.woken = 0
        self.broker = broker or Broker(PRODUCTION)
        self.session = Session(self.broker, ServerSettings(**settings), self.now, self._wake)
        if connected:
            self.say(HELLO)

    def _wake(self) -> None:
        self.woken += 1

    def say(self, *lines: str) -> list[dict[str, Any]]:
        self.session.receive("\n".join(lines), self.now)
        return self.heard()

    def heard(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.session.lines()]

    def at(self, now: float) -> list[dict[str, Any]]:
        self.now = now
        self.session.tick(now)
        return self.heard()

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
def test_a_malformed_first_command_ends_the_connection(line: str) -> None:
    client = Client(connected=False)
    assert client.say(line) == []
    assert client.session.closing == (3501, "bad request")


def test_what_was_answered_before_a_mistake_is_still_said() -> None:
    client = Client()
    assert [reply["id"] for reply in client.say(history(2), history(3), "{", history(4))] == [2, 3]
    assert client.code == 3501


def test_a_client_that_never_connects_is_stale() -> None:
    client = Client(connected=False, stale_timeout=10.0)
    assert client.session.deadline() == 10.0
    client.at(9.9)
    assert client.code is None
    client.at(10.0)
    assert client.code == 3502


def test_an_answered_ping_keeps_the_connection_and_an_unanswered_one_ends_it() -> None:
    client = Client(ping_interval=25.0, pong_timeout=8.0)
    assert client.at(25.0) == [{}]
    client.say("{}")
    assert client.at(50.0) == [{}]
    client.at(57.9)
    assert client.code is None
    client.at(58.0)
    assert client.code == 3012


def test_a_pong_counts_once() -> None:
    client = Client(ping_interval=25.0)
    client.at(25.0)
    client.say("{}", "{}")
    assert client.code == 3501


def test_a_client_that_does_not_read_is_cut_off_and_no_longer_listens() -> None:
    broker = Broker(PRODUCTION)
    slow, busy = Client(broker), Client(broker)
    slow.say(f'{{"id":2,"subscribe":{{"channel":"{CHANNEL}"}}}}')
    for number in range(MAX_BUFFERED // 50_000 + 2):
        busy.say(publish(number + 2, '"' + "x" * 50_000 + '"'))
    assert (slow.code, busy.code) == (3008, None)
    assert not broker.stream(CHANNEL, 0.0).subscribers


def test_one_frame_of_commands_cannot_ask_for_more_than_a_client_may_have_waiting() -> None:
    client = Client()
    for number in range(20):
        client.say(publish(number + 2, '"' + "x" * 60_000 + '"'))
    replies = client.say(*(history(number + 50, ',"limit":-1') for number in range(500)))
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
def test_history_starts_beside_the_position_it_is_asked_from(more: str, offsets: list[int]) -> None:
    client = Client()
    client.say(*(publish(number, str(number)) for number in range(2, 7)))
    (reply,) = client.say(history(9, "," + more))
    assert [item["offset"] for item in reply["history"]["publications"]] == offsets


def test_leaving_takes_a_client_out_of_every_channel() -> None:
    client = Client()
    client.say(f'{{"id":2,"subscribe":{{"channel":"{CHANNEL}"}}}}')
    client.session.gone()
    client.broker.publish(CHANNEL, "1", "{}", 0.0)
    assert client.heard() == []
    assert client.session.deadline() is None
