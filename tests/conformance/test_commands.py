"""Replies to each command, and frames that close the connection."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

import pytest

from tests.conformance.driver import Client, channel
from tests.relay_settings import RelaySettings, signed_token

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.relays import Relay

    Dial = Callable[[str], Awaitable[Client]]
    Join = Callable[[], Awaitable[Client]]
    StartRelay = Callable[[RelaySettings], Awaitable[Relay]]

BAD_REQUEST = (3501, "bad request")


async def test_the_connect_reply_has_the_client_id_and_the_ping_interval(relay_url: str, dial: Dial) -> None:
    hello = await (await dial(relay_url)).hello(name="test", version="1", data={"any": "thing"})
    assert uuid.UUID(hello["client"]).version == 4
    assert (hello["ping"], hello["pong"]) == (25, True)
    assert isinstance(hello["version"], str)


async def test_each_connection_has_its_own_client_id(relay_url: str, dial: Dial) -> None:
    first, second = await dial(relay_url), await dial(relay_url)
    assert (await first.hello())["client"] != (await second.hello())["client"]


async def test_an_unknown_token_is_closed_with_3500(relay_url: str, dial: Dial) -> None:
    client = await dial(relay_url)
    await client.send({"id": 1, "connect": {"token": "unknown"}})
    assert await client.closed() == (3500, "invalid token")


async def test_only_the_configured_token_is_accepted(start_relay: StartRelay, dial: Dial) -> None:
    right = signed_token("the relay's key")
    url = (await start_relay(RelaySettings(token_key="the relay's key"))).url
    assert (await (await dial(url)).hello(token=right))["client"]
    for token in ("wrong", signed_token("another key"), right[:-2]):
        wrong = await dial(url)
        await wrong.send({"id": 1, "connect": {"token": token}})
        assert await wrong.closed() == (3500, "invalid token")


@pytest.mark.parametrize(
    "frame",
    [
        "{}",
        "hello",
        "",
        "\n",
        "[]",
        "5",
        "null",
        '{"connect":{}}',
        '{"id":1,"connect":null}',
        '{"id":1,"ping":{}}',
        '{"id":1,"connect":{"name":5}}',
    ],
)
async def test_a_first_frame_other_than_connect_is_a_bad_request(relay_url: str, dial: Dial, frame: str) -> None:
    client = await dial(relay_url)
    await client.send(frame)
    assert await client.closed() == BAD_REQUEST


async def test_a_command_before_connect_is_a_bad_request(relay_url: str, dial: Dial) -> None:
    client = await dial(relay_url)
    await client.send({"id": 1, "subscribe": {"channel": channel()}})
    assert await client.closed() == BAD_REQUEST


async def test_a_second_connect_is_a_bad_request(join: Join) -> None:
    client = await join()
    await client.send({"id": 2, "connect": {}})
    assert await client.closed() == BAD_REQUEST


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param("{}", id="an unsolicited pong"),
        pytest.param("hello", id="no JSON"),
        pytest.param('{"id":2,"sub', id="half an object"),
        pytest.param("", id="an empty frame"),
        pytest.param("\n\n", id="empty lines"),
        pytest.param("[]", id="an array"),
        pytest.param("5", id="a number"),
        pytest.param('"text"', id="a string"),
        pytest.param("null", id="null"),
        pytest.param('{"id":2}', id="no command"),
        pytest.param('{"id":2,"nonsense":{}}', id="an unknown command"),
        pytest.param('{"rpc":{}}', id="no id"),
        pytest.param('{"id":-1,"rpc":{}}', id="a negative id"),
        pytest.param('{"id":"2","rpc":{}}', id="a string for an id"),
        pytest.param('{"id":2.5,"rpc":{}}', id="a fraction for an id"),
        pytest.param('{"id":4294967296,"rpc":{}}', id="an id of 33 bits"),
        pytest.param('{"id":2,"subscribe":null}', id="null for a command"),
        pytest.param('{"id":2,"subscribe":5}', id="a number for a command"),
        pytest.param('{"id":2,"subscribe":{"channel":5}}', id="a number for a channel"),
        pytest.param('{"id":2,"subscribe":{}}', id="subscribe without a channel"),
        pytest.param('{"id":2,"subscribe":{"channel":""}}', id="subscribe to an empty channel"),
        pytest.param('{"id":2,"unsubscribe":{}}', id="unsubscribe without a channel"),
        pytest.param('{"id":2,"publish":{"data":1}}', id="publish without a channel"),
        pytest.param('{"id":2,"history":{}}', id="history without a channel"),
        pytest.param('{"id":2,"presence":{}}', id="presence without a channel"),
        pytest.param('{"id":2,"rpc":{"method":5}}', id="a number for a method"),
        pytest.param('{"id":2,"subscribe":{"channel":"session:x","recover":1}}', id="a number for a flag"),
        pytest.param('{"id":2,"subscribe":{"channel":"session:x","epoch":5}}', id="a number for an epoch"),
        pytest.param('{"id":2,"subscribe":{"channel":"session:x","offset":"1"}}', id="a string for an offset"),
        pytest.param('{"id":2,"history":{"channel":"session:x","since":[]}}', id="an array for a position"),
        pytest.param('{"id":2,"history":{"channel":"session:x","since":{"offset":-1}}}', id="a negative offset"),
        pytest.param('{"id":2,"history":{"channel":"session:x","limit":2147483648}}', id="a limit of 33 bits"),
        pytest.param('{"id":2,"refresh":{}}', id="refresh without a token"),
        pytest.param('{"id":2,"sub_refresh":{}}', id="sub_refresh without a channel"),
    ],
)
async def test_an_invalid_frame_is_a_bad_request(join: Join, frame: str) -> None:
    client = await join()
    await client.send(frame)
    assert await client.closed() == BAD_REQUEST


@pytest.mark.parametrize("trailing", [' {"id":3,"rpc":{}}', '{"id":3', " x", "]", ",", "\x00"])
async def test_text_after_the_first_object_of_a_line_is_ignored(join: Join, trailing: str) -> None:
    client = await join()
    await client.send('{"id":2,"rpc":{}}' + trailing, '{"id":4,"rpc":{}}' + trailing)
    assert [(await client.next())["id"] for _ in range(2)] == [2, 4]
    await client.send({"id": 5, "rpc": {}})
    assert (await client.next())["id"] == 5


async def test_a_refresh_with_an_unknown_token_is_closed_with_3500(join: Join) -> None:
    client = await join()
    await client.send({"id": 2, "refresh": {"token": "unknown"}})
    assert await client.closed() == (3500, "invalid token")


async def test_an_unknown_subscription_token_is_denied(join: Join) -> None:
    client, name = await join(), channel()
    assert await client.error_code("subscribe", channel=name, token="unknown") == 103
    await client.call("subscribe", channel=name)


async def test_a_send_command_is_closed_with_3508(join: Join) -> None:
    client = await join()
    await client.send({"send": {"data": 1}})
    assert await client.closed() == (3508, "not available")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("session:abc", 107),
        (f"session:{uuid.UUID(int=10)}".upper().replace("SESSION", "session"), 107),
        (f"session:{uuid.UUID(int=1)}\n", 107),
        (f"session:{uuid.UUID(int=1)}:x", 107),
        ("session:" + "a" * 300, 107),
        ("session:", 107),
        (f"other:{uuid.UUID(int=1)}", 102),
        (f"$other:{uuid.UUID(int=1)}", 102),
        (f":{uuid.UUID(int=1)}", 103),
        ("::", 103),
        ("$:", 103),
        ("é", 107),
        ("news", 103),
    ],
)
async def test_an_invalid_channel_name_is_an_error(join: Join, name: str, code: int) -> None:
    client = await join()
    assert await client.error_code("subscribe", channel=name) == code
    assert await client.error_code("publish", channel=name, data=1) == code
    # History is not kept without a namespace, and an empty one counts as none: "not available" precedes "denied".
    assert await client.error_code("history", channel=name, limit=1) == (108 if code == 103 else code)


@pytest.mark.parametrize("method", ["presence", "presence_stats"])
@pytest.mark.parametrize(
    ("name", "code"),
    [
        (f"session:{uuid.UUID(int=1)}", 108),
        ("session:abc", 107),
        ("other:abc", 102),
        ("news", 108),
        (f":{uuid.UUID(int=1)}", 108),
        ("é", 107),
    ],
)
async def test_presence_is_not_available(join: Join, method: str, name: str, code: int) -> None:
    assert await (await join()).error_code(method, channel=name) == code


async def test_a_private_channel_has_its_namespace_but_subscribing_needs_a_token(join: Join) -> None:
    client, name = await join(), f"${channel()}"
    assert await client.error_code("subscribe", channel=name) == 103
    await client.call("publish", channel=name, data=1)
    assert await client.history(name, limit=-1) == [(1, 1)]


async def test_remote_procedures_are_not_available(join: Join) -> None:
    assert await (await join()).error_code("rpc", method="any", data={}) == 108


async def test_publish_without_data_is_a_bad_request(join: Join) -> None:
    assert await (await join()).error_code("publish", channel=channel()) == 107


async def test_a_second_subscription_to_a_channel_is_refused(join: Join) -> None:
    client, name = await join(), channel()
    await client.call("subscribe", channel=name)
    assert await client.error_code("subscribe", channel=name) == 105


async def test_a_client_may_subscribe_to_128_channels(join: Join) -> None:
    client = await join()
    names = [channel() for _ in range(128)]
    for name in names:
        await client.call("subscribe", channel=name)
    assert await client.error_code("subscribe", channel=channel()) == 106
    await client.call("unsubscribe", channel=names[0])
    await client.call("subscribe", channel=channel())


async def test_commands_in_one_frame_are_answered_in_their_order(relay_url: str, dial: Dial) -> None:
    client, name = await dial(relay_url), channel()
    await client.send(
        {"id": 1, "connect": {}},
        {"id": 2, "subscribe": {"channel": name}},
        {"id": 3, "rpc": {}},
        {"id": 4, "history": {"channel": name}},
        {"id": 5, "unsubscribe": {"channel": name}},
    )
    replies = [await client.next() for _ in range(5)]
    assert [reply["id"] for reply in replies] == [1, 2, 3, 4, 5]
    kinds = [next(key for key in reply if key != "id") for reply in replies]
    assert kinds == ["connect", "subscribe", "error", "history", "unsubscribe"]


async def test_commands_before_an_invalid_one_are_answered(join: Join) -> None:
    client = await join()
    await client.send({"id": 2, "rpc": {}}, "bad", {"id": 3, "rpc": {}})
    assert (await client.next())["id"] == 2
    assert await client.closed() == BAD_REQUEST


async def test_white_space_around_a_command_is_ignored(join: Join) -> None:
    client = await join()
    await client.send(' {"id":2,"rpc":{}}\r', ' { "id" : 3 , "rpc" : {} } ', "")
    assert [(await client.next())["id"] for _ in range(2)] == [2, 3]


async def test_unknown_fields_are_ignored(join: Join) -> None:
    client = await join()
    await client.send({"id": 2, "subscribe": {"channel": channel(), "new": 1}, "newer": [{}]})
    assert "subscribe" in await client.next()


@pytest.mark.parametrize("value", ["text", "", 0, 1, -1.5, True, False, None, [], {}, [1, "a", None], {"a": {"b": []}}])
@pytest.mark.parametrize("ascii_only", [True, False])
async def test_data_of_every_json_type_is_delivered_unchanged(join: Join, value: object, ascii_only: bool) -> None:
    client, other, name = await join(), await join(), channel()
    await other.call("subscribe", channel=name)
    data = [value, {"grüße 🦊": '\u2028 \x00 " \\ \n'}]
    await client.send(json.dumps({"id": 9, "publish": {"channel": name, "data": data}}, ensure_ascii=ascii_only))
    assert await client.next() == {"id": 9, "publish": {}}
    (offset, received) = await other.publication(name)
    assert (offset, json.dumps(received)) == (1, json.dumps(data))
    assert json.dumps(await other.history(name, limit=1)) == json.dumps([[1, data]])


@pytest.mark.parametrize("value", ["text", 1, True, None, [], {}])
async def test_data_need_not_be_an_object(join: Join, value: object) -> None:
    client, name = await join(), channel()
    await client.call("publish", channel=name, data=value)
    assert await client.history(name, limit=-1) == [(1, value)]
