"""The command `once` against malicious servers: it reports step and reason in time and in bounded memory."""

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
    closing,
    frame,
    read_request,
    responding,
    serving,
    upgrading,
)  # fmt: skip
from tests.relays import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.harness import Reader, Script, Writer

pytestmark = pytest.mark.integration

MAX_MEMORY_BYTES = 150 << 20
"""Limit of the process's peak memory; Python and the libraries take about 70 MB of it."""

CONFIG = """
relays: [{{name: evil, url: "ws://127.0.0.1:{port}/connection/websocket"}}]
probes: [{{name: session, scenario: realistic-session, schedule: {{every: 5m}}, messages: 1, timeout: 1500ms}}]
"""
HELLO = frame(TEXT, b'{"id":1,"connect":{"client":"c","version":"0","ping":25,"pong":true}}')


def large(opcode: int, payload: bytes, *, fin: bool = True, rsv1: bool = False) -> bytes:
    """Return a frame with a 64-bit length."""
    return struct.pack("!BBQ", (fin << 7) | (rsv1 << 6) | opcode, 127, len(payload)) + payload


def flood(*pieces: bytes, first: bytes = b"") -> Script:
    """Return a script that upgrades, sends `first`, and then repeats the pieces until the client closes."""

    async def script(reader: Reader, writer: Writer) -> None:
        writer.write(accepting(await read_request(reader)) + first)
        while True:
            for piece in pieces:
                writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    return script


async def endless_header(reader: Reader, writer: Writer) -> None:
    """Send headers without end, slowly."""
    await read_request(reader)
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\n")
    while True:
        writer.write(b"X-More: " + b"x" * 500 + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0.001)


def compression_bomb() -> bytes:
    """Return a compressed frame of a megabyte of zeros; compression was not negotiated."""
    return large(TEXT, zlib.compress(b"\0" * (1 << 20), 9), rsv1=True)


ATTACKS: dict[str, tuple[Script, str, set[str]]] = {
    "a million tiny objects": (upgrading(large(TEXT, b"{}\n" * 1_000_000)), "hello", {"too_large"}),
    "tiny objects up to the frame's limit": (upgrading(large(TEXT, b"{}\n" * 340_000)), "hello", {"too_large"}),
    "a frame just past the limit": (upgrading(large(TEXT, b"x" * ((1 << 20) + 1))), "hello", {"too_large"}),
    "a frame up to the limit": (upgrading(large(TEXT, b"x" * (1 << 20))), "hello", {"protocol"}),
    "a frame with a length of an exabyte": (
        upgrading(struct.pack("!BBQ", 0x81, 127, 1 << 60) + b"x" * 1000), "hello", {"too_large"}
    ),
    "deep objects": (upgrading(large(TEXT, b'{"a":' * 200_000)), "hello", {"protocol"}),
    "a number beyond the range of floats": (
        upgrading(frame(TEXT, b'{"id":1,"connect":{"ping":1e999}}')), "hello", {"protocol"},
    ),
    "an id that fills the frame": (upgrading(large(TEXT, b'{"id":"' + b"x" * 900_000 + b'"}')), "hello", {"protocol"}),
    "NaN": (upgrading(frame(TEXT, b'{"id":1,"connect":{"ping":NaN}}')), "hello", {"protocol"}),
    "a lone surrogate": (
        upgrading(frame(TEXT, b'{"id":1,"connect":{"client":"\\ud800","version":"0"}}')), "subscribe", {"silent"}
    ),
    "invalid UTF-8": (upgrading(large(TEXT, b"\xc3\x28" * 1000)), "hello", {"protocol"}),
    "a compression bomb": (upgrading(compression_bomb()), "hello", {"protocol"}),
    "fragments of one byte": (flood(frame(CONT, b"x", fin=False), first=frame(TEXT, b"{", fin=False)), "hello",
                              {"timeout", "too_large"}),
    "a flood of pings": (flood(frame(PING, b"x" * 100)), "hello", {"silent", "timeout"}),
    "a flood of empty objects": (flood(frame(TEXT, b"{}"), first=HELLO), "subscribe", {"silent", "timeout"}),
    "a flood of publications of a channel without a subscription": (
        flood(frame(TEXT, b'{"push":{"channel":"session:x","pub":{"data":"' + b"y" * 10_000 + b'","offset":1}}}'),
              first=HELLO), "subscribe", {"silent", "timeout"},
    ),
    "a close reason that is not UTF-8": (upgrading(frame(CLOSE, b"\x0b\xb8\xff\xfe")), "hello", {"protocol"}),
    "an invalid close code": (upgrading(closing(999)), "hello", {"protocol"}),
    "endless headers": (endless_header, "upgrade", {"too_large"}),
    "an endless status line": (responding(b"HTTP/1.1 101 " + b"x" * 300_000), "upgrade", {"too_large"}),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attack_is_reported_in_time_and_in_bounded_memory(attack: str, tmp_path: Path) -> None:
    script, step, reasons = ATTACKS[attack]
    config, output = tmp_path / "config.yaml", tmp_path / "stdout"
    async with serving(script) as port:
        config.write_text(CONFIG.format(port=port), encoding="utf-8")
        with output.open("wb") as stdout, (tmp_path / "stderr").open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "monitor", "once", "--config", str(config), "--output", "json"),
                stdout=stdout,
                stderr=stderr,
                cwd=ROOT,
            )
            peak = 0
            async with asyncio.timeout(20):
                while process.returncode is None:
                    peak = max(peak, _peak_memory(process.pid))
                    await asyncio.sleep(0.02)
    assert process.returncode == 1
    (run,) = json.loads(output.read_text("utf-8"))
    assert run["failure"]["step"] == step
    assert run["failure"]["reason"] in reasons
    assert len(run["failure"]["detail"]) <= MAX_DETAIL
    assert run["durationSeconds"] < 3.5
    assert b"Traceback" not in (tmp_path / "stderr").read_bytes()
    assert 10 << 20 < peak < MAX_MEMORY_BYTES


def _peak_memory(pid: int) -> int:
    """Return the peak memory of a process in bytes; 0 once it has exited."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:  # noqa: PTH123 - a file of the kernel's
            lines = dict(line.split(":", 1) for line in status)
    except OSError:
        return 0
    return int(lines.get("VmHWM", "0 kB").split()[0]) << 10
