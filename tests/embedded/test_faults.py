from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from monitor.clock import LoopClock
from monitor.embedded import EmbeddedRelay, Fault, FaultPlan, parse_fault
from monitor.embedded.faults import COMMANDS, KINDS, FaultStep, show
from monitor.embedded.faulty import corrupt, truncate
from tests.probes.harness import embedded, plan
from tests.relays import ROOT
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = WITH_SOCKETS

CHANNEL = "session:11111111-2222-4333-8444-555555555555"
OTHER = "session:99999999-2222-4333-8444-555555555555"
ON_CHANNELS = (FaultStep.SUBSCRIBE, FaultStep.PUBLISH, FaultStep.HISTORY, FaultStep.PUSH)


class TestSpecs:
    @pytest.mark.parametrize(
        ("spec", "fault"),
        [
            ("drop", Fault(kind="drop", at=FaultStep.PUSH)),
            (
                "drop:channel=session,to=wallet,probability=0.25,skip=3,count=2,after=1.5,until=9",
                Fault(
                    kind="drop",
                    at=FaultStep.PUSH,
                    channel="session",
                    to="wallet",
                    probability=0.25,
                    skip=3,
                    count=2,
                    after=1.5,
                    until=9.0,
                ),
            ),
            ("silent:at=history", Fault(kind="silent", at=FaultStep.HISTORY)),
            ("close:at=publish,code=3501", Fault(kind="close", at=FaultStep.PUBLISH, code=3501)),
            ("oversize:bytes=70000", Fault(kind="oversize", at=FaultStep.HELLO, bytes=70_000)),
            ("status", Fault(kind="status", at=FaultStep.UPGRADE, code=503)),
        ],
    )
    def test_a_spec_says_what_where_and_how_often(self, spec: str, fault: Fault) -> None:
        assert parse_fault(spec) == fault

    @pytest.mark.parametrize(
        ("spec", "said"),
        [
            ("explode", "'explode' is not a kind of fault; expected one of drop, delay"),
            ("drop:at=hello", "drop does not apply at hello; expected one of push"),
            ("drop:at=heaven", "drop does not apply at 'heaven'; expected one of push"),
            ("drop:code=1", "'code=1' is not a key of drop; expected at=…, channel=…"),
            ("drop:probability", "'probability' is not a key of drop"),
            ("drop:probability=2", "probability=2 is out of range; expected 0 to 1"),
            ("drop:count=-1", "count=-1 is out of range; expected 0 or more"),
            ("drop:count=some", "count=some is not a number"),
            ("drop:count=1,count=2", "count is given twice"),
            ("drop:channel=", "channel is empty"),
            ("drop:channel=nope", "'nope' is not a channel namespace; expected one of handshake, session"),
            ("silent:channel=session", "silent cannot have channel at hello"),
            ("silent:at=tls,to=wallet", "silent cannot have to at tls"),
            ("status:channel=handshake", "status cannot have channel at upgrade"),
            ("pings:sender=dapp", "pings cannot have sender at ping"),
            ("drop:after=10,until=5", "until=5 is not later than after=10"),
            ("drop:until=0", "until=0 is not later than after=0"),
            ("delay:by=nan", "by=nan is out of range"),
            ("status:code=999", "status cannot have code=999; expected 400 to 505"),
            ("close:code=70000", "close cannot have code=70000; expected 3000 to 4999"),
        ],
    )
    def test_a_wrong_spec_is_told_what_is_allowed(self, spec: str, said: str) -> None:
        with pytest.raises(ValueError, match=re.escape(said)):
            parse_fault(spec)

    @given(st.sampled_from(sorted(KINDS)), st.data())
    def test_what_is_shown_can_be_read_again(self, kind: str, data: st.DataObject) -> None:
        meaning = KINDS[kind]
        at = data.draw(st.sampled_from(meaning.steps))
        fault = Fault.make(
            kind,
            at=at,
            channel=data.draw(st.sampled_from([None, "session"] if at in ON_CHANNELS else [None])),
            probability=data.draw(st.sampled_from([1.0, 0.125])),
            count=data.draw(st.sampled_from([None, 4])),
            skip=data.draw(st.integers(0, 3)),
        )
        assert parse_fault(show(fault)) == fault


