"""Start, reload and stop of a whole monitor in random orders: it ends with no task, and nothing starts afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import TYPE_CHECKING

import pytest

from monitor.clock import LoopClock
from monitor.config import Config, parse
from monitor.daemon.app import Monitor
from monitor.embedded import EmbeddedRelay
from monitor.errors import MonitorError, StartupError
from tests.daemon.harness import until
from tests.daemon.reloading import ONE, TWO
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    from collections.abc import Coroutine

pytestmark = WITH_SOCKETS

VARIANTS = (ONE, TWO, TWO.replace("message_interval: 200ms", "message_interval: 100ms"), "relays: 7", ONE + "x: y\n")
REQUESTS = ("start", "reload", "reload", "reload", "stop", "wait", "wait")


class Source:
    """Reads another configuration each time, sometimes slowly."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def read(self) -> Config:
        time.sleep(self._rng.choice((0, 0, 0.02)))
        return parse(self._rng.choice(VARIANTS), "monitor.yaml", {})


async def attempt(work: Coroutine[None, None, None]) -> None:
    with contextlib.suppress(MonitorError):
        await work


@pytest.mark.parametrize("seed", range(12))
async def test_a_monitor_ends_in_any_order_of_requests(seed: int) -> None:
    rng = random.Random(seed)
    tasks = asyncio.all_tasks()
    monitor = Monitor(parse(ONE, "monitor.yaml", {}), clock=LoopClock(), source=Source(rng).read)
    requests: list[asyncio.Task[None]] = []
    for _ in range(rng.randrange(2, 12)):
        match rng.choice(REQUESTS):
            case "start":
                requests.append(asyncio.ensure_future(attempt(monitor.start())))
            case "reload":
                requests.append(asyncio.ensure_future(attempt(monitor.reload())))
            case "stop":
                monitor.lifecycle.request_stop()
        await asyncio.sleep(rng.choice((0, 0, 0.001, 0.1, 3)))
    monitor.lifecycle.request_stop()
    started = asyncio.get_running_loop().time()
    await monitor.stop()
    assert asyncio.get_running_loop().time() - started < 10
    await asyncio.gather(*requests)
    await until(lambda: asyncio.all_tasks() == tasks, 60)  # virtual time passes while a thread ends
    embedded = [relay.embedded for relay in monitor.monitored_relays.relays.values() if relay.embedded is not None]
    assert sum(relay.connections for relay in embedded) == 0
    with pytest.raises(StartupError, match="is stopping"):
        await monitor.reload()


async def test_a_reload_that_outlasts_the_stop_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It used to start its probes on the stopped monitor."""
    texts = [ONE]
    tasks = asyncio.all_tasks()
    monitor = Monitor(
        parse(ONE, "monitor.yaml", {}), clock=LoopClock(), source=lambda: parse(texts[-1], "monitor.yaml", {})
    )
    await monitor.start()
    begun, system_start = asyncio.Event(), EmbeddedRelay.start

    async def start_slowly(relay: EmbeddedRelay) -> None:
        begun.set()
        await asyncio.sleep(60)
        await system_start(relay)

    monkeypatch.setattr(EmbeddedRelay, "start", start_slowly)
    texts.append(TWO)
    reloading = asyncio.ensure_future(monitor.reload())
    await begun.wait()
    await monitor.stop()
    with pytest.raises(StartupError, match="is stopping"):
        await reloading
    await asyncio.sleep(120)
    assert list(monitor.monitored_relays.relays) == ["one"]
    assert asyncio.all_tasks() == tasks


async def test_a_relay_that_was_opened_by_a_cancelled_reload_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[EmbeddedRelay] = []
    system_start, texts = EmbeddedRelay.start, [ONE]
    monitor = Monitor(
        parse(ONE, "monitor.yaml", {}), clock=LoopClock(), source=lambda: parse(texts[-1], "monitor.yaml", {})
    )
    await monitor.start()

    async def note(relay: EmbeddedRelay) -> None:
        await system_start(relay)
        opened.append(relay)

    async def hang(_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(EmbeddedRelay, "start", note)
    monkeypatch.setattr(monitor.metrics, "reconfigure_in_slices", hang)
    texts.append(TWO)
    reloading = asyncio.ensure_future(attempt(monitor.reload()))
    await until(lambda: bool(opened))
    await monitor.stop()
    await reloading
    (relay,) = opened
    with pytest.raises(OSError, match="Connect"):
        await asyncio.open_connection("127.0.0.1", int(relay.url.split(":")[2].split("/")[0]))
