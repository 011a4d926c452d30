"""The command, as its users run it, against servers that mean harm: a named reason, in time, in bounded memory."""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import zlib
from typing import TYPE_CHECKING

import pytest

from monitor.errors import MAX_DETAIL
from tests.relay.harness import (
    CLOSE,
    CONT,
    PING,
    TEXT,
    accepting,
    answering,
    closing,
    frame,
    read_request,
    saying,
    serving,
)  # fmt: skip
from tests.relays import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.harness import Reader, Script, Writer

pytestmark = pytest.mark.integration

MEMORY = 150 << 20
"""Bytes the process may ever have held; some 70 MB of them are Python and libraries."""

CONFIG = """
relays: [{{name: evil, url: "ws://127.0.0.1:{port}/connection/websocket"}}]
probes: [{{name: session, scenario: realistic-session, schedule: {{every: 5m}}, messages: 1, timeout: 1500ms}}]
"""
HELLO = frame(TEXT, b'{"id":1,"connect":{"client":"c","version":"0","ping":25,"pong":true}}')


def large(opcode: int, payload: bytes, *, fin: bool = True, rsv1: bool = False) -> bytes:
    """A frame of any length."""
    return struct.pack("!BBQ", (fin << 7) | (rsv1 << 6) | opcode, 127, len(payload)) + payload


def flood(*pieces: bytes, first: bytes = b"") -> Script:
    """Open the WebSocket, say `first`, then the same pieces for as long as anyone reads."""

    async def play(reader: Reader, writer: Writer) -> None:
        writer.write(accepting(await read_request(reader)) + first)
        while True:
            for piece in pieces:
                writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    return play


async def endless_header(reader: Reader, writer: Writer) -> None:
    """Headers without an end, slowly enough to last."""
    await read_request(reader)
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\n")
    while True:
        writer.write(b"X-More: " + b"x" * 500 + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0.001)


def bomb() -> bytes:
    """A megabyte of zeros, deflated to a thousandth of it: nobody agreed on compression."""
    return large(TEXT, zlib.compress(b"\0" * (1 << 20), 9), rsv1=True)


PLAYS: dict[str, tuple[Script, str, set[str]]] = {
    "a million tiny objects": (saying(large(TEXT, b"{}\n" * 1_000_000)), "hello", {"too_large"}),
    "tiny objects up to the frame's limit": (saying(large(TEXT, b"{}\n" * 340_000)), "hello", {"too_large"}),
    "a frame just past the limit": (saying(large(TEXT, b"x" * ((1 << 20) + 1))), "hello", {"too_large"}),
    "a frame up to the limit": (saying(large(TEXT, b"x" * (1 << 20))), "hello", {"protocol"}),
    "a frame that claims an exabyte": (
        saying(struct.pack("!BBQ", 0x81, 127, 1 << 60) + b"x" * 1000), "hello", {"too_large"}
    ),
    "deep objects": (saying(large(TEXT, b'{"a":' * 200_000)), "hello", {"protocol"}),
    "a number past all others": (saying(frame(TEXT, b'{"id":1,"connect":{"ping":1e999}}')), "hello", {"protocol"}),
    "an id that fills the frame": (saying(large(TEXT, b'{"id":"' + b"x" * 900_000 + b'"}')), "hello", {"protocol"}),
    "NaN": (saying(frame(TEXT, b'{"id":1,"connect":{"ping":NaN}}')), "hello", {"protocol"}),
    "a lone surrogate": (
        saying(frame(TEXT, b'{"id":1,"connect":{"client":"\\ud800","version":"0"}}')), "subscribe", {"silent"}
    ),
    "invalid UTF-8": (saying(large(TEXT, b"\xc3\x28" * 1000)), "hello", {"protocol"}),
    "a compression bomb": (saying(bomb()), "hello", {"protocol"}),
    "fragments of one byte": (flood(frame(CONT, b"x", fin=False), first=frame(TEXT, b"{", fin=False)), "hello",
                              {"timeout", "too_large"}),
    "a flood of pings": (flood(frame(PING, b"x" * 100)), "hello", {"silent", "timeout"}),
    "a flood of empty objects": (flood(frame(TEXT, b"{}"), first=HELLO), "subscribe", {"silent", "timeout"}),
    "a flood of publications nobody asked for": (
        flood(frame(TEXT, b'{"push":{"channel":"session:x","pub":{"data":"' + b"y" * 10_000 + b'","offset":1}}}'),
              first=HELLO), "subscribe", {"silent", "timeout"},
    ),
    "a close with bytes that are no text": (saying(frame(CLOSE, b"\x0b\xb8\xff\xfe")), "hello", {"protocol"}),
    "a close with a code that is none": (saying(closing(999)), "hello", {"protocol"}),
    "headers without an end": (endless_header, "upgrade", {"too_large"}),
    "a status line without an end": (answering(b"HTTP/1.1 101 " + b"x" * 300_000), "upgrade", {"too_large"}),
}  # fmt: skip


@pytest.mark.parametrize("harm", PLAYS)
async def test_harm_is_named_in_time_and_in_bounded_memory(harm: str, tmp_path: Path) -> None:
    play, step, reasons = PLAYS[harm]
    config, said = tmp_path / "config.yaml", tmp_path / "stdout"
    async with serving(play) as port:
        config.write_text(CONFIG.format(port=port), encoding="utf-8")
        with said.open("wb") as stdout, (tmp_path / "stderr").open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "monitor", "once", "--config", str(config), "--output", "json"),
                stdout=stdout,
                stderr=stderr,
                cwd=ROOT,
            )
            held = 0
            async with asyncio.timeout(20):
                while process.returncode is None:
                    held = max(held, _peak(process.pid))
                    await asyncio.sleep(0.02)
    assert process.returncode == 1
    (run,) = json.loads(said.read_text("utf-8"))
    assert run["failure"]["step"] == step
    assert run["failure"]["reason"] in reasons
    assert len(run["failure"]["detail"]) <= MAX_DETAIL
    assert run["durationSeconds"] < 3.5
    assert b"Traceback" not in (tmp_path / "stderr").read_bytes()
    assert 10 << 20 < held < MEMORY


def _peak(pid: int) -> int:
    """Bytes a process has held at most, as far as can still be told."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:  # noqa: PTH123 - a file of the kernel's
            lines = dict(line.split(":", 1) for line in status)
    except OSError:
        return 0
    return int(lines.get("VmHWM", "0 kB").split()[0]) << 10
