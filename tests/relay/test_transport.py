"""An open WebSocket: received frames, closes, protocol violations, and what the transport sends."""

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
    close_at_once,
    closing,
    frame,
    idle,
    read_frame,
    read_request,
    reset,
    serving,
    upgrading,
)
from tests.relay.test_tls import server_context

if TYPE_CHECKING:
    from pathlib import Path

    import trustme

    from tests.relay.harness import Reader, RecordingObserver, Writer


class Listener:
    """The reading half of a relay: records each frame of the client until it disconnects."""

    def __init__(self) -> None:
        self.received: list[tuple[int, bytes]] = []
        self.frame_received, self.disconnected = asyncio.Event(), asyncio.Event()

    async def __call__(self, reader: Reader, _writer: Writer) -> None:
        try:
            while True:
                self.received.append(await read_frame(reader))
                self.frame_received.set()
        except (OSError, EOFError):
            self.disconnected.set()

    async def wait_received(self) -> None:
        async with asyncio.timeout(5):
            await self.frame_received.wait()

    async def wait_disconnected(self) -> None:
        async with asyncio.timeout(5):
            await self.disconnected.wait()


def target(port: int, **more: int) -> Target:
    return Target(url=f"ws://127.0.0.1:{port}", **more)  # type: ignore[arg-type]  # max_frame is the only one used


async def test_texts_are_sent_and_received_and_arrivals_are_timed(observer: RecordingObserver) -> None:
    async def echo(reader: Reader, writer: Writer) -> None:
        while True:
            opcode, payload = await read_frame(reader)
            writer.write(frame(opcode, payload))

    async with serving(upgrading(then=echo)) as port:
        transport = await observer.dial(target(port))
        before = CLOCK.monotonic()
        transport.send("héllo")
        await observer.until(lambda: observer.texts)
        assert before <= observer.times[0] <= CLOCK.monotonic()
        transport.send("x" * 5_000)
        await observer.until(lambda: len(observer.texts) == 2)
        transport.abort()
    assert observer.texts == ["héllo", "x" * 5_000]


async def test_texts_of_one_segment_have_the_same_time(observer: RecordingObserver) -> None:
    async with serving(upgrading(frame(TEXT, b"a"), frame(TEXT, b"b"), frame(TEXT, b""))) as port:
        transport = await observer.dial(target(port))
        await observer.until(lambda: len(observer.texts) == 3)
        transport.abort()
    assert observer.texts == ["a", "b", ""]
    assert len(set(observer.times)) == 1


