"""`embedded.faulty`: what clients receive when a fault is injected."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from monitor.clock import LoopClock
from monitor.embedded import EmbeddedRelay, parse_fault
from monitor.embedded.faults import COMMANDS, FaultStep
from monitor.embedded.faulty import corrupt, truncate
from tests.probes.harness import embedded, plan
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = WITH_SOCKETS

CHANNEL = "session:11111111-2222-4333-8444-555555555555"
OTHER = "session:99999999-2222-4333-8444-555555555555"


@given(st.text(min_size=1), st.floats(0, 1, exclude_max=True))
def test_corrupted_data_is_different_json(text: str, chance: float) -> None:
    data = json.dumps(text + "0123456789abcdef")
    assert json.loads(corrupt(data, chance)) != json.loads(data)
    assert isinstance(json.loads(truncate(data)), str)


class Peer:
    """A client that sends commands and reads frames."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._last = 0

    async def send(self, **command: Any) -> None:
        self._last += 1
        await self.connection.send(json.dumps({"id": self._last} | command))

    async def read(self, seconds: float = 5.0) -> Any:
        async with asyncio.timeout(seconds):
            frame = await self.connection.recv()
        return [json.loads(line) for line in str(frame).splitlines()]

    async def is_quiet(self) -> bool:
        try:
            return not await self.read(0.15)
        except TimeoutError:
            return True

    async def join(self, channel: str = CHANNEL) -> None:
        await self.send(connect={})
        await self.read()
        await self.send(subscribe={"channel": channel})
        await self.read()


@pytest.fixture
async def relay() -> AsyncIterator[EmbeddedRelay]:
    async with embedded() as made:
        yield made


async def peers(relay: EmbeddedRelay, *channels: str) -> list[Peer]:
    made = []
    for channel in channels:
        peer = Peer(await connect(relay.url, proxy=None))
        await peer.join(channel)
        made.append(peer)
    return made


