"""One relay and one probe, with everything that was published."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from monitor.clock import LoopClock
from monitor.config import RelayConfig, parse
from monitor.embedded import EmbeddedRelay, FaultPlan, parse_fault
from monitor.probes.registry import PROBES
from monitor.probes.runner import execute
from monitor.probes.steady_messaging import SteadyMessaging
from monitor.probes.steady_state import SteadyState
from monitor.relays import MonitoredRelays
from monitor.results import MessagesJudged, MessagesSent, PhaseTimed, Run
from monitor.vocabulary import Outcome, Phase, Reason, Step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from monitor.config import ProbeConfig
    from monitor.pairs.context import ProbeContext
    from monitor.pairs.pair import Pair
    from monitor.probes.runner import Probe
    from monitor.reachability.persistent import PersistentPairs
    from monitor.results import RelayStatus, Report

T = TypeVar("T")

PERSISTENT: dict[str, Any] = {
    "schedule": "continuous",
    "pairs": "1",
    "message_interval": "100ms",
    "settle": "0s",
    "timeout": "400ms",
}
QUICK_SESSION: dict[str, Any] = {"messages": "1", "settle": "0s", "timeout": "400ms"}
SESSION: dict[str, Any] = QUICK_SESSION | {"timeout": "5s"}
"""For what must end long before the timeout."""

_CONFIG = """
relays: [{{name: demo, url: "{url}", limits: {{connects_per_minute: 6000, messages_per_minute: 6000}}}}]
probes: [{{name: probe, scenario: {scenario}, relays: [demo]{keys}}}]
"""


def configure(url: str, scenario: str, **keys: str) -> str:
    keys.setdefault("schedule", "{every: 1h}")
    return _CONFIG.format(url=url, scenario=scenario, keys="".join(f", {key}: {value}" for key, value in keys.items()))


class ProbeHarness:
    """One probe at one relay; `reports` holds all it published, `slots` what was counted of its grid."""

    def __init__(self, text: str, update: dict[str, Any], limits: dict[str, int], relay_update: dict[str, Any]) -> None:
        config = parse(text, "test", {})
        probe = config.probes[0].model_copy(update=update)
        relay = config.relays[0]
        relay = RelayConfig.model_validate(dict(relay) | relay_update)
        relay = relay.model_copy(update={"limits": relay.limits.model_copy(update=limits)})
        self.probe: ProbeConfig = probe
        self.reports: list[Run | Report] = []
        self.slots: list[str] = []
        self.ups: list[bool] = []
        self._watch_reachability = False
        config = config.model_copy(update={"probes": (probe,), "relays": (relay,)})
        self.monitored_relays = MonitoredRelays(config, LoopClock(), self._publish)
        self._news = asyncio.Event()

    @property
    def context(self) -> ProbeContext:
        return self.monitored_relays.context("demo", self.probe, self.slots.append)

    @property
    def pairs(self) -> PersistentPairs:
        """The persistent pairs of a continuous probe that is served here."""
        return self.monitored_relays.relays["demo"].verdict.pairs

    def pair(self, number: int) -> Pair:
        """The persistent pair of this number, which is there."""
        pair = self.pairs.find(self.probe.name, number)
        assert pair is not None
        return pair

    def watch_reachability(self, *, regular: bool = False) -> None:
        """Pass reports to the verdict; without `regular`, attempts are made only when something fails."""
        self._watch_reachability = True
        verdict = self.monitored_relays.relays["demo"].verdict
        verdict._confirmation.rhythm.next_regular = LoopClock().monotonic() if regular else float("inf")
        verdict.start(self.monitored_relays.context("demo", self.probe))

    async def start(self) -> None:
        await self.monitored_relays.start(self._on_status)

    def probe_object(self) -> Probe:
        """A probe that serves several runs."""
        return PROBES[self.probe.scenario]()

    async def run_once(self, probe: Probe | None = None) -> Run:
        """One bounded run."""
        return await execute(probe or PROBES[self.probe.scenario](), self.context)

    def all(self, kind: type[T]) -> list[T]:
        return [report for report in self.reports if isinstance(report, kind)]

    @property
    def runs(self) -> list[Run]:
        return self.all(Run)

    async def until(self, done: Callable[[], Any], seconds: float = 10.0) -> None:
        """Wait until `done()`, looked at after every report and every change of `up`."""
        async with asyncio.timeout(seconds):
            while not done():
                self._news.clear()
                await self._news.wait()

    async def all_judged(self) -> None:
        """Wait until every message sent is judged."""
        await self.until(lambda: self.sent <= len(self.judged))

    @property
    def sent(self) -> int:
        """Messages that went out."""
        return sum(report.messages for report in self.all(MessagesSent))

    @property
    def judged(self) -> list[MessagesJudged]:
        """One for each message."""
        return [report._replace(messages=1) for report in self.all(MessagesJudged) for _ in range(report.messages)]

    def _publish(self, report: Run | Report, context: ProbeContext) -> None:
        self.reports.append(report)
        if self._watch_reachability:
            self.monitored_relays.relays["demo"].verdict.observe(report, context)
        self._news.set()

    def _on_status(self, status: RelayStatus) -> None:
        assert status.relay == "demo"
        if status.up is not None and self.ups[-1:] != [status.up]:
            self.ups.append(status.up)
        self._news.set()


def plan(*specs: str, seed: int = 0) -> FaultPlan:
    """A plan of these faults on the loop's time."""
    return FaultPlan([parse_fault(spec) for spec in specs], seed=seed, clock=LoopClock().monotonic)


@asynccontextmanager
async def embedded(*specs: str, seed: int = 0, **more: Any) -> AsyncIterator[EmbeddedRelay]:
    """An embedded relay with these faults, on the loop's time; `more` as `EmbeddedRelay` takes it."""
    more.setdefault("plan", plan(*specs, seed=seed))
    relay = EmbeddedRelay(clock=LoopClock(), **more)
    await relay.start()
    try:
        yield relay
    finally:
        await relay.stop()


@asynccontextmanager
async def probe_at(
    url: str,
    scenario: str,
    update: dict[str, Any] | None = None,
    limits: dict[str, int] | None = None,
    relay: dict[str, Any] | None = None,
    **keys: Any,
) -> AsyncIterator[ProbeHarness]:
    """A harness at `url`; `keys` as in the configuration, `update` and `limits` beyond what it allows."""
    made = ProbeHarness(configure(url, scenario, **keys), update or {}, limits or {}, relay or {})
    await made.start()
    try:
        yield made
    finally:
        await made.monitored_relays.stop()


@asynccontextmanager
async def serving(made: ProbeHarness, context: ProbeContext | None = None) -> AsyncIterator[asyncio.Task[None]]:
    """Run the harness's continuous probe."""
    probe = SteadyState() if made.probe.scenario == "steady-state" else SteadyMessaging()
    task = asyncio.ensure_future(probe.serve(context or made.context, made.pairs))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


def cause(run: Run) -> tuple[Step, Reason] | None:
    return None if run.failure is None else (run.failure.step, run.failure.reason)


def assert_failed(run: Run, step: Step, reason: Reason, exchanges: int = 1) -> None:
    assert cause(run) == (step, reason)
    assert run.outcome is Outcome.FAILED
    assert [exchange.outcome for exchange in run.exchanges] == [Outcome.FAILED] * exchanges


def acks(made: ProbeHarness) -> int:
    return sum(report.phase is Phase.PUBLISH_ACK for report in made.all(PhaseTimed))
