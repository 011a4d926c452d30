"""Test servers driven by short scripts, an observer that records what a dial reports, and WebSocket frames."""

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
    from collections.abc import AsyncIterator, Awaitable, Callable

    from monitor.relay.target import Target
    from monitor.relay.transport import Closed, Transport
    from monitor.vocabulary import Phase, Step

    Reader = asyncio.StreamReader
    Writer = asyncio.StreamWriter
    Script = Callable[[Reader, Writer], Awaitable[None]]

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
CLOCK = SYSTEM_CLOCK


@dataclass
class RecordingObserver:
    """An observer of a dial that records each report, and each text and close of its transport."""

    steps: list[Step] = field(default_factory=list)
    phases: dict[Phase, tuple[float, float]] = field(default_factory=dict)
    failed_families: list[str] = field(default_factory=list)
    expiries: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    closes: list[Closed] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    has_proxy: bool = False
    endpoints: list[tuple[str, int]] = field(default_factory=list)

    def proxied(self) -> None:
        self.has_proxy = True

    def attached(self, transport: Transport) -> None:
        self.transport = transport

    def picked(self, endpoint: str, addresses: int) -> None:
        self.endpoints.append((endpoint, addresses))

    def entered(self, step: Step) -> None:
        self.steps.append(step)
        self.changed.set()

    def phase(self, phase: Phase, started: float, ended: float) -> None:
        self.phases[phase] = (started, ended)

    def address_failed(self, family: str) -> None:
        self.failed_families.append(family)

    def certificate(self, not_after: float) -> None:
        self.expiries.append(not_after)

    def on_text(self, text: str, at: float) -> None:
        self.texts.append(text)
        self.times.append(at)
        self.changed.set()

    def on_closed(self, closed: Closed) -> None:
        self.closes.append(closed)
        self.changed.set()

    async def until(self, done: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not done():
                self.changed.clear()
                await self.changed.wait()

    async def wait_closed(self) -> Closed:
        await self.until(lambda: self.closes)
        await asyncio.sleep(0.01)  # a second report would arrive by now, and fail the test
        [closed] = self.closes
        return closed

    async def dial(self, target: Target, resolver: dialling.Resolver = look_up) -> Transport:
        async with asyncio.timeout(5):
            return await dialling.dial(
                target, clock=CLOCK, observer=self, on_text=self.on_text, on_closed=self.on_closed, resolver=resolver
            )

    async def cancel_dial(self, target: Target, at: Step) -> None:
        """Dial, and cancel the dial once it has entered the step `at`."""
        task = asyncio.ensure_future(self.dial(target))
        await self.until(lambda: self.steps[-1:] == [at])
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()


@contextlib.asynccontextmanager
async def serving(script: Script, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """Run a server that handles each connection with `script`, and yield its port. Raise what a script raises."""
    tasks: list[asyncio.Task[None]] = []

    async def connected(reader: Reader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        try:
            await script(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # either side has closed; Python 3.11 would log a cancelled script as an error
        finally:
            writer.close()

    server = await asyncio.start_server(connected, host, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        # asyncio leaks a connection that is accepted while its server closes: let it be accepted first.
        await asyncio.sleep(0.001)
        server.close()
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome


async def read_request(reader: Reader) -> str:
    return (await reader.readuntil(b"\r\n\r\n")).decode()


def header(request: str, name: str) -> str | None:
    values = [line.partition(": ")[2] for line in request.split("\r\n") if line.lower().startswith(f"{name.lower()}: ")]
    assert len(values) <= 1, f"{name} occurs {len(values)} times"
    return values[0] if values else None


def accepting(request: str, *more: str) -> bytes:
    """Return the response that accepts the upgrade."""
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
    """Read one frame of the client and return its opcode and unmasked payload."""
    first, second = await reader.readexactly(2)
    assert first & 0xF0 == 0x80, "one unfragmented frame, uncompressed"
    assert second & 0x80, "masked"
    size = second & 0x7F
    if size == 126:
        (size,) = struct.unpack("!H", await reader.readexactly(2))
    elif size == 127:
        (size,) = struct.unpack("!Q", await reader.readexactly(8))
    mask = await reader.readexactly(4)
    payload = await reader.readexactly(size)
    return first & 0x0F, bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def upgrading(*frames: bytes, then: Script | None = None) -> Script:
    """Return a script that upgrades, sends `frames`, and then runs `then` (default: read until the client closes)."""

    async def script(reader: Reader, writer: Writer) -> None:
        writer.write(accepting(await read_request(reader)) + b"".join(frames))
        await (then or idle)(reader, writer)

    return script


def responding(*response: bytes) -> Script:
    """Return a script that answers a request with these bytes and keeps the connection open."""

    async def script(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        for part in response:
            writer.write(part)
            await writer.drain()
        await idle(reader, writer)

    return script


async def idle(reader: Reader, _writer: Writer) -> None:
    while await reader.read(1 << 16):
        pass


async def forward(source: Reader, sink: Writer) -> None:
    """Copy bytes until the source ends, then close the sink."""
    while data := await source.read(1 << 16):
        sink.write(data)
    sink.close()


async def close_at_once(_reader: Reader, writer: Writer) -> None:
    writer.close()


async def reset(_reader: Reader, writer: Writer) -> None:
    """Close with an RST. The option is set on a duplicate, because uvloop exposes no socket with setsockopt."""
    with socket.fromfd(writer.get_extra_info("socket").fileno(), socket.AF_INET, socket.SOCK_STREAM) as duplicate:
        duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def addresses(*hosts: str) -> dialling.Resolver:
    """Return a resolver that finds exactly these addresses."""

    async def resolver(_name: str, port: int, _family: socket.AddressFamily) -> list[AddressInfo]:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (host, port, 0, 0))
            if ":" in host
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))
            for host in hosts
        ]

    return resolver


def finding_none(error: Exception | None = None) -> dialling.Resolver:
    """Return a resolver that finds no address, or raises `error`."""

    async def resolver(*_: object) -> list[AddressInfo]:
        if error is not None:
            raise error
        return []

    return resolver


@contextlib.asynccontextmanager
async def refusing_handshake(context: ssl.SSLContext) -> AsyncIterator[int]:
    """Run a server whose TLS handshake with one client fails by an alert, and yield its port.

    It is blocking, because asyncio's server does not send its last TLS alert.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_refuse_handshake, args=(listener, context))
        thread.start()
        yield listener.getsockname()[1]
        # Not on the loop, which the client needs to close its socket.
        await asyncio.to_thread(thread.join, 5)


def _refuse_handshake(listener: socket.socket, context: ssl.SSLContext) -> None:
    plain, _ = listener.accept()
    with context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False) as secured:
        with contextlib.suppress(ssl.SSLError):
            secured.do_handshake()
        # With unread bytes, closing would reset the connection, and the client would not see the alert.
        with contextlib.suppress(OSError):
            secured.shutdown(socket.SHUT_WR)
            while secured.recv(4096):
                pass