class TestPlan:
    def plan(self, *specs: str, seed: int = 0) -> tuple[FaultPlan, list[float]]:
        now = [100.0]
        return FaultPlan([parse_fault(spec) for spec in specs], seed=seed, clock=lambda: now[0]), now

    def struck(self, plan: FaultPlan, times: int, **where: str) -> list[bool]:
        return [plan.select(FaultStep.PUSH, **({"channel": CHANNEL} | where)) is not None for _ in range(times)]

    def test_it_skips_then_strikes_so_many_times(self) -> None:
        plan, _ = self.plan("drop:skip=1,count=2")
        assert self.struck(plan, 5) == [False, True, True, False, False]

    def test_it_strikes_inside_its_window_only(self) -> None:
        plan, now = self.plan("drop:after=10,until=20")
        struck = []
        for at in (105.0, 110.0, 119.0, 120.0):
            now[0] = at
            struck += self.struck(plan, 1)
        assert struck == [False, True, True, False]

    def test_it_strikes_the_channel_and_the_side_that_were_meant(self) -> None:
        plan, _ = self.plan("drop:channel=session,to=wallet,sender=dapp")
        assert self.struck(plan, 1, to="wallet", sender="dapp") == [True]
        assert self.struck(plan, 1, to="dapp", sender="wallet") == [False]
        assert self.struck(plan, 1, to="wallet", sender="dapp", channel="handshake:x") == [False]

    def test_the_same_seed_strikes_the_same(self) -> None:
        every = [self.struck(self.plan("drop:probability=0.3", seed=seed)[0], 200) for seed in (1, 1, 2)]
        assert every[0] == every[1] != every[2]
        assert 30 < sum(every[0]) < 90

    def test_only_one_fault_strikes_at_a_time(self) -> None:
        plan, _ = self.plan("drop:count=1", "duplicate")
        kinds = [getattr(plan.select(FaultStep.PUSH, channel=CHANNEL, data='"x"'), "kind", None) for _ in range(2)]
        assert kinds == ["drop", "duplicate"]
        assert [(fault.kind, fault.channel, fault.data) for fault in plan.injected] == [
            ("drop", CHANNEL, '"x"'),
            ("duplicate", CHANNEL, '"x"'),
        ]

    def test_faults_are_changed_while_it_runs(self) -> None:
        plan, _ = self.plan("drop")
        assert self.struck(plan, 1) == [True]
        plan.set([])
        assert self.struck(plan, 1) == [False]
        assert len(plan.injected) == 1


@given(st.text(min_size=1), st.floats(0, 1, exclude_max=True))
def test_corrupted_data_is_json_and_another_one(text: str, chance: float) -> None:
    data = json.dumps(text + "0123456789abcdef")
    assert json.loads(corrupt(data, chance)) != json.loads(data)
    assert isinstance(json.loads(truncate(data)), str)


# What a client sees, frame by frame.


