"""References that are there, that are not, and that say nothing: real sockets on loopback."""

from __future__ import annotations

import asyncio
import re
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from monitor.health import references
from monitor.health.references import References
from tests.sockets import closed_port, unanswering

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


@contextmanager
def listening() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


async def test_one_that_answers_is_enough() -> None:
    with listening() as there:
        assert await References([f"127.0.0.1:{closed_port()}", there]).unreachable() is None


async def test_where_none_answers_each_says_why() -> None:
    closed, nameless = f"127.0.0.1:{closed_port()}", "no-such-host.invalid:443"
    why = await References([nameless, closed]).unreachable()
    assert why is not None
    said = re.fullmatch(r"no reference reachable: (.*): Connection refused, (.*): .+", why)
    assert said is not None
    assert said.groups() == (closed, nameless)


async def test_one_that_says_nothing_is_waited_for_so_long_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "TIMEOUT", 0.2)
    with unanswering() as place:
        async with asyncio.timeout(5):
            assert await References([place]).unreachable() == f"no reference reachable: {place}: no answer within 0.2 s"


async def test_nobody_to_ask_says_nothing() -> None:
    assert await References([]).unreachable() is None


async def test_a_look_up_that_hangs_is_not_joined_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "TIMEOUT", 0.05)
    asked: list[str] = []
    over = asyncio.Event()

    async def hang(host: str, port: int) -> list[object]:
        assert port == 443
        asked.append(host)
        await over.wait()
        return []

    monkeypatch.setattr(references, "look_up", hang)
    places = References(["one.example:443", "two.example:443"])
    for _ in range(3):
        why = await places.unreachable()
        assert why == (
            "no reference reachable: one.example:443: no answer within 0.05 s, two.example:443: no answer within 0.05 s"
        )
    assert sorted(asked) == ["one.example", "two.example"]
    over.set()
    await asyncio.sleep(0.01)
    assert "one.example:443: no address found" in str(await places.unreachable())
    assert len(asked) == 4


async def test_nothing_is_left_open() -> None:
    before = asyncio.all_tasks()
    with listening() as there, unanswering() as mute:
        await References([there, mute]).unreachable()
    await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == before
