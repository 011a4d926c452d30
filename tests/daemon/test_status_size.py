"""The view of 200 relays: how long it holds the event loop."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from monitor.config import parse
from monitor.daemon import status
from monitor.daemon.app import Monitor
from monitor.web.serialization import monitor_to_json, relay_to_json

if TYPE_CHECKING:
    import pytest

RELAYS = 200
MAX_STEP = 0.005
"""Seconds of CPU that one step of the event loop may take."""

CONFIG = (
    "relays:\n"
    + "".join(f"  - {{name: relay-{number:03}, url: 'ws://127.0.0.1:1/{number}'}}\n" for number in range(RELAYS))
    + """
probes:
  - {name: steady, scenario: steady-messaging}
  - {name: idle, scenario: steady-state}
  - {name: offline, scenario: async-delivery, schedule: {cron: "*/5 * * * *"}, delay: 30s}
slos:
  - {name: delivery, probe: steady, sli: availability, objective: 99%}
  - {name: fast, probe: steady, sli: latency, threshold: 400ms, objective: 99%}
maintenance:
  - {cron: "0 3 * * sun", timezone: Europe/Berlin, duration: 1h, reason: weekly upgrade}
"""
)


async def test_the_event_loop_goes_on_while_a_view_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPU time of the loop's thread is measured, so that a busy machine does not matter."""
    monitor = Monitor(parse(CONFIG, "monitor.yaml", {}))
    await monitor.monitored_relays.start(lambda _: None)  # without attempts
    steps: list[float] = []

    async def watch() -> None:
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            steps.append(time.thread_time() - began)

    watching = asyncio.create_task(watch())
    try:
        await monitor.views.view()  # what is made once
        monkeypatch.setattr(status, "MAX_AGE", 0.0)
        steps.clear()
        view = await monitor.views.view()
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await monitor.monitored_relays.stop()
    assert len(view.relays) == RELAYS
    assert len(steps) > RELAYS / 10
    assert max(steps) < MAX_STEP


async def test_a_view_is_encoded_in_small_pieces() -> None:
    """Encoding holds the GIL: one piece for all relays would stop the event loop for tens of milliseconds."""
    monitor = Monitor(parse(CONFIG, "monitor.yaml", {}))
    await monitor.monitored_relays.start(lambda _: None)
    try:
        view = await monitor.views.view()
    finally:
        await monitor.monitored_relays.stop()
    relay_to_json(view.relays[0])  # creates the adapter
    pieces = list(monitor_to_json(view))
    assert len(pieces) > RELAYS / 10
    assert max(map(len, pieces)) < 12 * len(relay_to_json(view.relays[0]))
