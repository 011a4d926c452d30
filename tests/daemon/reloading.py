"""A monitor in this process whose configuration is changed and reloaded."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from monitor.config import Config, parse
from monitor.daemon.app import Monitor
from monitor.errors import MonitorError
from tests.daemon.harness import page, shown, until

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

ONE = """\
location: here
relays:
  - {name: one, url: embedded, limits: {messages_per_minute: 6000, connects_per_minute: 600}}
probes:
  - {name: steady, scenario: steady-messaging, message_interval: 200ms, settle: 0s, timeout: 2s}
  - {name: idle, scenario: steady-state}
  - {name: away, scenario: async-delivery, schedule: {every: 2m}, delay: 60s, timeout: 2s}
slos:
  - {name: fast, probe: steady, sli: latency, threshold: 1500ms, objective: 99%}
"""
TWO = ONE.replace(
    "probes:", "  - {name: two, url: embedded, limits: {messages_per_minute: 6000, connects_per_minute: 600}}\nprobes:"
)


class Running:
    """A monitor and the text of its configuration, which `reload` changes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.monitor = Monitor(self.read(), source=self.read)

    def read(self) -> Config:
        return parse(self.text, "monitor.yaml", {})

    async def reload(self, *replacements: tuple[str, str]) -> None:
        for old, new in replacements:
            assert old in self.text
            self.text = self.text.replace(old, new)
        await self.monitor.reload()

    async def reload_error(self, text: str) -> str:
        """Return the error of a reload with an invalid `text`, and restore the previous text."""
        before, self.text = self.text, text
        with pytest.raises(MonitorError) as caught:
            await self.monitor.reload()
        self.text = before
        return str(caught.value)

    def task(self, relay: str, probe: str) -> asyncio.Task[None]:
        return self.monitor.supervisor._continuous[relay, probe]

    def connections(self, relay: str) -> int:
        embedded = self.monitor.monitored_relays.relays[relay].embedded
        assert embedded is not None
        return embedded.connections

    def exchanges(self, relay: str, outcome: str = "ok") -> float:
        return shown(self.monitor, "relay_probe_exchanges_total", relay=relay, probe="steady", outcome=outcome)

    async def delivers(self, relay: str) -> None:
        """Wait for one more exchange that succeeds."""
        before = self.exchanges(relay)
        await until(lambda: self.exchanges(relay) > before)

    def has_series(self, **labels: str) -> bool:
        return any(labels.items() <= dict(own).items() for _, own in page(self.monitor))


@asynccontextmanager
async def running(text: str = ONE) -> AsyncIterator[Running]:
    made = Running(text)
    await made.monitor.start()
    try:
        yield made
    finally:
        for task in list(made.monitor.schedule._tasks):
            task.cancel()
        await made.monitor.stop()
