"""The end of a connection: bytes received before it are processed first, in order, over TCP and TLS."""

from __future__ import annotations

import asyncio
import itertools
import logging
import ssl
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monitor.relay import transport as transporting
from monitor.relay.target import Target
from monitor.relay.tls import TlsOptions
from monitor.relay.transport import Closed
from monitor.vocabulary import Reason
from tests.relay.harness import (
    CLOSE,
    PING,
    TEXT,
    RecordingObserver,
    accepting,
    closing,
    frame,
    idle,
    read_frame,
    reset,
    serving,
    upgrading,
)
from tests.relay.test_tls import server_context

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import trustme

    from tests.relay.harness import Reader, Script, Writer


_Result = TypeVar("_Result")


class Plain:
    """The server's side of a TCP connection."""

    async def handshake(self, reader: Reader, writer: Writer) -> None:
        """Set the streams; there is no handshake."""
        self._reader, self._writer = reader, writer

    async def read(self) -> bytes:
        """Return received data."""
        return await self._reader.read(1 << 16)

    def seal(self, data: bytes) -> bytes:
        """Return the bytes to send for `data`."""
        return data

    def close_notify(self) -> bytes:
        """Return the bytes of the close_notify alert; none without TLS."""
        return b""


class Secure(Plain):
    """The server's side of a TLS connection. It returns its records, so that a test can split them anywhere."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def handshake(self, reader: Reader, writer: Writer) -> None:
        await super().handshake(reader, writer)
        await self._receiving(self._tls.do_handshake)
        self._writer.write(self._outgoing.read())

    async def read(self) -> bytes:
        return await self._receiving(lambda: self._tls.read(1 << 16))

    async def _receiving(self, attempt: Callable[[], _Result]) -> _Result:
        while True:
            try:
                return attempt()
            except ssl.SSLWantReadError:
                self._writer.write(self._outgoing.read())
                received = await self._reader.read(1 << 16)
                if not received:
                    raise EOFError from None
                self._incoming.write(received)

    def seal(self, data: bytes) -> bytes:
        self._tls.write(data)
        return self._outgoing.read()

    def close_notify(self) -> bytes:
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            return self._outgoing.read()
        raise AssertionError("the client has not closed yet")


@dataclass(frozen=True)
class Way:
    """How a server sends: over TLS, with close_notify at the end, and at once with the response to the upgrade."""

    secure: bool = False
    _: KW_ONLY
    notify: bool = False
    early: bool = False


def ending(context: ssl.SSLContext, way: Way, frames: list[bytes], *, end: Script, cuts: Sequence[int] = ()) -> Script:
    """Return a script that sends `frames`, each in its own TLS record, and then runs `end`.

    The bytes are split at the offsets `cuts`; without any they are sent in one write.
    """

    async def script(reader: Reader, writer: Writer) -> None:
        side = Secure(context) if way.secure else Plain()
        await side.handshake(reader, writer)
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += await side.read()
        response = side.seal(accepting(request.decode()))
        if not way.early:
            writer.write(response)
            await side.read()  # the client has its transport now
            response = b""
        sent = b"".join([response, *map(side.seal, frames), side.close_notify() if way.notify else b""])
        for start, stop in itertools.pairwise(sorted({0, len(sent), *(cut % (len(sent) + 1) for cut in cuts)})):
            writer.write(sent[start:stop])
            await writer.drain()
            await asyncio.sleep(0)
        while writer.transport.get_write_buffer_size():  # noqa: ASYNC110 - uvloop writes in a later iteration
            await asyncio.sleep(0)
        await end(reader, writer)

    return script


async def half_close(reader: Reader, writer: Writer) -> None:
    writer.write_eof()
    await idle(reader, writer)


def target(port: int, ca_file: Path, *, secure: bool) -> Target:
    return Target(url=f"{'wss' if secure else 'ws'}://127.0.0.1:{port}", tls=TlsOptions(ca_file=ca_file))


@pytest.fixture(scope="session")
def context(authority: trustme.CA) -> ssl.SSLContext:
    return server_context(authority, "127.0.0.1")


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("secure", [False, True])
async def test_twenty_messages_and_a_close_in_one_write_are_all_received(
    observer: RecordingObserver, context: ssl.SSLContext, ca_file: Path, *, secure: bool, early: bool
) -> None:
    texts = [f"{number:03}" * 200 for number in range(20)]
    frames = [frame(TEXT, text.encode()) for text in texts] + [closing(3500, "bad token")]
    script = ending(context, Way(secure, notify=True, early=early), frames, end=half_close)
    async with serving(script) as port:
        transport = await observer.dial(target(port, ca_file, secure=secure))
        transport.send("go on")
        assert await observer.wait_closed() == Closed(3500, "bad token", None)
        transport.abort()
    assert observer.texts == texts


CLOSES = st.sampled_from([None, 1000, 3001, 3500])


@given(
    sizes=st.lists(st.integers(0, 9_000), max_size=24),
    cuts=st.lists(st.integers(0, 1 << 20), max_size=5),
    code=CLOSES,
    partial=st.booleans(),
    way=st.builds(Way, st.booleans(), notify=st.booleans(), early=st.booleans()),
)
@example(sizes=[500] * 20, cuts=[], code=3500, partial=False, way=Way(secure=True, notify=True))
@example(sizes=[9_000] * 20, cuts=[], code=None, partial=True, way=Way(secure=True, notify=True, early=True))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_an_end_is_reported_after_what_came_before_it(
    context: ssl.SSLContext,
    ca_file: Path,
    *,
    sizes: list[int],
    cuts: list[int],
    code: int | None,
    partial: bool,
    way: Way,
) -> None:
    observer = RecordingObserver()
    texts = [str(number % 10) * size for number, size in enumerate(sizes)]
    frames = [frame(TEXT, text.encode()) for text in texts]
    if code is not None:
        frames += [closing(code, "that is all"), frame(TEXT, b"not to be delivered" * 600)]
    if partial:
        frames.append(frame(TEXT, b"cut short" * 2_000)[:-1])
    script = ending(context, way, frames, end=half_close, cuts=cuts)
    async with serving(script) as port:
        transport = await observer.dial(target(port, ca_file, secure=way.secure))
        transport.send("go on")
        closed = await observer.wait_closed()
        transport.abort()
    assert observer.texts == texts
    assert closed == (Closed(None, "connection closed", None) if code is None else Closed(code, "that is all", None))


@given(sizes=st.lists(st.integers(1, 4_000), min_size=1, max_size=14), code=CLOSES, secure=st.booleans())
@example(sizes=[4_000] * 14, code=3500, secure=True)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_reset_does_not_overtake_what_came_before_it(
    context: ssl.SSLContext, ca_file: Path, *, sizes: list[int], code: int | None, secure: bool
) -> None:
    observer = RecordingObserver()
    texts = ["x" * size for size in sizes]
    frames = [frame(TEXT, text.encode()) for text in texts] + ([closing(code)] if code is not None else [])
    script = ending(context, Way(secure), frames, end=reset, cuts=[40_000])
    async with serving(script) as port:
        transport = await observer.dial(target(port, ca_file, secure=secure))
        transport.send("go on")
        closed = await observer.wait_closed()
        transport.abort()
    assert observer.texts == texts
    assert closed == (Closed(None, "connection reset", Reason.RESET) if code is None else Closed(code, "", None))


async def test_a_close_is_answered_after_the_peer_has_closed_its_side(
    observer: RecordingObserver, context: ssl.SSLContext, ca_file: Path
) -> None:
    answered: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()

    async def half_close_and_read(reader: Reader, writer: Writer) -> None:
        writer.write_eof()
        answered.set_result(await read_frame(reader))
        assert await reader.read() == b"", "then the client closes"

    frames = [frame(TEXT, b"x" * 9_000)] * 5 + [closing(1000)]
    async with serving(ending(context, Way(), frames, end=half_close_and_read)) as port:
        transport = await observer.dial(target(port, ca_file, secure=False))
        transport.send("go on")
        assert await observer.wait_closed() == Closed(1000, "", None)
        async with asyncio.timeout(5):
            assert await answered == (CLOSE, b"\x03\xe8")
        transport.abort()


@pytest.mark.parametrize("secure", [False, True])
async def test_pings_before_the_end_cause_no_warning(
    observer: RecordingObserver,
    context: ssl.SSLContext,
    ca_file: Path,
    caplog: pytest.LogCaptureFixture,
    *,
    secure: bool,
) -> None:
    frames = [frame(TEXT, b"x" * 9_000), *[frame(PING, b"?" * 100)] * 200, closing(3500)]
    script = ending(context, Way(secure, notify=True), frames, end=half_close)
    with caplog.at_level(logging.WARNING):
        async with serving(script) as port:
            transport = await observer.dial(target(port, ca_file, secure=secure))
            transport.send("go on")
            assert await observer.wait_closed() == Closed(3500, "", None)
            transport.send("too late")
            transport.abort()
    assert not caplog.records, "asyncio warns of writes to a closed connection"


@pytest.mark.parametrize("secure", [False, True])
async def test_a_batch_that_ends_the_connection_is_processed_in_slices(
    observer: RecordingObserver, context: ssl.SSLContext, ca_file: Path, *, secure: bool
) -> None:
    count = 20_000
    frames = [frame(TEXT, b"{}") * count, closing(3500)]
    async with serving(ending(context, Way(secure, notify=True), frames, end=half_close)) as port:
        transport = await observer.dial(target(port, ca_file, secure=secure))
        transport.send("go on")
        iterations = []
        async with asyncio.timeout(30):
            while not observer.closes:
                before = len(observer.texts)
                await asyncio.sleep(0)
                iterations.append(len(observer.texts) - before)
        transport.abort()
    assert len(observer.texts) == count
    assert observer.closes == [Closed(3500, "", None)]
    assert max(iterations) <= 2 * (transporting.READ_SLICE_BYTES // len(frame(TEXT, b"{}")) + 1)


@pytest.mark.parametrize("secure", [False, True])
async def test_a_flood_is_received_no_faster_than_it_is_processed(
    observer: RecordingObserver,
    context: ssl.SSLContext,
    ca_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    secure: bool,
) -> None:
    monkeypatch.setattr(transporting, "READ_AHEAD_BYTES", 64 << 10)
    size, most = 60_000, 0

    async def flood(_reader: Reader, writer: Writer) -> None:
        nonlocal most
        for sent in range(600):
            most = max(most, sent - len(observer.texts))
            writer.write(frame(TEXT, b"x" * size))
            await writer.drain()
        writer.write(closing(3500))

    async with serving(upgrading(then=flood), tls=context if secure else None) as port:
        transport = await observer.dial(target(port, ca_file, secure=secure))
        assert (await observer.wait_closed()).code == 3500
        transport.abort()
    assert len(observer.texts) == 600
    assert most * size < 16 << 20, "more than the sockets' buffers and the bytes read ahead"
