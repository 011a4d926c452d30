"""WebSocket frames without a library: as much as the smaller programs need."""

from __future__ import annotations

import base64
import os
import struct
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator


def address(url: str) -> tuple[str, int]:
    """Return the host and port of a ws:// URL."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 80


def upgrade(url: str) -> bytes:
    """Return the request that opens a WebSocket."""
    parts = urlsplit(url)
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def text(payload: bytes) -> bytes:
    """Return a masked text frame. The mask is zero, so that masking costs nothing."""
    size = len(payload)
    head = struct.pack("!BB", 0x81, 0x80 | size) if size < 126 else struct.pack("!BBH", 0x81, 0x80 | 126, size)
    return head + b"\0\0\0\0" + payload


def split(buffer: bytearray) -> Iterator[bytes]:
    """Remove the complete frames from `buffer`, and yield their payloads."""
    while len(buffer) >= 2:
        size, start = buffer[1] & 0x7F, 2
        if size == 126:
            if len(buffer) < 4:
                return
            size, start = int.from_bytes(buffer[2:4], "big"), 4
        elif size == 127:
            if len(buffer) < 10:
                return
            size, start = int.from_bytes(buffer[2:10], "big"), 10
        if len(buffer) < start + size:
            return
        payload = bytes(buffer[start : start + size])
        del buffer[: start + size]
        yield payload
