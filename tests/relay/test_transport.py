"""An open WebSocket: what comes, how it ends, and what this side does about it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from monitor.relay import dial as dialling
from monitor.relay import transport as transporting
from monitor.relay.target import Target
from monitor.relay.tls import TlsOptions
from monitor.relay.transport import Closed
from monitor.vocabulary import Reason
from tests.relay.harness import (
    BINARY,
    CLOCK,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    accepting,
    closing,
    frame,
    hang_up,
    idle,
    read_frame,
    read_request,
    reset,
    saying,
    serving,
)
from tests.relay.test_tls import server_context

if TYPE_CHECKING:
    from pathlib import Path

    import trustme

    from tests.relay.harness import Reader, Witness, Writer


class Listener:
    """A relay's other half: notes each frame of the client, until the client is gone."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, bytes]] = []
        self.spoken, self.gone = asyncio.Event(), asyncio.Event()

    async def __call__(self, reader: Reader, _writer: Writer) -> None:
        try:
            while True:
                self.heard.append(await read_frame(reader))
                self.spoken.set()
        except (OSError, EOFError):
            self.gone.set()

    async def hears(self) -> None:
        async with asyncio.timeout(5):
            await self.spoken.wait()

    async def left(self) -> None:
        async with asyncio.timeout(5):
            await self.gone.wait()


def target(port: int, **more: int) -> Target:
    return Target(url=f"ws://127.0.0.1:{port}", **more)  # type: ignore[arg-type]  # max_frame is all there is


async def test_texts_cross_both_ways_and_are_timed_where_they_cross(witness: Witness) -> None:
    async def echo(reader: Reader, writer: Writer) -> None:
        while True:
            opcode, payload = await read_frame(reader)
            writer.write(frame(opcode, payload))

    async with serving(saying(then=echo)) as port:
        transport = await witness.dial(target(port))
        before = CLOCK.monotonic()
        transport.send("héllo")
        await witness.until(lambda: witness.texts)
        assert before <= witness.times[0] <= CLOCK.monotonic()
        transport.send("x" * 5_000)
        await witness.until(lambda: len(witness.texts) == 2)
        transport.abort()
    assert witness.texts == ["héllo", "x" * 5_000]


async def test_several_texts_of_one_segment_have_one_time(witness: Witness) -> None:
    async with serving(saying(frame(TEXT, b"a"), frame(TEXT, b"b"), frame(TEXT, b""))) as port:
        transport = await witness.dial(target(port))
        await witness.until(lambda: len(witness.texts) == 3)
        transport.abort()
    assert witness.texts == ["a", "b", ""]
    assert len(set(witness.times)) == 1