def pushed(frames: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    return [(item["push"]["channel"], item["push"]["pub"]["data"]) for item in frames if "push" in item]


def arm(relay: EmbeddedRelay, *specs: str) -> None:
    assert relay.plan is not None
    relay.plan.set([parse_fault(spec) for spec in specs])


async def publish(sender: Peer, data: str, channel: str = CHANNEL) -> list[dict[str, Any]]:
    await sender.send(publish={"channel": channel, "data": data})
    frames: list[dict[str, Any]] = await sender.read()
    while not any("publish" in item for item in frames):
        frames += await sender.read()
    return frames


@pytest.mark.parametrize(
    ("spec", "seen"),
    [
        ("drop", []),
        ("duplicate", ["hello 123456", "hello 123456"]),
        ("delay:by=0.02", ["hello 123456"]),
        ("truncate", ["hello "]),
    ],
)
async def test_a_fault_changes_the_push_to_the_receiver_and_not_the_history(
    relay: EmbeddedRelay, spec: str, seen: list[str]
) -> None:
    sender, receiver = await peers(relay, CHANNEL, CHANNEL)
    arm(relay, spec)
    replies = await publish(sender, "hello 123456")
    assert pushed(replies) == [(CHANNEL, "hello 123456")]  # the push to the publisher is not changed
    received: list[Any] = []
    while len(received) < len(seen):
        received += [data for _, data in pushed(await receiver.read())]
    assert received == seen
    assert await receiver.is_quiet()
    await receiver.send(history={"channel": CHANNEL, "limit": -1})
    (reply,) = await receiver.read()
    assert [item["data"] for item in reply["history"]["publications"]] == ["hello 123456"]


async def test_a_reordered_publication_arrives_after_the_next_one(relay: EmbeddedRelay) -> None:
    sender, receiver = await peers(relay, CHANNEL, CHANNEL)
    arm(relay, "reorder:count=1,by=5")
    await publish(sender, "first")
    assert await receiver.is_quiet()
    await publish(sender, "second")
    received = pushed(await receiver.read())
    if len(received) < 2:
        received += pushed(await receiver.read())
    assert [data for _, data in received] == ["second", "first"]


async def test_a_reordered_last_publication_arrives_after_its_delay(relay: EmbeddedRelay) -> None:
    sender, receiver = await peers(relay, CHANNEL, CHANNEL)
    arm(relay, "reorder:by=0.05")
    await publish(sender, "last")
    assert pushed(await receiver.read()) == [(CHANNEL, "last")]


async def test_a_misrouted_publication_is_pushed_on_another_channel_too(relay: EmbeddedRelay) -> None:
    sender, receiver, other = await peers(relay, CHANNEL, CHANNEL, OTHER)
    arm(relay, "misroute")
    await publish(sender, "secret")
    assert pushed(await receiver.read()) == [(CHANNEL, "secret")]
    assert pushed(await other.read()) == [(OTHER, "secret")]


async def test_an_unstored_publication_is_acknowledged_and_lost(relay: EmbeddedRelay) -> None:
    sender, receiver = await peers(relay, CHANNEL, CHANNEL)
    arm(relay, "unstored")
    assert await publish(sender, "gone") == [{"id": 3, "publish": {}}]
    assert await receiver.is_quiet()
    await receiver.send(history={"channel": CHANNEL, "limit": -1})
    assert (await receiver.read())[0]["history"]["publications"] == []


async def test_an_unacknowledged_publication_is_pushed(relay: EmbeddedRelay) -> None:
    sender, receiver = await peers(relay, CHANNEL, CHANNEL)
    arm(relay, "unacked")
    await sender.send(publish={"channel": CHANNEL, "data": "x"})
    assert pushed(await receiver.read()) == [(CHANNEL, "x")]
    assert pushed(await sender.read()) == [(CHANNEL, "x")]
    assert await sender.is_quiet()


@pytest.mark.parametrize(
    ("spec", "command"),
    [
        ("epoch:at=subscribe", {"subscribe": {"channel": "nowhere:x"}}),
        ("offset:at=subscribe", {"subscribe": {"channel": "nowhere:x"}}),
        ("epoch:at=history", {"history": {"channel": "nowhere:x", "limit": -1}}),
        ("offset:at=history", {"history": {"channel": "nowhere:x", "limit": -1}}),
        ("reorder:at=history", {"history": {"channel": "nowhere:x", "limit": -1}}),
    ],
)
async def test_an_error_reply_is_not_changed(relay: EmbeddedRelay, spec: str, command: dict[str, Any]) -> None:
    (peer,) = await peers(relay, CHANNEL)
    await peer.send(**command)
    (refusal,) = await peer.read()
    assert refusal["error"]["code"] >= 100
    arm(relay, spec)
    await peer.send(**command)
    assert await peer.read() == [refusal | {"id": refusal["id"] + 1}]
    assert relay.plan is not None
    assert not relay.plan.injected


@pytest.mark.parametrize("step", COMMANDS)
@pytest.mark.parametrize("kind", ["silent", "error", "junk", "binary", "delay", "close", "reset", "garbage", "drip"])
async def test_a_fault_is_injected_at_the_command_of_its_step(relay: EmbeddedRelay, step: FaultStep, kind: str) -> None:
    peer = Peer(await connect(relay.url, proxy=None))
    commands: dict[FaultStep, dict[str, Any]] = {
        FaultStep.HELLO: {"connect": {}},
        FaultStep.SUBSCRIBE: {"subscribe": {"channel": CHANNEL}},
        FaultStep.PUBLISH: {"publish": {"channel": OTHER, "data": "x"}},
        FaultStep.HISTORY: {"history": {"channel": CHANNEL, "limit": -1}},
    }
    replies = {"error": ",code=109", "close": ",code=3004", "delay": ",by=0.02", "drip": ",by=0.001"}.get(kind, "")
    arm(relay, f"{kind}:at={step}{replies}")
    for before in COMMANDS[: COMMANDS.index(step)]:
        await peer.send(**commands[before])
        await peer.read()
    await peer.send(**commands[step])
    match kind:
        case "silent":
            assert await peer.is_quiet()
        case "error":
            assert (await peer.read())[0]["error"]["code"] == 109
        case "junk":
            assert await peer.connection.recv() == "this is not JSON"
        case "binary":
            assert isinstance(await peer.connection.recv(), bytes)
        case "delay" | "drip":
            assert "error" not in (await peer.read())[0]
        case _:
            with pytest.raises(ConnectionClosed) as closed:
                await peer.read()
            code = closed.value.rcvd.code if closed.value.rcvd is not None else None
            assert code == (3004 if kind == "close" else None)


async def test_a_fault_changes_the_position_in_a_reply(relay: EmbeddedRelay) -> None:
    (peer,) = await peers(relay, OTHER)
    arm(relay, "epoch:at=subscribe,count=1", "offset:at=history")
    await peer.send(subscribe={"channel": CHANNEL})
    assert (await peer.read())[0]["subscribe"]["epoch"].startswith("not")
    await peer.send(history={"channel": CHANNEL, "limit": -1})
    assert (await peer.read())[0]["history"]["offset"] >= 1000


async def test_a_fault_empties_the_history(relay: EmbeddedRelay) -> None:
    (peer,) = await peers(relay, CHANNEL)
    await publish(peer, "x")
    arm(relay, "forget:at=history")
    await peer.send(history={"channel": CHANNEL, "limit": -1})
    assert (await peer.read())[0]["history"]["publications"] == []


async def test_without_a_ping_no_pong_is_expected() -> None:
    async with embedded("pings:count=2", ping_interval=0.5, pong_timeout=0.02) as made:
        (peer,) = await peers(made, CHANNEL)
        assert await peer.read() == [{}]
        assert made.plan is not None
        assert len(made.plan.injected) == 2


async def test_one_node_of_a_cluster_may_have_faults() -> None:
    async with embedded() as healthy, embedded("drop:channel=session", broker=healthy.broker) as faulty:
        sender, on_healthy = await peers(healthy, CHANNEL, CHANNEL)
        (on_faulty,) = await peers(faulty, CHANNEL)
        await publish(sender, "x")
        assert pushed(await on_healthy.read()) == [(CHANNEL, "x")]
        assert await on_faulty.is_quiet()
        await publish(on_faulty, "from the faulty node")
        assert pushed(await on_healthy.read()) == [(CHANNEL, "from the faulty node")]


@pytest.mark.parametrize("spec", ["silent:at=upgrade", "endless:at=hello", "drip:at=hello,by=1", "silent:at=hello"])
async def test_a_relay_stops_while_a_fault_is_active(spec: str) -> None:
    faults = plan(spec)
    made = EmbeddedRelay(plan=faults, clock=LoopClock())
    await made.start()
    reader, writer = await asyncio.open_connection(*made.url.removeprefix("ws://").partition("/")[0].split(":"))
    writer.write(
        b"GET /connection/websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        b"\x81\x97\x00\x00\x00\x00" + b'{"id":1,"connect":{}}  '
    )
    async with asyncio.timeout(5):
        while not faults.injected:  # noqa: ASYNC110 - a plan has no event to wait for
            await asyncio.sleep(0.01)
    async with asyncio.timeout(5):
        await made.stop()
    writer.close()
    del reader
