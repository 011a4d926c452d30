"""Name resolution in threads: a lookup that hangs blocks no other."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from monitor.relay.resolve import look_up


async def test_an_ip_address_is_resolved_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "Thread", None)
    assert [info[4] for info in await look_up("127.0.0.1", 80)] == [("127.0.0.1", 80)]
    assert [info[4][:2] for info in await look_up("::1", 80)] == [("::1", 80)]


async def test_a_name_is_resolved_in_a_daemon_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    system = socket.getaddrinfo

    def resolver(host: str, *args: Any, **more: Any) -> Any:
        if more["flags"]:
            raise socket.gaierror(socket.EAI_NONAME, "not an address")
        asked.append((host, threading.current_thread().daemon))
        return system("127.0.0.1", *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    assert [info[4] for info in await look_up("relay.example.com", 443)] == [("127.0.0.1", 443)]
    assert asked == [("relay.example.com", True)]


@pytest.mark.parametrize("host", ["no-such-host.invalid", "." * 3, "x" * 300])
async def test_an_unknown_or_invalid_name_raises(host: str) -> None:
    with pytest.raises((OSError, UnicodeError)):
        await look_up(host, 80)


async def test_a_hanging_lookup_can_be_cancelled_and_blocks_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    system = socket.getaddrinfo

    def resolver(host: str, *args: Any, **more: Any) -> Any:
        if more["flags"]:
            raise socket.gaierror(socket.EAI_NONAME, "not an address")
        if host == "hangs.example.com":
            release.wait(30)
        return system("127.0.0.1", *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    hanging = [asyncio.ensure_future(look_up("hangs.example.com", 80)) for _ in range(20)]
    try:
        async with asyncio.timeout(10):
            assert await look_up("answers.example.com", 80)
        for each in hanging:
            each.cancel()
        await asyncio.wait(hanging, timeout=5)
        assert all(each.cancelled() for each in hanging)
    finally:
        release.set()
