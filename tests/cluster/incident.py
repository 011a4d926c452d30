"""One incident on one cluster: the case that causes it, what it may use, and what was found."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.e2e.observer import Said, counters, increase

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.cluster.cluster import Cluster
    from tests.e2e.monitoring import Monitor, Monitoring
    from tests.e2e.observer import Observer, Series
    from tests.e2e.receiver import Notification

RELAY_ALERTS: Final = frozenset({"RelayDown", "RelayNotAccepting", "RelayPartialFailure", "RelayGroupDown"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that ought to be so, and what was found."""

    what: str
    found: str
    good: bool


@dataclass(slots=True, kw_only=True)
class Incident:
    """What a case uses: its cluster, the monitor of its relay, and what it says and pages."""

    name: str
    cluster: Cluster
    monitor: Monitor
    observer: Observer
    monitoring: Monitoring | None
    """None in a test without Prometheus."""

    folder: Path
    began: float = 0.0
    before: Series = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, str, str]:
        """Key of the relay's changes."""
        return self.monitor.install, self.monitor.location, self.name

    async def begin(self) -> None:
        """Start the clock of the incident, and note the counters."""
        self.before = await counters(self.monitor, self.name)
        self.began = time.monotonic()

    def check(self, what: str, *, good: bool, found: object = "") -> None:
        """Note one check."""
        self.checks.append(Check(what=what, found=str(found), good=good))

    async def says(self, what: str, done: Callable[[Said], bool], within: float) -> None:
        """Check that the monitor comes to say something within some seconds."""
        took = await self.observer.until(self.key, done, within)
        said = self.observer.now(self.key)
        self.check(
            f"{what} within {within:g} s",
            good=took is not None,
            found=f"{said}" if took is None else f"after {took:.0f} s: {said}",
        )

    def never(self, what: str, wrong: Callable[[Said], bool]) -> None:
        """Check that the monitor never said something since the incident began."""
        found = [(at, said) for at, said in self.observer.since(self.key, self.began) if wrong(said)]
        self.check(f"never {what}", good=not found, found="; ".join(f"+{at:.0f} s {said}" for at, said in found[:3]))

    async def booked(self, name: str, by: str) -> dict[str, float]:
        """Return by how much a counter of the relay grew since the incident began, by a label."""
        return increase(self.before, await counters(self.monitor, self.name), name, by)

    async def booked_failures(self) -> str:
        """Return the failures and verdicts that were booked since the incident began, as text."""
        series = await counters(self.monitor, self.name)
        causes: dict[str, float] = {}
        for (name, pairs), value in series.items():
            grown = value - self.before.get((name, pairs), 0.0)
            labels = dict(pairs)
            if name == "relay_probe_failures_total" and grown:
                cause = f"{labels['probe']} {labels['step']}/{labels['reason']}"
                causes[cause] = causes.get(cause, 0.0) + grown
        verdicts = increase(self.before, series, "relay_probe_messages_total", "verdict")
        verdicts.pop("delivered", None)
        return ", ".join(f"{cause} {count:g}" for cause, count in (causes | verdicts).items())

    def notifications(self, status: str = "firing") -> list[tuple[float, Notification, dict[str, Any]]]:
        """Return the alerts of the relay that were received since the incident began, with seconds after it."""
        if self.monitoring is None:
            return []
        return [
            (item.at - self.began, item, alert)
            for item in self.monitoring.receiver.notifications
            for alert in item.alerts
            if item.at >= self.began
            and alert["status"] == status
            and alert["labels"].get("relay") == self.name
            and alert["labels"].get("install", self.monitor.install) == self.monitor.install
        ]

    def paged(self) -> dict[str, tuple[float, str]]:
        """Return the critical alerts that were received: the seconds until the first, and its summary."""
        found: dict[str, tuple[float, str]] = {}
        for at, _, alert in self.notifications():
            if alert["labels"].get("severity") == "critical":
                found.setdefault(alert["labels"]["alertname"], (at, alert["annotations"].get("summary", "")))
        return found

    async def pages(self, alert: str, within: float) -> None:
        """Check that an alert of the relay pages within some seconds after the incident began, and no other does."""
        if self.monitoring is None:
            return
        remaining = within - (time.monotonic() - self.began)
        try:
            await self.monitoring.receiver.until(lambda: alert in self.paged(), max(remaining, 0.1))
        except TimeoutError:
            self.check(f"{alert} pages within {within:g} s", good=False, found=f"pages: {self.paged()}")
        else:
            at, summary = self.paged()[alert]
            self.check(f"{alert} pages within {within:g} s", good=True, found=f"after {at:.0f} s: {summary}")

    def only_pages(self, *alerts: str) -> None:
        """Check that no other alert of the relay has paged since the incident began."""
        if self.monitoring is not None:
            others = {name: said for name, said in self.paged().items() if name not in alerts}
            self.check(f"no page but {', '.join(alerts)}" if alerts else "no page", good=not others, found=others or "")

    async def resolves(self, alert: str, within: float, repaired: float) -> None:
        """Check that an alert is resolved within some seconds after the repair."""
        if self.monitoring is None:
            return

        def at() -> list[float]:
            return [
                item.at - repaired
                for _, item, received in self.notifications("resolved")
                if received["labels"]["alertname"] == alert and item.at >= repaired
            ]

        remaining = within - (time.monotonic() - repaired)
        try:
            await self.monitoring.receiver.until(at, max(remaining, 0.1))
        except TimeoutError:
            self.check(f"{alert} resolved within {within:g} s", good=False, found="never received")
        else:
            self.check(f"{alert} resolved within {within:g} s", good=True, found=f"after {at()[0]:.0f} s")

    async def wait(self, seconds: float) -> None:
        """Let the incident go on until some seconds after its begin."""
        await asyncio.sleep(max(0.0, seconds - (time.monotonic() - self.began)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An incident: how it is caused, and what its cluster and its relay's configuration have of their own."""

    name: str
    run: Callable[[Incident], Awaitable[None]]
    history_size: int = 20
    history_ttl: int = 300
    token: bool = False
    client: dict[str, Any] = field(default_factory=dict)
    relay: dict[str, Any] = field(default_factory=dict)
    endpoints: bool = False
    """The monitor knows both nodes, and no balancer is before them."""

    alone: bool = False
    """Its monitor is reloaded or restarted, so it has one of its own."""

    tls: bool = False