async def test_a_flood_is_handled_in_slices_between_iterations_of_the_loop(observer: RecordingObserver) -> None:
    count = 50_000
    async with serving(upgrading(frame(TEXT, b"{}") * count, frame(TEXT, b"x" * 60_000))) as port:
        transport = await observer.dial(target(port))
        iterations = []
        async with asyncio.timeout(30):
            while len(observer.texts) <= count:
                before = len(observer.texts)
                await asyncio.sleep(0)
                iterations.append(len(observer.texts) - before)
        transport.abort()
    # Up to two slices: the end of one read, and the start of the next.
    assert max(iterations) <= 2 * (transporting.READ_SLICE_BYTES // len(frame(TEXT, b"{}")) + 1)
    assert observer.texts == ["{}"] * count + ["x" * 60_000]


async def test_an_abort_in_a_flood_takes_effect_at_once(observer: RecordingObserver) -> None:
    async with serving(upgrading(frame(TEXT, b"{}") * 50_000)) as port:
        transport = await observer.dial(target(port))
        await observer.until(lambda: observer.texts)
        transport.abort()
        received = len(observer.texts)
        await asyncio.sleep(0.05)
    assert len(observer.texts) == received
    assert not observer.closes


async def test_fragments_are_joined_and_pings_between_them_are_answered(observer: RecordingObserver) -> None:
    listener = Listener()
    euro = "€".encode()
    frames = [
        frame(TEXT, b"1" + euro[:1], fin=False),
        frame(PING, b"ping payload"),
        frame(CONT, euro[1:], fin=False),
        frame(CONT, b"", fin=False),
        frame(CONT, b"2"),
        frame(TEXT, b"next"),
        frame(PONG, b"unsolicited"),
    ]
    async with serving(upgrading(*frames, then=listener)) as port:
        transport = await observer.dial(target(port))
        await observer.until(lambda: len(observer.texts) == 2)
        await listener.wait_received()
        transport.abort()
    assert observer.texts == ["1€2", "next"]
    assert listener.received == [(PONG, b"ping payload")]


async def test_frames_after_the_upgrade_are_delivered_once_dial_has_returned(observer: RecordingObserver) -> None:
    async with serving(upgrading(frame(TEXT, b"early"), closing(3500, "bad token"), then=close_at_once)) as port:
        await observer.dial(target(port))
        assert observer.texts == []
        assert observer.closes == []
        assert await observer.wait_closed() == Closed(3500, "bad token", None)
    assert observer.texts == ["early"]


async def test_buffered_frames_are_dropped_when_the_caller_aborts(observer: RecordingObserver) -> None:
    async with serving(upgrading(frame(TEXT, b"early"))) as port:
        (await observer.dial(target(port))).abort()
        await asyncio.sleep(0.01)
    assert observer.texts == []
    assert observer.closes == []


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
async def test_a_protocol_violation_closes_the_connection_at_once(
    observer: RecordingObserver, frames: list[bytes], code: int, fault: Reason, detail: str
) -> None:
    listener = Listener()
    script = upgrading(frame(TEXT, b"before"), *frames, frame(TEXT, b"after"), then=listener)
    async with serving(script) as port:
        transport = await observer.dial(target(port, max_frame=1000))
        closed = await observer.wait_closed()
        assert not transport.is_open
        transport.close()
        await listener.wait_received()
        transport.abort()
        await listener.wait_disconnected()
    assert (closed.code, closed.fault) == (None, fault)
    assert detail in closed.reason
    assert observer.texts == ["before"]
    [(opcode, payload)] = listener.received
    assert (opcode, int.from_bytes(payload[:2], "big")) == (CLOSE, code)


@pytest.mark.parametrize(
    ("close_frame", "closed"),
    [
        (closing(1000), Closed(1000, "", None)),
        (closing(1001, "gone"), Closed(1001, "gone", None)),
        (closing(3001, "shutdown"), Closed(3001, "shutdown", None)),
        (closing(4500, "so be it"), Closed(4500, "so be it", None)),
        (frame(CLOSE), Closed(None, "", None)),
    ],
)
async def test_a_close_frame_is_reported_before_the_relay_closes_the_socket(
    observer: RecordingObserver, close_frame: bytes, closed: Closed
) -> None:
    listener = Listener()
    async with serving(
        upgrading(frame(TEXT, b"last words"), close_frame, frame(TEXT, b"no more"), then=listener)
    ) as port:
        transport = await observer.dial(target(port))
        assert await observer.wait_closed() == closed
        await listener.wait_received()
        transport.abort()
        await listener.wait_disconnected()
    assert observer.texts == ["last words"]
    assert listener.received == [(CLOSE, close_frame[2:])], "the frame is echoed"


async def test_a_connection_closed_without_a_close_frame_has_no_code(observer: RecordingObserver) -> None:
    async with serving(upgrading(frame(TEXT, b"cut sho")[:-1], then=close_at_once)) as port:
        await observer.dial(target(port))
        assert await observer.wait_closed() == Closed(None, "connection closed", None)
    assert observer.texts == []


async def test_a_reset_connection_is_reported_once_and_ignores_further_calls(observer: RecordingObserver) -> None:
    async def later(reader: Reader, writer: Writer) -> None:
        await read_frame(reader)
        await reset(reader, writer)

    async with serving(upgrading(then=later)) as port:
        transport = await observer.dial(target(port))
        transport.send("go")
        assert await observer.wait_closed() == Closed(None, "connection reset", Reason.RESET)
        assert not transport.is_open
        assert transport.bytes_buffered == 0
        transport.send("not sent")
        transport.close()
        transport.abort()


async def test_close_sends_a_close_frame_and_delivers_nothing_more(observer: RecordingObserver) -> None:
    listener = Listener()

    async def script(reader: Reader, writer: Writer) -> None:
        writer.write(accepting(await read_request(reader)))
        listener.received.append(await read_frame(reader))
        writer.write(frame(TEXT, b"too late") + closing(1000))
        await writer.drain()
        writer.close()
        await listener(reader, writer)

    async with serving(script) as port:
        transport = await observer.dial(target(port))
        transport.close(1000, "é" * 100)
        assert not transport.is_open
        transport.send("nothing more is sent")
        transport.close()
        await listener.wait_disconnected()
    [(opcode, payload)] = listener.received
    assert (opcode, payload[:2]) == (CLOSE, b"\x03\xe8")
    assert payload[2:].decode() == "é" * 61, "a reason is cut to 123 bytes, between characters"
    assert observer.texts == []
    assert observer.closes == []


@pytest.mark.parametrize("secure", [False, True])
async def test_a_peer_that_does_not_answer_the_close_frame_is_disconnected(
    observer: RecordingObserver, monkeypatch: pytest.MonkeyPatch, authority: trustme.CA, ca_file: Path, *, secure: bool
) -> None:
    monkeypatch.setattr(transporting, "CLOSE_WAIT", 0.02)
    listener = Listener()
    context = server_context(authority, "127.0.0.1") if secure else None
    async with serving(upgrading(then=listener), tls=context) as port:
        url = f"{'wss' if secure else 'ws'}://127.0.0.1:{port}"
        transport = await observer.dial(Target(url=url, tls=TlsOptions(ca_file=ca_file)))
        transport.close()
        await listener.wait_disconnected()
    assert [opcode for opcode, _ in listener.received] == [CLOSE]


async def test_abort_sends_no_close_frame_and_reports_nothing(observer: RecordingObserver) -> None:
    listener = Listener()
    async with serving(upgrading(then=listener)) as port:
        transport = await observer.dial(target(port))
        transport.abort()
        await listener.wait_disconnected()
        await asyncio.sleep(0)
    assert listener.received == []
    assert observer.closes == []


@pytest.mark.parametrize("secure", [False, True])
async def test_a_relay_that_does_not_read_is_reported_as_silent(
    observer: RecordingObserver, monkeypatch: pytest.MonkeyPatch, authority: trustme.CA, ca_file: Path, *, secure: bool
) -> None:
    monkeypatch.setattr(transporting, "MAX_WRITE_BUFFER_BYTES", 1 << 20)
    done = asyncio.Event()

    async def not_reading(_reader: Reader, writer: Writer) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport that reads
        await done.wait()

    context = server_context(authority, "127.0.0.1") if secure else None
    async with serving(upgrading(then=not_reading), tls=context) as port:
        url = f"{'wss' if secure else 'ws'}://127.0.0.1:{port}"
        transport = await observer.dial(Target(url=url, tls=TlsOptions(ca_file=ca_file)))
        largest_buffer = 0
        for _ in range(2000):
            transport.send("x" * 50_000)
            largest_buffer = max(largest_buffer, transport.bytes_buffered)
            if not transport.is_open:
                break
            await asyncio.sleep(0)
        assert not transport.is_open
        assert observer.closes == [], "not during a send"
        assert largest_buffer < 2 << 20
        closed = await observer.wait_closed()
        done.set()
    assert (closed.code, closed.fault) == (None, Reason.SILENT)


@pytest.mark.parametrize("when", ["with the upgrade", "later"])
async def test_on_text_may_abort_the_transport(observer: RecordingObserver, when: str) -> None:
    frames = frame(TEXT, b"one") + frame(TEXT, b"two") + closing(1000)

    async def script(reader: Reader, writer: Writer) -> None:
        early = frames if when == "with the upgrade" else b""
        writer.write(accepting(await read_request(reader)) + early)
        await read_frame(reader)
        writer.write(frames)
        await idle(reader, writer)

    def abort_at_once(text: str, at: float) -> None:
        observer.on_text(text, at)
        transport.abort()

    async with serving(script) as port:
        transport = await dialling.dial(
            target(port), clock=CLOCK, observer=observer, on_text=abort_at_once, on_closed=observer.on_closed
        )
        transport.send("go on")
        await observer.until(lambda: observer.texts)
        await asyncio.sleep(0.01)
    assert observer.texts == ["one"]
    assert observer.closes == []


async def test_no_text_header_or_query_is_logged(observer: RecordingObserver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(upgrading(frame(TEXT, b"secret"))) as port:
        url = f"ws://127.0.0.1:{port}/?key=secret"
        transport = await observer.dial(Target(url=url, headers=(("Authorization", "secret"),)))
        transport.send("secret")
        await observer.until(lambda: observer.texts)
        transport.abort()
    assert "secret" not in caplog.text
