"""A drill of the page chain as a pure state machine: no I/O, and all times are arguments.

A drill sets a series of the monitor's own, as an outage would set `relay_up`. What follows is observed: Prometheus
scrapes the series, a generated rule fires, Alertmanager notifies a webhook of the monitor. The last link proves all the
others. docs/drill.md describes what a drill tests, and what it does not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

RELAY: Final = "drill"
"""The name of the reserved relay that a drill sets down. No relay of a configuration can have it."""

SERIES: Final = "relay_monitor_drill_relay_up"
"""0 during a drill, absent otherwise. Not `relay_up`, which rules, dashboards and quorums read."""

ALERT: Final = "RelayMonitorDrill"
"""The alert that fires on it."""

LABEL: Final = "drill"
"""The label of both with the id of the drill: a notification counts for no other one."""

WEBHOOK: Final = "/-/drill"
"""Path at which the monitor receives the notification."""

CLOCK_TOLERANCE: Final = 1.0
"""Seconds by which the clocks of Prometheus and the monitor may differ before its times are not shown."""


class Link(StrEnum):
    """The links of the chain, in order."""

    BROKEN = "broken"
    SCRAPED = "scraped"
    FIRING = "firing"
    RECEIVED = "received"


class Result(StrEnum):
    """How a drill ended."""

    OK = "ok"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """One drill. `started_at` is a Unix time; all other times are seconds since the start.

    author: who started it; "schedule" for one of the configuration. scraped, firing, received: when each link was seen,
    None if it was not. scraper: the scraper's own name. ended: when it ended, None while it runs. why: what is broken,
    if it failed.
    """

    id: str
    author: str
    started_at: float
    timeout: float
    scraped: float | None = None
    scraper: str = ""
    firing: float | None = None
    received: float | None = None
    ended: float | None = None
    result: Result | None = None
    why: str = ""

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.result is None

    def see_scrape(self, at: float, scraper: str) -> Drill:
        """Return the drill after a scrape of the series; only the first one counts."""
        if not self.is_running or self.scraped is not None:
            return self
        return replace(self, scraped=at, scraper=scraper)

    def see_firing(self, at: float) -> Drill:
        """Return the drill after Prometheus said that the alert fires."""
        return self if not self.is_running or self.firing is not None else replace(self, firing=at)

    def see_notification(self, at: float, fired_at: float | None) -> Drill:
        """Return the drill after its notification was received, with which it ends.

        `fired_at` is the Unix time at which the alert began to fire, by the clock of Prometheus. It is more exact than
        the time at which the monitor learned of it, unless the clocks differ.
        """
        if not self.is_running:
            return self
        firing = self.firing
        if fired_at is not None:
            earliest, since = self.scraped or 0.0, fired_at - self.started_at
            if earliest - CLOCK_TOLERANCE <= since <= at + CLOCK_TOLERANCE:
                firing = min(max(since, earliest), at)
        return replace(self, firing=firing, received=at, ended=at, result=Result.OK)

    def expire(self, at: float) -> Drill:
        """Return the drill as failed if its time is over."""
        if not self.is_running or at < self.timeout:
            return self
        return replace(self, ended=at, result=Result.FAILED)

    def cancel(self, at: float) -> Drill:
        """Return the drill as cancelled."""
        return replace(self, ended=at, result=Result.CANCELLED) if self.is_running else self

    @property
    def missing(self) -> Link | None:
        """The first link that was not seen; None once the notification was received."""
        if self.received is not None:
            return None
        if self.scraped is None and self.firing is None:
            return Link.SCRAPED
        return Link.FIRING if self.firing is None else Link.RECEIVED

    def explain(self, webhook_url: str, *, asks_prometheus: bool, prometheus_error: str = "") -> str:
        """Return what is broken if it failed, and what to check; "" otherwise.

        webhook_url: the address that Alertmanager has to reach. asks_prometheus: whether Prometheus was asked for the
        alert; prometheus_error: why it did not answer. Without an answer, a rule that is not loaded and a notification
        that is not sent look the same.
        """
        if self.result is not Result.FAILED:
            return ""
        deliver = (
            "Prometheus does not reach Alertmanager, the drill's route is not deployed, or Alertmanager does not reach "
            f"{webhook_url}"
        )
        match self.missing:
            case Link.SCRAPED:
                return (
                    "Prometheus has not scraped this monitor: check that the monitor is a target of Prometheus and is "
                    "up there, and the scrape interval"
                )
            case Link.FIRING if asks_prometheus and not prometheus_error:
                return (
                    f"the alert {ALERT} does not fire: check that Prometheus has loaded the rules of this install that "
                    "`relay-monitor generate` writes, and evaluates them"
                )
            case Link.FIRING:
                hint = prometheus_error or "With `prometheus.url` in the configuration, a drill tells which"
                return f"no notification: Prometheus has not loaded the rule {ALERT}, or {deliver}. {hint}"
            case _:
                return f"the alert fires, and no notification arrived: {deliver}"
