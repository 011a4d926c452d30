"""Runs a load scenario in virtual time against a relay that takes exactly 10 ms for each round trip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.load.plan import Plan
from monitor.load.scenario_runner import ScenarioRunner
from monitor.results import Report, Run

if TYPE_CHECKING:
    import asyncio

    from monitor.scenarios import Scenario
    from tests.load.in_memory_relay import InMemoryRelay

TARGET = "ws://relay.test/connection/websocket"
PAIRS = 4


class RecordedRun:
    """A run of one scenario, and what it published, each with its time in seconds since the beginning."""

    def __init__(self, relay: InMemoryRelay, scenario: Scenario, **keys: Any) -> None:
        self.relay = relay
        defaults: dict[str, Any] = {"connections": PAIRS, "connection_pairs": PAIRS, "ramp_up": 8.0, "crypto": "mock"}
        self.plan = Plan(target=TARGET, scenario=scenario, **(defaults | keys))
        self.runner = ScenarioRunner(self.plan, relay.clock, self._record)
        self.published: list[tuple[float, Run | Report]] = []

    def _record(self, report: Run | Report) -> None:
        self.published.append((self.now, report))

    @property
    def now(self) -> float:
        return self.relay.clock.monotonic() - self.runner.statistics.began

    async def run(self, stop: asyncio.Event | None = None) -> RecordedRun:
        await self.runner.run(stop)
        return self

    @property
    def totals(self) -> Any:
        return self.runner.statistics.totals

    def times(self, kind: type[Run | Report]) -> list[float]:
        return [at for at, report in self.published if isinstance(report, kind)]

    def exchanges(self, pair: int) -> list[float]:
        """When each exchange of one pair ended."""
        return [at for at, report in self.published if isinstance(report, Run) and report.pair == pair]

    @property
    def dialled(self) -> list[float]:
        return [at - self.runner.statistics.began for at in self.relay.dialled]

    @property
    def disconnected(self) -> list[float]:
        return [at - self.runner.statistics.began for at in self.relay.disconnected]
