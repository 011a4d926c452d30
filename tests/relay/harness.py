"""What the transport's tests are played with: relays of a few lines, and a witness of what a dial tells and brings."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from websockets.utils import accept_key

from monitor.clock import SYSTEM_CLOCK
from monitor.relay import dial as dialling
from monitor.relay.resolve import AddressInfo, look_up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from monitor.relay.target import Target
    from monitor.relay.transport import Closed, Transport
    from monitor.vocabulary import Phase, Step

    Reader = asyncio.StreamReader
    Writer = asyncio.StreamWriter
    Script = Callable[[Reader, Writer], Awaitable[None]]

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
CLOCK = SYSTEM_CLOCK


@dataclass
class Witness:
    """Notes everything a dial tells its observer, and everything its transport hands over."""

    steps: list[Step] = field(default_factory=list)
    phases: dict[Phase, tuple[float, float]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    expiries: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    ends: list[Closed] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    has_proxy: bool = False

    def proxied(self) -> None:
        self.has_proxy = True

    def attached(self, transport: Transport) -> None:
        self.transport = transport

    def entered(self, step: Step) -> None:
        self.steps.append(step)
        self.changed.set()

    def phase(self, phase: Phase, started: float, ended: float) -> None:
        self.phases[phase] = (started, ended)

    def address_failed(self, family: str) -> None:
        self.failed.append(family)

    def certificate(self, not_after: float) -> None:
        self.expiries.append(not_after)

    def on_text(self, text: str, at: float) -> None:
        self.texts.append(text)
        self.times.append(at)
        self.changed.set()

    def on_closed(self, closed: Closed) -> None:
        self.ends.append(closed)
        self.changed.set()

    async def until(self, done: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not done():
                self.changed.clear()
                await self.changed.wait()

    async def end(self) -> Closed:
        await self.until(lambda: self.ends)
        await asyncio.sleep(0.01)  # time for a second report, which would be one too many
        [closed] = self.ends
        return closed

    async def dial(self, target: Target, resolver: dialling.Resolver = look_up) -> Transport:
        async with asyncio.timeout(5):
            return await dialling.dial(
                target, clock=CLOCK, observer=self, on_text=self.on_text, on_closed=self.on_closed, resolver=resolver
            )

    async def give_up(self, target: Target, at: Step) -> None:
        """Dial, and cancel the dial once it is at that step."""
        task = asyncio.ensure_future(self.dial(target))
        await self.until(lambda: self.steps[-1:] == [at])
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()


@contextlib.asynccontextmanager
async def serving(play: Script, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """A server that plays `play` to each connection; gives its port. What a play asserts holds, or this raises."""
    plays: list[asyncio.Task[None]] = []

    async def connected(reader: Reader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        plays.append(task)
        try:
            await play(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the client had enough, or this server has; Python 3.11 logs a cancelled play as an error
        finally:
            writer.close()

    server = await asyncio.start_server(connected, host, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        # A connection that is accepted while its server closes is leaked by asyncio, so let it be accepted before.
        await asyncio.sleep(0.001)
        server.close()
        for task in plays:
            task.cancel()
        for outcome in await asyncio.gather(*plays, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome


async def read_request(reader: Reader) -> str:
    return (await reader.readuntil(b"\r\n\r\n")).decode()


def header(request: str, name: str) -> str | None:
    values = [line.partition(": ")[2] for line in request.split("\r\n") if line.lower().startswith(f"{name.lower()}: ")]
    assert len(values) <= 1, f"{name} came {len(values)} times"
    return values[0] if values else None


def accepting(request: str, *more: str) -> bytes:
    """The answer that opens the WebSocket asked for."""
    key = header(request, "Sec-WebSocket-Key")
    assert key is not None
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    return "".join(f"{line}\r\n" for line in [*lines, f"Sec-WebSocket-Accept: {accept_key(key)}", *more, ""]).encode()


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv1: bool = False) -> bytes:
    first = (fin << 7) | (rsv1 << 6) | opcode
    if len(payload) < 126:
        return struct.pack("!BB", first, len(payload)) + payload
    return struct.pack("!BBH", first, 126, len(payload)) + payload


def closing(code: int, reason: str = "") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason.encode())


async def read_frame(reader: Reader) -> tuple[int, bytes]:
    """One frame of the client: opcode and payload."""
    first, second = await reader.readexactly(2)
    assert first & 0xF0 == 0x80, "one whole frame, uncompressed"
    assert second & 0x80, "masked"
    size = second & 0x7F
    if size == 126:
        (size,) = struct.unpack("!H", await reader.readexactly(2))
    elif size == 127:
        (size,) = struct.unpack("!Q", await reader.readexactly(8))
    mask = await reader.readexactly(4)
    payload = await reader.readexactly(size)
    return first & 0x0F, bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def saying(*frames: bytes, then: Script | None = None) -> Script:
    """A relay that upgrades, says `frames`, and then does `then` (by default: nothing until the client leaves)."""

    async def play(reader: Reader, writer: Writer) -> None:
        writer.write(accepting(await read_request(reader)) + b"".join(frames))
        await (then or idle)(reader, writer)

    return play


def answering(*answer: bytes) -> Script:
    """A server that answers any request so, and stays."""

    async def play(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        for part in answer:
            writer.write(part)
            await writer.drain()
        await idle(reader, writer)

    return play


async def idle(reader: Reader, _writer: Writer) -> None:
    while await reader.read(1 << 16):
        pass


async def hang_up(_reader: Reader, writer: Writer) -> None:
    writer.close()


async def reset(_reader: Reader, writer: Writer) -> None:
    """Close with an RST. The option is set on a duplicate: uvloop gives no socket that could be set."""
    with socket.fromfd(writer.get_extra_info("socket").fileno(), socket.AF_INET, socket.SOCK_STREAM) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def addresses(*hosts: str) -> dialling.Resolver:
    """A resolver that finds exactly these."""

    async def resolver(_name: str, port: int, _family: socket.AddressFamily) -> list[AddressInfo]:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (host, port, 0, 0))
            if ":" in host
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))
            for host in hosts
        ]

    return resolver


def finding_none(error: Exception | None = None) -> dialling.Resolver:
    """A resolver that finds nothing, or fails so."""

    async def resolver(*_: object) -> list[AddressInfo]:
        if error is not None:
            raise error
        return []

    return resolver


@contextlib.contextmanager
def demanding(context: ssl.SSLContext) -> Iterator[int]:
    """A server that asks one client for a certificate, and says so when none comes; gives its port.

    A blocking one: asyncio's own server keeps its last alert back.
    """

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_demand, args=(listener, context))
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)


def _demand(listener: socket.socket, context: ssl.SSLContext) -> None:
    plain, _ = listener.accept()
    with context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False) as secured:
        with contextlib.suppress(ssl.SSLError):
            secured.do_handshake()
        # Closed over unread bytes, the connection would be reset, and the alert be overtaken.
        with contextlib.suppress(OSError):
            secured.shutdown(socket.SHUT_WR)
            while secured.recv(4096):
                pass