class Peer:
    """A client that sends what it is told and reads frames."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._last = 0

    async def ask(self, **command: Any) -> None:
        self._last += 1
        await self.connection.send(json.dumps({"id": self._last} | command))

    async def read(self, seconds: float = 5.0) -> Any:
        async with asyncio.timeout(seconds):
            frame = await self.connection.recv()
        return [json.loads(line) for line in str(frame).splitlines()]

    async def nothing(self) -> bool:
        try:
            return not await self.read(0.15)
        except TimeoutError:
            return True

    async def join(self, channel: str = CHANNEL) -> None:
        await self.ask(connect={})
        await self.read()
        await self.ask(subscribe={"channel": channel})
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
    await sender.ask(publish={"channel": channel, "data": data})
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
async def test_a_publication_is_mistreated_on_its_way_to_the_other_side(
    relay: EmbeddedRelay, spec: str, seen: list[str]
) -> None:
    sender, receiver = await peers(relay, CHANNEL, CHANNEL)
    arm(relay, spec)
    own = await publish(sender, "hello 123456")
    assert pushed(own) == [(CHANNEL, "hello 123456")]  # one's own is left alone
    got: list[Any] = []
    while len(got) < len(seen):
        got += [data for _, data in pushed(await receiver.read())]
    assert got == seen
    assert await receiver.nothing()
    await receiver.ask(history={"channel": CHANNEL, "limit": -1})
    (reply,) = await receiver.read()
    assert [item["data"] for item in reply["history"]["publications"]] == ["hello 123456"]


async def test_what_is_reordered_comes_after_the_next_one(relay: EmbeddedRelay) -> None:
    sender, receiver = await peers(relay, CHANNEL, CHANNEL)
    arm(relay, "reorder:count=1,by=5")
    await publish(sender, "first")
    assert await receiver.nothing()
    await publish(sender, "second")
    got = pushed(await receiver.read())
    if len(got) < 2:
        got += pushed(await receiver.read())
    assert [data for _, data in got] == ["second", "first"]


async def test_what_is_reordered_and_last_comes_in_the_end(relay: EmbeddedRelay) -> None:
    sender, receiver = await peers(relay, CHANNEL, CHANNEL)
    arm(relay, "reorder:by=0.05")
    await publish(sender, "last")
    assert pushed(await receiver.read()) == [(CHANNEL, "last")]


async def test_what_goes_astray_comes_on_another_channel_too(relay: EmbeddedRelay) -> None:
    sender, receiver, stranger = await peers(relay, CHANNEL, CHANNEL, OTHER)
    arm(relay, "misroute")
    await publish(sender, "secret")
    assert pushed(await receiver.read()) == [(CHANNEL, "secret")]
    assert pushed(await stranger.read()) == [(OTHER, "secret")]


async def test_an_unstored_publish_is_acked_and_gone(relay: EmbeddedRelay) -> None:
    sender, receiver = await peers(relay, CHANNEL, CHANNEL)
    arm(relay, "unstored")
    assert await publish(sender, "gone") == [{"id": 3, "publish": {}}]
    assert await receiver.nothing()
    await receiver.ask(history={"channel": CHANNEL, "limit": -1})
    assert (await receiver.read())[0]["history"]["publications"] == []


async def test_an_unacked_publish_is_pushed(relay: EmbeddedRelay) -> None:
    sender, receiver = await peers(relay, CHANNEL, CHANNEL)
    arm(relay, "unacked")
    await sender.ask(publish={"channel": CHANNEL, "data": "x"})
    assert pushed(await receiver.read()) == [(CHANNEL, "x")]
    assert pushed(await sender.read()) == [(CHANNEL, "x")]
    assert await sender.nothing()


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
async def test_a_refusal_is_left_as_it_is(relay: EmbeddedRelay, spec: str, command: dict[str, Any]) -> None:
    (peer,) = await peers(relay, CHANNEL)
    await peer.ask(**command)
    (refusal,) = await peer.read()
    assert refusal["error"]["code"] >= 100
    arm(relay, spec)
    await peer.ask(**command)
    assert await peer.read() == [refusal | {"id": refusal["id"] + 1}]
    assert relay.plan is not None
    assert not relay.plan.injected


@pytest.mark.parametrize("step", COMMANDS)
@pytest.mark.parametrize("kind", ["silent", "error", "junk", "binary", "delay", "close", "reset", "garbage", "drip"])
async def test_a_command_meets_the_fault_of_its_step(relay: EmbeddedRelay, step: FaultStep, kind: str) -> None:
    peer = Peer(await connect(relay.url, proxy=None))
    commands: dict[FaultStep, dict[str, Any]] = {
        FaultStep.HELLO: {"connect": {}},
        FaultStep.SUBSCRIBE: {"subscribe": {"channel": CHANNEL}},
        FaultStep.PUBLISH: {"publish": {"channel": OTHER, "data": "x"}},
        FaultStep.HISTORY: {"history": {"channel": CHANNEL, "limit": -1}},
    }
    own = {"error": ",code=109", "close": ",code=3004", "delay": ",by=0.02", "drip": ",by=0.001"}.get(kind, "")
    arm(relay, f"{kind}:at={step}{own}")
    for before in COMMANDS[: COMMANDS.index(step)]:
        await peer.ask(**commands[before])
        await peer.read()
    await peer.ask(**commands[step])
    match kind:
        case "silent":
            assert await peer.nothing()
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


async def test_a_reply_names_another_position(relay: EmbeddedRelay) -> None:
    (peer,) = await peers(relay, OTHER)
    arm(relay, "epoch:at=subscribe,count=1", "offset:at=history")
    await peer.ask(subscribe={"channel": CHANNEL})
    assert (await peer.read())[0]["subscribe"]["epoch"].startswith("not")
    await peer.ask(history={"channel": CHANNEL, "limit": -1})
    assert (await peer.read())[0]["history"]["offset"] >= 1000


async def test_a_stream_is_forgotten(relay: EmbeddedRelay) -> None:
    (peer,) = await peers(relay, CHANNEL)
    await publish(peer, "x")
    arm(relay, "forget:at=history")
    await peer.ask(history={"channel": CHANNEL, "limit": -1})
    assert (await peer.read())[0]["history"]["publications"] == []


async def test_no_ping_is_sent_and_nobody_is_blamed_for_no_pong() -> None:
    async with embedded("pings:count=2", ping_interval=0.5, pong_timeout=0.02) as made:
        (peer,) = await peers(made, CHANNEL)
        assert await peer.read() == [{}]
        assert made.plan is not None
        assert len(made.plan.injected) == 2


async def test_one_node_of_a_cluster_may_be_ill_while_the_other_is_well() -> None:
    async with embedded() as well, embedded("drop:channel=session", broker=well.broker) as ill:
        sender, hearing = await peers(well, CHANNEL, CHANNEL)
        (deaf,) = await peers(ill, CHANNEL)
        await publish(sender, "x")
        assert pushed(await hearing.read()) == [(CHANNEL, "x")]
        assert await deaf.nothing()
        await publish(deaf, "from the ill node")
        assert pushed(await hearing.read()) == [(CHANNEL, "from the ill node")]


@pytest.mark.parametrize("spec", ["silent:at=upgrade", "endless:at=hello", "drip:at=hello,by=1", "silent:at=hello"])
async def test_a_relay_stops_whatever_it_does_to_its_clients(spec: str) -> None:
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
        while not faults.injected:  # noqa: ASYNC110 - a plan tells nobody
            await asyncio.sleep(0.01)
    async with asyncio.timeout(5):
        await made.stop()
    writer.close()
    del reader


def test_every_kind_says_what_it_does() -> None:
    for kind, meaning in KINDS.items():
        assert meaning.does, kind
        assert meaning.steps, kind


def test_the_manual_lists_every_kind_as_it_is() -> None:
    manual = (ROOT / "docs" / "fault-injection.md").read_text("utf-8")
    for kind, meaning in KINDS.items():
        steps = ", ".join(f"`{step}`" for step in dict.fromkeys(meaning.steps))
        assert f"| `{kind}` | {steps} | {meaning.does} |" in manual
