"""A reload with many new relays runs in short steps, so that it never delays a measurement."""

from __future__ import annotations

import asyncio
import gc
import random
from typing import TYPE_CHECKING, Any

import pytest

from monitor.clock import LoopClock
from monitor.config import parse
from monitor.daemon import reload
from monitor.daemon.app import Monitor
from monitor.relays import MonitoredRelays, freeze_gc
from monitor.schedule.spread import RELAYS_PER_SECOND, RESUMED_PER_SECOND
from tests.daemon.harness import until
from tests.daemon.reloading import running
from tests.relays import ROOT
from tests.sockets import closed_port
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.pairs.context import ProbeContext
    from monitor.reachability.persistent import PersistentPairs
    from monitor.relays import MonitoredRelay
    from tests.loop_watch import LoopWatch

MAX_STEP = 0.02
"""Seconds of CPU time that one step may take while relays are added or removed."""


def configuration(relays: int) -> str:
    """Return the shipped configuration with that many relays, none of which can be reached."""
    shipped = (ROOT / "config.yaml").read_text("utf-8")
    before, _, after = shipped.partition("\nrelays:\n")
    _, _, after = after.partition("\nprobes:\n")
    port = closed_port()
    added = "".join(f"  - {{name: relay-{number}, url: 'ws://127.0.0.1:{port}/x'}}\n" for number in range(relays))
    return f"{before}\nrelays:\n{added}\nprobes:\n{after}"


@pytest.mark.alone
@pytest.mark.slow
async def test_no_step_of_a_reload_is_long(loop_watch: LoopWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """From 40 to 80 relays the loop used to be blocked for 464 ms."""
    collections: list[int] = []
    change = reload._change

    async def noted_change(*arguments: Any) -> None:
        collections.clear()  # of the time in which the file is read
        await change(*arguments)
        during.extend(collections)

    during: list[int] = []
    monkeypatch.setattr(reload, "_change", noted_change)

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] > 0 and asyncio._get_running_loop() is not None:
            collections.append(info["generation"])

    thresholds = gc.get_threshold()
    async with running(configuration(40)) as made:
        freeze_gc()  # as the process does
        gc.callbacks.append(note)
        try:
            for relays in (80, 40):
                await asyncio.sleep(1)
                made.text = configuration(relays)
                during.clear()
                loop_watch.longest_step = 0.0
                await made.monitor.reload()
                assert loop_watch.longest_step < MAX_STEP
                if relays == 80:  # of what is removed, something may be left to collect
                    assert during == []
                assert len(made.monitor.monitored_relays.relays) == relays
        finally:
            gc.callbacks.remove(note)
            gc.unfreeze()
            gc.set_threshold(*thresholds)
        made.monitor.hurry_stop()


@WITH_SOCKETS
async def test_the_first_connects_of_many_relays_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: dict[str, list[float]] = {}

    async def note(_: object, context: ProbeContext, __: PersistentPairs) -> None:
        begun.setdefault(context.relay, []).append(asyncio.get_running_loop().time())
        await asyncio.Event().wait()

    monkeypatch.setattr("monitor.probes.steady_messaging.SteadyMessaging.serve", note)
    monkeypatch.setattr("monitor.probes.steady_state.SteadyState.serve", note)
    monitor = Monitor(parse(configuration(30), "monitor.yaml", {}), clock=LoopClock())
    await monitor.start()
    await until(lambda: len(begun) == 30)
    monitor.hurry_stop()
    await monitor.stop()
    first = [min(times) for times in begun.values()]
    for time in first:
        assert sum(time <= other < time + 1 for other in first) <= RELAYS_PER_SECOND + 1
    assert max(first) - min(first) <= 30 / RELAYS_PER_SECOND
    assert all(max(times) - min(times) < 0.1 for times in begun.values())


@pytest.mark.parametrize(("relays", "per_second"), [(80, RELAYS_PER_SECOND + 2), (200, 200 / 30 + 2)])
async def test_the_first_attempts_at_many_added_relays_are_spread(relays: int, per_second: float) -> None:
    """The first attempt at each is within `confirm.every` (30 s); no second has more of them than the seconds later."""
    one, many = (parse(configuration(number), "monitor.yaml", {}) for number in (1, relays))
    clock = LoopClock()
    monitored = MonitoredRelays(one, clock, lambda *_: None, rng=random.Random(1))
    opened = await monitored.open(many.relays[1:])
    due = next_attempts(opened)
    assert max(due) <= 30
    assert max(sum(start <= time < start + 1 for time in due) for start in due) <= per_second
    await monitored.close(opened)


@WITH_SOCKETS
async def test_attempts_at_many_relays_do_not_begin_together_once_the_monitor_is_healthy_again() -> None:
    """The load of attempts at all relays at once could make it unhealthy again. Every other relay is down."""
    clock = LoopClock()
    monitored = MonitoredRelays(parse(configuration(60), "monitor.yaml", {}), clock, lambda *_: None)
    await monitored.start(lambda _: None, on_attempt=lambda _: None)
    for relay in list(monitored.relays.values())[::2]:
        rhythm = relay.verdict._confirmation.rhythm
        rhythm.failing, rhythm.started_at = True, clock.monotonic() - 60
    monitored.set_healthy(healthy=False)
    monitored.set_healthy(healthy=True)
    due = next_attempts(monitored.relays.values())
    assert max(due) <= 60 / RESUMED_PER_SECOND
    assert max(sum(start <= time < start + 1 for time in due) for start in due) <= RESUMED_PER_SECOND + 1
    await monitored.stop()


def next_attempts(relays: Iterable[MonitoredRelay]) -> list[float]:
    """Return the seconds until the next attempt at each relay may start."""
    now = LoopClock().monotonic()
    return [relay.verdict._confirmation.rhythm.due(1) - now for relay in relays]
