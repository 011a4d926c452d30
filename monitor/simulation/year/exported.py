"""The series that Prometheus scrapes from the monitors of some relays, around one cluster of faults."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.metrics.relay_info import settings_labels
from monitor.simulation.promql import Series, Store
from monitor.simulation.promql.series import labels
from monitor.simulation.year.outcomes import counters
from monitor.vocabulary import Condition, Reason, Sli, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from monitor.config import Config, RelayConfig
    from monitor.simulation.promql.series import Floats
    from monitor.simulation.year.observed import Observed
    from monitor.simulation.year.outcomes import Budget, Counted

STARTED: float = -30 * 86_400.0
"""When the monitors started, in seconds before the year."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """The monitor of one location: when it is scraped, absent, unhealthy, and was restarted."""

    location: str
    phase: float
    absent: Sequence[tuple[float, float]] = ()
    unhealthy: Sequence[tuple[float, float]] = ()

    @property
    def restarts(self) -> list[float]:
        """When it began anew."""
        return [end for _, end in self.absent]

    def scrapes(self, start: float, end: float, interval: float) -> Floats:
        """Return the times at which it is scraped."""
        first = np.floor((start - self.phase) / interval)
        last = np.floor((end - self.phase) / interval)
        times: Floats = self.phase + interval * np.arange(first, last + 1)
        return times

    def there(self, at: Floats) -> Floats:
        """Return 1 where a scrape succeeds, NaN where it fails."""
        result = np.ones(len(at))
        for begin, stop in self.absent:
            result[(at >= begin) & (at < stop)] = np.nan
        return result


class Exported:
    """Fills a store with the series of one location."""

    def __init__(self, config: Config, monitor: Monitor, store: Store, at: Floats) -> None:
        self._config, self._monitor, self._store, self._at = config, monitor, store, at
        self._there = monitor.there(at)
        self._present = not np.isnan(self._there).any()
        self._of = {"install": config.install, "location": monitor.location}

    def _add(self, name: str, values: Floats | float, **of: str) -> None:
        sampled = self._there * values
        self._store.add(Series(name, labels(**self._of, **of), self._at, sampled))

    def of_monitor(self) -> None:
        """Add what is said of the monitor itself."""
        for shard in range(self._config.shards):
            self._add("relay_monitor_shard_info", 1.0, shard=f"{shard}/{self._config.shards}")
        healthy = np.ones(len(self._at))
        for begin, stop in self._monitor.unhealthy:
            healthy[(self._at >= begin) & (self._at < stop)] = 0.0
        self._add("relay_monitor_healthy", healthy)
        started = np.full(len(self._at), STARTED)
        for restart in self._monitor.restarts:
            started[self._at >= restart] = restart
        self._add("relay_monitor_start_time_seconds", started, shard=f"0/{self._config.shards}")

    def of_relay(self, relay: RelayConfig, observed: Observed, windows: Sequence[tuple[float, float]]) -> None:
        """Add the verdicts on a relay, and what rules join to them."""
        statuses = observed.statuses
        index = np.searchsorted(np.array([each.at for each in statuses]), self._at, side="right")

        def sampled(initial: float, value: Callable[[int], float]) -> Floats:
            return np.array([initial, *(value(number) for number in range(len(statuses)))])[index]

        of = {"relay": relay.name}
        for name, initial, value in (
            ("relay_up", 1.0, lambda number: _gauge(statuses[number].up)),
            ("relay_accepting", 1.0, lambda number: _gauge(statuses[number].accepting)),
        ):
            self._add(name, sampled(initial, value), **of)
        for condition in Condition:
            initial = float(condition is Condition.UP)
            self._add(
                "relay_state",
                sampled(initial, lambda number, named=condition: float(statuses[number].condition is named)),  # type: ignore[misc]
                **of,
                state=condition.value,
            )
        if any(status.limited for status in statuses):
            limited = sampled(np.nan, lambda number: 1.0 if statuses[number].limited else np.nan)
            self._add("relay_cause_info", limited, **of, step=Step.UPGRADE, reason=Reason.RATE_LIMITED, status="429")
        maintenance = np.zeros(len(self._at))
        for begin, stop in windows:
            maintenance[(self._at >= begin) & (self._at < stop)] = 1.0
        for name in ("relay_maintenance", "relay_probe_maintenance"):
            self._add(name, maintenance, **of)
        silent = np.searchsorted(np.array(observed.silent), self._at, side="right").astype(np.float64)
        self._add("relay_probe_confirmations_total", silent, **of, over="standing", outcome="failed")
        self._add("relay_probe_relay_info", 1.0, **of, **relay_labels(relay))

    def of_budgets(self, relay: str, counted: Mapping[int, Sequence[Counted]], budgets: Sequence[Budget]) -> None:
        """Add the counters of the events of a relay, and of the messages that were lost."""
        lost: dict[str, Floats] = {}
        for number, budget in enumerate(budgets):
            phase = phase_of(f"{relay}/{self._monitor.location}/{number}")
            good, bad = counters(budget, counted.get(number, ()), self._monitor.restarts, self._at, phase)
            of = {"relay": relay, "slo": budget.slo.name, "probe": budget.probe.name}
            self._add("relay_slo_events_total", good, **of, outcome="good")
            self._add("relay_slo_events_total", bad, **of, outcome="bad")
            if budget.slo.sli is Sli.AVAILABILITY:
                lost[budget.probe.name] = np.maximum(lost.get(budget.probe.name, 0.0), bad)
        for probe, bad in lost.items():
            self._add("relay_probe_messages_total", bad, relay=relay, probe=probe, verdict="lost")


def relay_labels(relay: RelayConfig) -> dict[str, str]:
    """Return the labels of `relay_probe_relay_info` beside the relay's name."""
    return {name: value for name, value in (settings_labels(relay) | dict(relay.labels)).items() if value}


def phase_of(text: str) -> float:
    """Return a number in [0, 1) that depends on a text alone."""
    return zlib.crc32(text.encode()) / 2**32


def _gauge(value: bool | None) -> float:  # noqa: FBT001 - a state
    return float("nan") if value is None else float(value)
