"""`wire.framing`: invalid frames are faults with a reason, and no frame raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import MAX_DETAIL
from monitor.vocabulary import Reason
from monitor.wire.backoff import Backoff
from monitor.wire.commands import Subscribe
from monitor.wire.connection import State
from monitor.wire.events import (
    Dropped,
)
from tests.wire.harness import CHANNEL, connected, hello_sent


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
def test_an_invalid_frame_drops_the_connection_with_its_reason(text: str, fault: Reason) -> None:
    connection = hello_sent(reconnect=Backoff())
    connection.receive(text, 1.0)
    dropped = [event for event in connection.events() if isinstance(event, Dropped)]
    assert [event.fault for event in dropped] == [fault]
    assert connection.state is State.CLOSED  # the relay would send the same bytes again
    assert connection.closing is not None


@pytest.mark.parametrize("depth", [1, 300])
def test_a_reply_to_an_unknown_command_is_quoted_in_part(depth: int) -> None:
    identifier = "[" * depth + '"' + "x" * 1_000_000 + '"' + "]" * depth
    connection = hello_sent()
    connection.receive(f'{{"id": {identifier}}}', 1.0)
    (dropped,) = [event for event in connection.events() if isinstance(event, Dropped)]
    assert dropped.fault is Reason.PROTOCOL
    assert dropped.reason.startswith("a reply to command [")
    assert dropped.reason.endswith(", which was never sent")
    assert len(dropped.reason) < 300


def test_a_long_close_reason_is_truncated() -> None:
    connection = connected()
    connection.lost(2.0, 3000, "x" * 1_000_000)
    (dropped,) = connection.events()
    assert isinstance(dropped, Dropped)
    assert dropped.reason == "x" * MAX_DETAIL


@given(text=st.text())
def test_no_text_raises(text: str) -> None:
    connection = hello_sent()
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
def test_no_json_value_raises(value: Any) -> None:
    connection = connected(reconnect=Backoff())
    connection.command(Subscribe(channel=CHANNEL), 1.0)
    connection.receive(json.dumps(value), 1.0)
    connection.events()
    connection.tick(60.0)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_events_do_not_depend_on_how_objects_are_split_into_frames(cuts: list[int]) -> None:
    pushes = [json.dumps({"push": {"channel": CHANNEL, "pub": {"data": n, "offset": n + 1}}}) for n in range(12)]
    unsplit = connected()
    unsplit.receive("\n".join(pushes), 1.0)
    split = connected()
    remaining = list(pushes)
    for cut in cuts:
        frame, remaining = remaining[: cut + 1], remaining[cut + 1 :]
        if frame:
            split.receive("\n".join(frame), 1.0)
    if remaining:
        split.receive("\n".join(remaining), 1.0)
    assert split.events() == unsplit.events()
