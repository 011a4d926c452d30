"""Name servers that answer, refuse or are silent: real datagrams on loopback."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from monitor.health import name_servers
from monitor.health.name_servers import silent_name_servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A datagram socket on 127.0.0.2, at the port of name servers for this test."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.2", 0))
        made.setblocking(False)  # noqa: FBT003 - positional only
        monkeypatch.setattr(name_servers, "PORT", made.getsockname()[1])
        monkeypatch.setattr(name_servers, "TIMEOUT", 0.3)
        yield made


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    def write(text: str) -> None:
        (tmp_path / "resolv.conf").write_text(text)
        monkeypatch.setattr(name_servers, "RESOLV_CONF", tmp_path / "resolv.conf")

    return write


async def reply_once(server: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    query, client = await loop.sock_recvfrom(server, 512)
    await loop.sock_sendto(server, query[:2] + b"\x81\x82", client)  # a failure is an answer
    return query


async def test_one_answer_is_enough_whatever_it_says(server: socket.socket, configure: Callable[[str], None]) -> None:
    configure("# a comment\nsearch example\nnameserver 127.0.0.3\nnameserver 127.0.0.2\n")
    replying = asyncio.ensure_future(reply_once(server))
    assert await silent_name_servers() is None
    assert (await replying)[2:] == bytes.fromhex("010000010000000000000000020001")


@pytest.mark.usefixtures("server")
async def test_silent_and_missing_servers_are_named(configure: Callable[[str], None]) -> None:
    configure("nameserver 127.0.0.2\nnameserver 127.0.0.3\n")
    assert await silent_name_servers() == "no name server answers: 127.0.0.2, 127.0.0.3"


@pytest.mark.parametrize("text", ["", "nameserver\n", "options edns0\n"])
async def test_without_a_known_server_nothing_is_said(configure: Callable[[str], None], text: str) -> None:
    configure(text)
    assert await silent_name_servers() is None


async def test_an_unreadable_file_is_no_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(name_servers, "RESOLV_CONF", tmp_path / "none")
    assert await silent_name_servers() is None
