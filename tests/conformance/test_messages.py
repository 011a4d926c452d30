"""Publications: order, history, and recovery after a reconnect."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.conformance.driver import DEADLINE, Client, channel, stored
from tests.relay_settings import RelaySettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.relays import Relay

    Dial = Callable[[str], Awaitable[Client]]
    Join = Callable[[], Awaitable[Client]]
    StartRelay = Callable[[RelaySettings], Awaitable[Relay]]


async def publish(client: Client, name: str, numbers: range) -> None:
    """Publish these numbers in order."""
    for number in numbers:
        await client.call("publish", channel=name, data=number)


async def test_a_new_channel_is_positioned_recoverable_and_empty(join: Join) -> None:
    result = await (await join()).call("subscribe", channel=channel(), positioned=True, recoverable=True)
    assert result.pop("epoch")
    assert result == {"positioned": True, "recoverable": True}  # offset 0 is left out


async def test_position_and_recovery_are_on_by_default(join: Join) -> None:
    first, second, name = await join(), await join(), channel()
    await publish(first, name, range(3))
    result = await second.call("subscribe", channel=name)
    assert (result["positioned"], result["recoverable"], result["offset"]) == (True, True, 3)
    assert "publications" not in result


async def test_a_thousand_messages_arrive_in_order_without_a_gap(join: Join) -> None:
    publisher, subscriber, name = await join(), await join(), channel()
    await subscriber.call("subscribe", channel=name)
    for start in range(0, 1000, 50):
        await publisher.send(
            *({"id": 10 + n, "publish": {"channel": name, "data": n}} for n in range(start, start + 50))
        )
        assert [await publisher.next() for _ in range(50)] == [
            {"id": 10 + n, "publish": {}} for n in range(start, start + 50)
        ]
    assert [await subscriber.publication(name) for _ in range(1000)] == [(n + 1, n) for n in range(1000)]


async def test_each_subscriber_receives_each_message_and_a_publisher_before_its_reply(join: Join) -> None:
    publisher, other, uninvolved, name = await join(), await join(), await join(), channel()
    for client in (publisher, other):
        await client.call("subscribe", channel=name)
    await uninvolved.call("subscribe", channel=channel())
    await publisher.send({"id": 7, "publish": {"channel": name, "data": "x"}})
    first, second = await publisher.next(), await publisher.next()
    assert (first["push"]["pub"]["data"], second) == ("x", {"id": 7, "publish": {}})
    assert await other.publication(name) == (1, "x")
    await publish(other, name, range(1))
    assert await publisher.publication(name) == (2, 0)
    assert await other.publication(name) == (2, 0)
    # A misrouted publication would arrive before this reply.
    assert (await uninvolved.request("rpc"))["error"]["code"] == 108
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await uninvolved.push()


async def test_neither_publishing_nor_reading_needs_a_subscription(join: Join) -> None:
    publisher, reader, name = await join(), await join(), channel("handshake")
    await publish(publisher, name, range(2))
    assert await reader.history(name, limit=50) == [(1, 0), (2, 1)]


async def test_no_push_arrives_between_unsubscribe_and_the_next_subscribe(join: Join) -> None:
    publisher, subscriber, name = await join(), await join(), channel()
    await subscriber.call("subscribe", channel=name)
    assert await subscriber.call("unsubscribe", channel=name) == {}
    await publish(publisher, name, range(1))
    assert (await subscriber.call("subscribe", channel=name))["offset"] == 1
    await publish(publisher, name, range(1, 2))
    assert await subscriber.publication(name) == (2, 1)


async def test_unsubscribe_without_a_subscription_succeeds(join: Join) -> None:
    assert await (await join()).call("unsubscribe", channel=channel()) == {}


async def test_history_of_an_unused_channel_is_empty(join: Join) -> None:
    result = await (await join()).call("history", channel=channel(), limit=-1)
    assert result.pop("epoch")
    assert result == {"publications": [], "offset": 0}


@pytest.mark.parametrize(
    ("options", "offsets"),
    [
        ({}, []),
        ({"limit": 0}, []),
        ({"limit": 1}, [1]),
        ({"limit": 3}, [1, 2, 3]),
        ({"limit": 50}, [1, 2, 3, 4]),
        ({"limit": -1}, [1, 2, 3, 4]),
        ({"limit": -1, "reverse": True}, [4, 3, 2, 1]),
        ({"limit": 2, "reverse": True}, [4, 3]),
    ],
)
async def test_history_applies_limit_and_direction(join: Join, options: dict[str, object], offsets: list[int]) -> None:
    client, name = await join(), channel()
    await publish(client, name, range(4))
    result = await client.call("history", channel=name, **options)
    assert [offset for offset, _ in stored(result)] == offsets
    assert result["offset"] == 4


@pytest.mark.parametrize(
    ("since", "options", "offsets"),
    [
        (0, {"limit": -1}, [1, 2, 3, 4]),
        (2, {"limit": -1}, [3, 4]),
        (2, {"limit": 1}, [3]),
        (2, {}, []),
        (4, {"limit": -1}, []),
        (99, {"limit": -1}, []),
        (3, {"limit": -1, "reverse": True}, [2, 1]),
    ],
)
async def test_history_starts_after_the_since_position(
    join: Join, since: int, options: dict[str, object], offsets: list[int]
) -> None:
    client, name = await join(), channel()
    epoch = (await client.call("subscribe", channel=name))["epoch"]
    await publish(client, name, range(4))
    found = await client.history(name, since={"offset": since, "epoch": epoch}, **options)
    assert [offset for offset, _ in found] == offsets


async def test_history_since_a_position_of_another_epoch_is_refused(join: Join) -> None:
    client, name = await join(), channel()
    await publish(client, name, range(1))
    assert await client.error_code("history", channel=name, limit=-1, since={"offset": 1, "epoch": "other"}) == 112


@pytest.mark.parametrize(("namespace", "size"), [("handshake", 5), ("session", 20)])
async def test_history_keeps_the_newest_publications(join: Join, namespace: str, size: int) -> None:
    client, name = await join(), channel(namespace)
    await publish(client, name, range(size + 3))
    assert await client.history(name, limit=-1) == [(n + 1, n) for n in range(3, size + 3)]
    assert await client.history(name, limit=2) == [(4, 3), (5, 4)]


async def test_a_reconnected_client_recovers_exactly_what_it_missed(join: Join) -> None:
    publisher, before, name = await join(), await join(), channel()
    epoch = (await before.call("subscribe", channel=name))["epoch"]
    await publish(publisher, name, range(2))
    assert [await before.publication(name) for _ in range(2)] == [(1, 0), (2, 1)]
    before.drop()
    await publish(publisher, name, range(2, 5))

    after = await join()
    result = await after.call("subscribe", channel=name, recover=True, epoch=epoch, offset=2)
    assert stored(result) == [(3, 2), (4, 3), (5, 4)]
    assert (result["was_recovering"], result["recovered"], result["epoch"]) == (True, True, epoch)
    assert result["offset"] == 2  # the requested offset; the publications continue it
    await publish(publisher, name, range(5, 6))
    assert await after.publication(name) == (6, 5)


async def test_the_first_publication_of_a_stream_has_the_epoch(join: Join) -> None:
    client, name = await join(), channel()
    epoch = (await client.call("subscribe", channel=name))["epoch"]
    await publish(client, name, range(2))
    pushed = [(await client.push())["pub"] for _ in range(2)]
    kept = (await client.call("history", channel=name, limit=-1))["publications"]
    await client.call("unsubscribe", channel=name)
    recovered = await client.call("subscribe", channel=name, recover=True, epoch=epoch, offset=0)
    for publications in (pushed, kept, recovered["publications"]):
        assert [publication.get("epoch") for publication in publications] == [epoch, None]


async def test_a_client_that_missed_nothing_recovers_no_publication(join: Join) -> None:
    client, name = await join(), channel()
    await publish(client, name, range(2))
    epoch = (await client.call("history", channel=name))["epoch"]
    result = await client.call("subscribe", channel=name, recover=True, epoch=epoch, offset=2)
    assert (result["was_recovering"], result["recovered"], stored(result)) == (True, True, [])


async def test_recovery_succeeds_only_within_the_history(join: Join) -> None:
    publisher, inside, outside, name = await join(), await join(), await join(), channel("handshake")
    await publish(publisher, name, range(8))
    epoch = (await publisher.call("history", channel=name))["epoch"]
    result = await inside.call("subscribe", channel=name, recover=True, epoch=epoch, offset=3)
    assert (result["recovered"], stored(result)) == (True, [(n + 1, n) for n in range(3, 8)])
    result = await outside.call("subscribe", channel=name, recover=True, epoch=epoch, offset=2)
    assert (result["was_recovering"], result.get("recovered", False)) == (True, False)
    assert (stored(result), result["offset"], result["epoch"]) == ([], 8, epoch)


@pytest.mark.parametrize(("epoch", "offset"), [("other", 1), ("other", 2), (None, 9)])
async def test_an_unknown_position_is_not_recovered(join: Join, epoch: str | None, offset: int) -> None:
    client, name = await join(), channel()
    await publish(client, name, range(2))
    current_epoch = (await client.call("history", channel=name))["epoch"]
    result = await client.call("subscribe", channel=name, recover=True, epoch=epoch or current_epoch, offset=offset)
    assert (result["was_recovering"], result.get("recovered", False)) == (True, False)
    assert (stored(result), result["offset"], result["epoch"]) == ([], 2, current_epoch)
    await publish(client, name, range(2, 3))
    assert await client.publication(name) == (3, 2)


async def test_a_position_in_a_removed_channel_is_not_recovered(join: Join) -> None:
    result = await (await join()).call("subscribe", channel=channel(), recover=True, epoch="gone", offset=3)
    assert (result["was_recovering"], result.get("recovered", False), stored(result)) == (True, False, [])


async def test_history_expires_and_the_position_remains(start_relay: StartRelay, dial: Dial) -> None:
    url = (await start_relay(RelaySettings(history_ttl=2))).url
    client, reconnecting, name = await dial(url), await dial(url), channel()
    await client.hello()
    await reconnecting.hello()
    epoch = (await client.call("subscribe", channel=name))["epoch"]
    await publish(client, name, range(2))
    assert await client.history(name, limit=-1) == [(1, 0), (2, 1)]
    async with asyncio.timeout(DEADLINE):
        while await client.history(name, limit=-1):  # noqa: ASYNC110 - the relay does not report the expiry
            await asyncio.sleep(0.1)
    result = await client.call("history", channel=name, limit=-1)
    assert (result["offset"], result["epoch"]) == (2, epoch)

    result = await reconnecting.call("subscribe", channel=name, recover=True, epoch=epoch, offset=1)
    assert (result.get("recovered", False), stored(result), result["offset"]) == (False, [], 2)
    await reconnecting.call("unsubscribe", channel=name)
    result = await reconnecting.call("subscribe", channel=name, recover=True, epoch=epoch, offset=2)
    assert result["recovered"] is True  # nothing was missed
    await publish(client, name, range(2, 3))
    assert await reconnecting.history(name, limit=-1) == [(3, 2)]