async def test_a_flood_leaves_each_turn_of_the_loop_to_others_too(witness: Witness) -> None:
    count = 50_000
    async with serving(saying(frame(TEXT, b"{}") * count, frame(TEXT, b"x" * 60_000))) as port:
        transport = await witness.dial(target(port))
        turns = []
        async with asyncio.timeout(30):
            while len(witness.texts) <= count:
                before = len(witness.texts)
                await asyncio.sleep(0)
                turns.append(len(witness.texts) - before)
        transport.abort()
    # Twice what is taken at once: the end of what came before, and the beginning of what comes.
    assert max(turns) <= 2 * (transporting.READ_SLICE_BYTES // len(frame(TEXT, b"{}")) + 1)
    assert witness.texts == ["{}"] * count + ["x" * 60_000]


async def test_a_flood_that_is_left_is_left_at_once(witness: Witness) -> None:
    async with serving(saying(frame(TEXT, b"{}") * 50_000)) as port:
        transport = await witness.dial(target(port))
        await witness.until(lambda: witness.texts)
        transport.abort()
        heard = len(witness.texts)
        await asyncio.sleep(0.05)
    assert len(witness.texts) == heard
    assert not witness.ends


async def test_a_fragmented_text_is_put_together_and_pings_in_between_are_answered(witness: Witness) -> None:
    listener = Listener()
    euro = "€".encode()
    frames = [
        frame(TEXT, b"1" + euro[:1], fin=False),
        frame(PING, b"are you there"),
        frame(CONT, euro[1:], fin=False),
        frame(CONT, b"", fin=False),
        frame(CONT, b"2"),
        frame(TEXT, b"next"),
        frame(PONG, b"unasked"),
    ]
    async with serving(saying(*frames, then=listener)) as port:
        transport = await witness.dial(target(port))
        await witness.until(lambda: len(witness.texts) == 2)
        await listener.hears()
        transport.abort()
    assert witness.texts == ["1€2", "next"]
    assert listener.heard == [(PONG, b"are you there")]


async def test_what_comes_right_behind_the_upgrade_waits_for_the_caller(witness: Witness) -> None:
    async with serving(saying(frame(TEXT, b"early"), closing(3500, "bad token"), then=hang_up)) as port:
        await witness.dial(target(port))
        assert witness.texts == []
        assert witness.ends == []
        assert await witness.end() == Closed(3500, "bad token", None)
    assert witness.texts == ["early"]


async def test_what_was_held_back_is_not_handed_over_once_the_caller_has_left(witness: Witness) -> None:
    async with serving(saying(frame(TEXT, b"early"))) as port:
        (await witness.dial(target(port))).abort()
        await asyncio.sleep(0.01)
    assert witness.texts == []
    assert witness.ends == []


@pytest.mark.parametrize(
    ("frames", "code", "fault", "detail"),
    [
        ([frame(BINARY, b"\x00")], 1003, Reason.PROTOCOL, "binary"),
        ([frame(BINARY, b"\x00", fin=False), frame(CONT)], 1003, Reason.PROTOCOL, "binary"),
        ([frame(TEXT, b"\xff")], 1007, Reason.PROTOCOL, "UTF-8"),
        ([frame(TEXT, b"\xe2", fin=False), frame(CONT, b"(")], 1007, Reason.PROTOCOL, "UTF-8"),
        ([frame(TEXT, b"x" * 1001)], 1009, Reason.TOO_LARGE, "1001 bytes"),
        ([frame(TEXT, b"x" * 600, fin=False), frame(CONT, b"x" * 600)], 1009, Reason.TOO_LARGE, "bytes"),
        ([frame(TEXT, b"compressed", rsv1=True)], 1002, Reason.PROTOCOL, "reserved bits"),
        ([b"\x81\x81\x00\x00\x00\x00a"], 1002, Reason.PROTOCOL, "masking"),
        ([frame(3, b"")], 1002, Reason.PROTOCOL, "opcode"),
        ([frame(CONT, b"of nothing")], 1002, Reason.PROTOCOL, "continuation"),
        ([frame(TEXT, b"a", fin=False), frame(TEXT, b"b")], 1002, Reason.PROTOCOL, "continuation"),
        ([frame(PING, b"x" * 126)], 1002, Reason.PROTOCOL, "too long"),
        ([frame(CLOSE, b"\x03")], 1002, Reason.PROTOCOL, "too short"),
        ([closing(1005)], 1002, Reason.PROTOCOL, "status code"),
        ([frame(CLOSE, b"\x0f\xa0\xff")], 1007, Reason.PROTOCOL, "utf-8"),
    ],
)
async def test_a_broken_rule_ends_the_connection_at_once(
    witness: Witness, frames: list[bytes], code: int, fault: Reason, detail: str
) -> None:
    listener = Listener()
    play = saying(frame(TEXT, b"before"), *frames, frame(TEXT, b"after"), then=listener)
    async with serving(play) as port:
        transport = await witness.dial(target(port, max_frame=1000))
        closed = await witness.end()
        assert not transport.is_open
        transport.close()
        await listener.hears()
        transport.abort()
        await listener.left()
    assert (closed.code, closed.fault) == (None, fault)
    assert detail in closed.reason
    assert witness.texts == ["before"]
    [(opcode, payload)] = listener.heard
    assert (opcode, int.from_bytes(payload[:2], "big")) == (CLOSE, code)


@pytest.mark.parametrize(
    ("end", "closed"),
    [
        (closing(1000), Closed(1000, "", None)),
        (closing(1001, "gone"), Closed(1001, "gone", None)),
        (closing(3001, "shutdown"), Closed(3001, "shutdown", None)),
        (closing(4500, "so be it"), Closed(4500, "so be it", None)),
        (frame(CLOSE), Closed(None, "", None)),
    ],
)
async def test_a_close_frame_is_told_as_it_comes_even_where_the_relay_then_stays(
    witness: Witness, end: bytes, closed: Closed
) -> None:
    listener = Listener()
    async with serving(saying(frame(TEXT, b"last words"), end, frame(TEXT, b"no more"), then=listener)) as port:
        transport = await witness.dial(target(port))
        assert await witness.end() == closed
        await listener.hears()
        transport.abort()
        await listener.left()
    assert witness.texts == ["last words"]
    assert listener.heard == [(CLOSE, end[2:])], "the frame is echoed"


async def test_a_connection_closed_without_a_close_frame(witness: Witness) -> None:
    async with serving(saying(frame(TEXT, b"cut sho")[:-1], then=hang_up)) as port:
        await witness.dial(target(port))
        assert await witness.end() == Closed(None, "connection closed", None)
    assert witness.texts == []


async def test_a_reset_connection(witness: Witness) -> None:
    async def later(reader: Reader, writer: Writer) -> None:
        await read_frame(reader)
        await reset(reader, writer)

    async with serving(saying(then=later)) as port:
        transport = await witness.dial(target(port))
        transport.send("go")
        assert await witness.end() == Closed(None, "connection reset", Reason.RESET)
        assert not transport.is_open
        assert transport.bytes_buffered == 0
        transport.send("nobody hears this")
        transport.close()
        transport.abort()


async def test_closing_in_good_order_says_so_and_hears_nothing_more(witness: Witness) -> None:
    listener = Listener()

    async def play(reader: Reader, writer: Writer) -> None:
        writer.write(accepting(await read_request(reader)))
        listener.heard.append(await read_frame(reader))
        writer.write(frame(TEXT, b"too late") + closing(1000))
        await writer.drain()
        writer.close()
        await listener(reader, writer)

    async with serving(play) as port:
        transport = await witness.dial(target(port))
        transport.close(1000, "é" * 100)
        assert not transport.is_open
        transport.send("nothing more is sent")
        transport.close()
        await listener.left()
    [(opcode, payload)] = listener.heard
    assert (opcode, payload[:2]) == (CLOSE, b"\x03\xe8")
    assert payload[2:].decode() == "é" * 61, "a reason is cut to 123 bytes, between letters"
    assert witness.texts == []
    assert witness.ends == []


@pytest.mark.parametrize("secure", [False, True])
async def test_a_peer_that_does_not_answer_the_close_is_left(
    witness: Witness, monkeypatch: pytest.MonkeyPatch, authority: trustme.CA, ca_file: Path, *, secure: bool
) -> None:
    monkeypatch.setattr(transporting, "CLOSE_WAIT", 0.02)
    listener = Listener()
    context = server_context(authority, "127.0.0.1") if secure else None
    async with serving(saying(then=listener), tls=context) as port:
        url = f"{'wss' if secure else 'ws'}://127.0.0.1:{port}"
        transport = await witness.dial(Target(url=url, tls=TlsOptions(ca_file=ca_file)))
        transport.close()
        await listener.left()
    assert [opcode for opcode, _ in listener.heard] == [CLOSE]


async def test_aborting_says_nothing(witness: Witness) -> None:
    listener = Listener()
    async with serving(saying(then=listener)) as port:
        transport = await witness.dial(target(port))
        transport.abort()
        await listener.left()
        await asyncio.sleep(0)
    assert listener.heard == []
    assert witness.ends == []


@pytest.mark.parametrize("secure", [False, True])
async def test_a_relay_that_does_not_read_is_given_up(
    witness: Witness, monkeypatch: pytest.MonkeyPatch, authority: trustme.CA, ca_file: Path, *, secure: bool
) -> None:
    monkeypatch.setattr(transporting, "MAX_WRITE_BUFFER_BYTES", 1 << 20)
    done = asyncio.Event()

    async def deaf(_reader: Reader, writer: Writer) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport that reads
        await done.wait()

    context = server_context(authority, "127.0.0.1") if secure else None
    async with serving(saying(then=deaf), tls=context) as port:
        url = f"{'wss' if secure else 'ws'}://127.0.0.1:{port}"
        transport = await witness.dial(Target(url=url, tls=TlsOptions(ca_file=ca_file)))
        most = 0
        for _ in range(2000):
            transport.send("x" * 50_000)
            most = max(most, transport.bytes_buffered)
            if not transport.is_open:
                break
            await asyncio.sleep(0)
        assert not transport.is_open
        assert witness.ends == [], "not in the middle of a send"
        assert most < 2 << 20
        closed = await witness.end()
        done.set()
    assert (closed.code, closed.fault) == (None, Reason.SILENT)


@pytest.mark.parametrize("moment", ["with the upgrade", "later"])
async def test_a_caller_may_hang_up_in_the_call_that_hands_it_a_text(witness: Witness, moment: str) -> None:
    words = frame(TEXT, b"one") + frame(TEXT, b"two") + closing(1000)

    async def play(reader: Reader, writer: Writer) -> None:
        early = words if moment == "with the upgrade" else b""
        writer.write(accepting(await read_request(reader)) + early)
        await read_frame(reader)
        writer.write(words)
        await idle(reader, writer)

    def hang_up_at_once(text: str, at: float) -> None:
        witness.on_text(text, at)
        transport.abort()

    async with serving(play) as port:
        transport = await dialling.dial(
            target(port), clock=CLOCK, observer=witness, on_text=hang_up_at_once, on_closed=witness.on_closed
        )
        transport.send("go on")
        await witness.until(lambda: witness.texts)
        await asyncio.sleep(0.01)
    assert witness.texts == ["one"]
    assert witness.ends == []


async def test_no_log_shows_what_crosses(witness: Witness, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(saying(frame(TEXT, b"secret"))) as port:
        url = f"ws://127.0.0.1:{port}/?key=secret"
        transport = await witness.dial(Target(url=url, headers=(("Authorization", "secret"),)))
        transport.send("secret")
        await witness.until(lambda: witness.texts)
        transport.abort()
    assert "secret" not in caplog.text
