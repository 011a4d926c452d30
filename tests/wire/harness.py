"""Connections without sockets, and the objects that a relay sends them."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

from monitor.wire.commands import Connect, Subscribe
from monitor.wire.connection import Connection

if TYPE_CHECKING:
    from monitor.wire.backoff import Backoff
    from monitor.wire.events import (
        Event,
    )

CHANNEL = "session:00000000-0000-4000-8000-000000000001"
HELLO_RESULT = {"client": "c1", "version": "6.9.1", "ping": 25, "pong": True}
HELLO_REPLY = {"id": 1, "connect": HELLO_RESULT}


def hello_sent(*, reconnect: Backoff | None = None) -> Connection:
    """Return an open connection that has sent its hello."""
    connection = Connection(hello=Connect(name="n", version="1"), rng=random.Random(1), reconnect=reconnect)
    connection.connect(0.0)
    connection.opened(0.0)
    return connection


def receive(connection: Connection, *objects: Any, now: float = 1.0) -> list[Event]:
    connection.receive("\n".join(json.dumps(item) for item in objects), now)
    return connection.events()


def sent(connection: Connection) -> list[Any]:
    return [json.loads(line) for line in connection.data_to_send()]


def connected(*, reconnect: Backoff | None = None, **hello: Any) -> Connection:
    connection = hello_sent(reconnect=reconnect)
    receive(connection, {"id": 1, "connect": {**HELLO_RESULT, **hello}})
    sent(connection)
    return connection


def subscribe(connection: Connection, epoch: str = "e", offset: int = 0, now: float = 1.0) -> int:
    """Subscribe to `CHANNEL` and return the id of the command."""
    identifier = connection.command(Subscribe(channel=CHANNEL), now)
    reply = {"recoverable": True, "positioned": True, "epoch": epoch, "offset": offset}
    receive(connection, {"id": identifier, "subscribe": reply}, now=now)
    sent(connection)
    return identifier
