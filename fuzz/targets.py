"""Fuzz targets. Each function accepts any bytes and raises only if the program has a bug."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING

from monitor.config import parse
from monitor.embedded.broker import Broker
from monitor.embedded.faults import parse as parse_fault
from monitor.embedded.namespaces import PRODUCTION
from monitor.embedded.session import ServerSettings, Session
from monitor.errors import ConfigError, CryptoError, ProbeError, SessionError, WalletProtocolError
from monitor.relay.target import Target
from monitor.relay.upgrade import UpgradeResponse, handshake
from monitor.session import envelope, messages
from monitor.session.crypto import Ecies
from monitor.session.request import SessionRequest
from monitor.wire.commands import Connect, History, Publish, Subscribe
from monitor.wire.connection import Connection, State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CHANNEL = "session:11111111-2222-4333-8444-555555555555"
SECRET = b"\x07" * 32


def text_of(data: bytes) -> str:
    """Decode like the text of a frame; invalid UTF-8 is replaced, since the transport rejects it."""
    return data.decode("utf-8", errors="replace")


def wire(data: bytes) -> None:
    """Feed frames of a relay, separated by NUL, to a connection with pending commands."""
    connection = Connection(hello=Connect(name="fuzz", version="0"), rng=random.Random(0), reply_timeout=5.0)  # noqa: S311
    connection.connect(0.0)
    connection.opened(0.0, Connect(name="fuzz", version="0"))
    connection.receive('{"id":1,"connect":{"client":"c","version":"0","ping":25,"pong":true}}', 0.1)
    for command in (Subscribe(channel=CHANNEL), History(channel=CHANNEL, limit=5), Publish(channel=CHANNEL, data="x")):
        connection.command(command, 0.2)
    for number, frame in enumerate(data.split(b"\0")):
        connection.receive(text_of(frame), 1.0 + number)
        connection.events()
        connection.data_to_send()
        connection.tick(1.0 + number)
        assert connection.state in State
        due = connection.deadline()
        assert due is None or due == due  # not NaN  # noqa: PLR0124


def wallet(data: bytes) -> None:
    """Decode a foreign publication with the decoders of the wallet protocol."""
    text = text_of(data)
    try:
        read = envelope.decode(text)
    except WalletProtocolError:
        pass
    else:
        assert isinstance(read.nonce, int)
        with contextlib.suppress(CryptoError):
            Ecies().decrypt(read.payload, SECRET)
    with contextlib.suppress(SessionError):
        messages.decode(text)
    with contextlib.suppress(WalletProtocolError):
        SessionRequest.from_link(text)


def server(data: bytes) -> None:
    """Feed frames of a client, separated by NUL, to the embedded relay."""
    session = Session(Broker(PRODUCTION), ServerSettings(), 0.0, lambda: None)
    for number, frame in enumerate(data.split(b"\0")):
        session.receive(text_of(frame), float(number))
        session.lines()
        session.tick(float(number))
        if session.closing is not None:
            return


def upgrade(data: bytes) -> None:
    """Parse an upgrade response that arrives in two parts."""
    response = UpgradeResponse(handshake(Target(url="ws://relay.example/connection/websocket")))
    half = len(data) // 2
    try:
        if not response.receive(data[:half]):
            response.receive(data[half:])
    except ProbeError:
        pass


def config(data: bytes) -> None:
    """Parse a configuration file."""
    with contextlib.suppress(ConfigError):
        parse(text_of(data), "fuzz", {})


def fault(data: bytes) -> None:
    """Parse the text form of a fault."""
    with contextlib.suppress(ValueError):
        parse_fault(text_of(data))


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "wire": wire, "wallet": wallet, "server": server, "upgrade": upgrade, "config": config, "fault": fault,
}  # fmt: skip

SEEDS: Mapping[str, tuple[bytes, ...]] = {
    "wire": (
        b'{"id":2,"subscribe":{"recoverable":true,"positioned":true,"epoch":"e","offset":3,"publications":[{"data":"x","offset":3}]}}',
        b'{"id":3,"history":{"publications":[{"data":"x","offset":1}],"epoch":"e","offset":1}}\n{"id":4,"publish":{}}',
        b'{"push":{"channel":"session:11111111-2222-4333-8444-555555555555","pub":{"data":"x","offset":1}}}\0{}',
        b'{"push":{"channel":"c","unsubscribe":{"code":2500,"reason":""}}}\0{"push":{"disconnect":{"code":3001}}}',
        b'{"id":2,"error":{"code":112,"message":"m","temporary":true}}\0{"push":{"join":{"info":{"client":"c"}}}}',
    ),
    "wallet": (
        b'{"clientId":"11111111-2222-4333-8444-555555555555","nonce":1,"payload":"AAAA"}',
        b'{"type":"message","payload":{"id":1}}',
        b'{"type":"handshake-offer","payload":{"publicKeyB64":"Ag==","channelId":"x","otp":"123456","deadline":1}}',
        b'{"id":"x","mode":"trusted","channel":"handshake:x","publicKeyB64":"Ag==","expiresAt":1}',
    ),
    "server": (
        b'{"id":1,"connect":{}}\0{"id":2,"subscribe":{"channel":"session:11111111-2222-4333-8444-555555555555"}}',
        b'{"id":1,"connect":{}}\0{"id":2,"publish":{"channel":"session:11111111-2222-4333-8444-555555555555","data":{}}}',
        b'{"id":1,"connect":{}}\n{"id":2,"history":{"channel":"handshake:x","limit":-1,"since":{"offset":1,"epoch":"e"}}}',
    ),
    "upgrade": (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 429 No\r\nRetry-After: 3\r\n\r\n",
    ),
    "config": (b"relays: [{name: a, url: embedded}]\nprobes: [{name: p, scenario: steady-messaging}]\n",),
    "fault": (b"drop:channel=session,probability=0.5",),
}
"""Initial corpus of each target."""
