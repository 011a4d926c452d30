"""Reachable, refusing and unresponsive references: real sockets on loopback."""

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


async def test_one_reachable_reference_is_enough() -> None:
    with listening() as reachable:
        assert await References([f"127.0.0.1:{closed_port()}", reachable]).unreachable() is None


async def test_if_none_is_reachable_each_failure_is_reported() -> None:
    closed, nameless = f"127.0.0.1:{closed_port()}", "no-such-host.invalid:443"
    why = await References([nameless, closed]).unreachable()
    assert why is not None
    match = re.fullmatch(r"no reference reachable: (.*): Connection refused, (.*): .+", why)
    assert match is not None
    assert match.groups() == (closed, nameless)


async def test_an_unresponsive_reference_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "TIMEOUT", 0.2)
    with unanswering() as address:
        async with asyncio.timeout(5):
            assert (
                await References([address]).unreachable()
                == f"no reference reachable: {address}: no answer within 0.2 s"
            )


async def test_without_references_nothing_is_reported() -> None:
    assert await References([]).unreachable() is None


async def test_a_hanging_look_up_is_not_started_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "TIMEOUT", 0.05)
    looked_up: list[str] = []
    release = asyncio.Event()

    async def hang(host: str, port: int) -> list[object]:
        assert port == 443
        looked_up.append(host)
        await release.wait()
        return []

    monkeypatch.setattr(references, "look_up", hang)
    checked = References(["one.example:443", "two.example:443"])
    for _ in range(3):
        why = await checked.unreachable()
        assert why == (
            "no reference reachable: one.example:443: no answer within 0.05 s, two.example:443: no answer within 0.05 s"
        )
    assert sorted(looked_up) == ["one.example", "two.example"]
    release.set()
    await asyncio.sleep(0.01)
    assert "one.example:443: no address found" in str(await checked.unreachable())
    assert len(looked_up) == 4


async def test_no_task_is_left() -> None:
    before = asyncio.all_tasks()
    with listening() as reachable, unanswering() as unresponsive:
        await References([reachable, unresponsive]).unreachable()
    await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == before
