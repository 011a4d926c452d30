"""Read the figures of a period from Prometheus: events of the SLOs, runs, exchanges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.config import show_duration
from monitor.report.model import Attainment, Exchanges
from monitor.slo.rules.recorded import EVENTS, applies_to, budgeted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from monitor.config import Config
    from monitor.report.month import Period
    from monitor.web.prometheus import PrometheusClient

RUNS: Final = "relay_monitor_runs_total"
EXCHANGES: Final = "relay_probe_exchanges_total"

SAMPLES: Final = 1000
"""Moments of a period at which it is looked whether a probe was observed."""

KEY: Final = ("relay", "probe", "location")

Table = dict[tuple[str, ...], float]


def read_attainments(client: PrometheusClient, config: Config, period: Period) -> list[Attainment]:
    """Return the attainment of each objective at each relay it applies to. Raises `PrometheusError`."""
    events = _increase(client, config, period, EVENTS, ("relay", "slo", "outcome"))
    coverage = _Coverage(client, config, period)
    return [
        Attainment(
            relay=relay.name,
            slo=slo.name,
            objective=objective,
            good=events.get((relay.name, slo.name, "good"), 0.0),
            bad=events.get((relay.name, slo.name, "bad"), 0.0),
            coverage=coverage.of(relay.name, [name for name in slo.probe if relay.name in probes[name].relays]),
        )
        for probes in [{probe.name: probe for probe in config.probes}]
        for relay in config.relays
        for slo in budgeted(config)
        if (objective := slo.objective_for(relay.name)) is not None and applies_to(config, slo, relay.name)
    ]


def read_exchanges(client: PrometheusClient, config: Config, period: Period) -> Mapping[str, Exchanges] | None:
    """Return the exchanges of each relay, None if not all are counted. Raises `PrometheusError`."""
    if config.metrics.detail == "lean":
        return None
    found: dict[str, dict[str, float]] = {relay.name: {} for relay in config.relays}
    for (relay, outcome), count in _increase(client, config, period, EXCHANGES, ("relay", "outcome")).items():
        if relay in found:
            found[relay][outcome] = count
    return {relay: Exchanges(counts=counts) for relay, counts in found.items()}


class _Coverage:
    """The share of the runs due in a period that were made.

    What a monitor that ran has missed or skipped is in its counters. For the time in which none was scraped, each probe
    is taken to have been due as in the time for which there are samples. That time is estimated at `SAMPLES` moments.
    """

    def __init__(self, client: PrometheusClient, config: Config, period: Period) -> None:
        self._locations = config.locations
        self._runs = _increase(client, config, period, RUNS, ("relay", "probe", "location", "result"))
        step = max(config.prometheus.scrape_interval, period.seconds // SAMPLES)
        # Whatever the target's labels were meanwhile.
        series = f'max by (relay, probe, location) ({RUNS}{{install="{config.install}", result="started"}})'
        samples = _table(client, period, f"count_over_time(({series})[{_length(period)}:{show_duration(step)}])", KEY)
        self._observed = {key: min(1.0, count * step / period.seconds) for key, count in samples.items()}

    def of(self, relay: str, probes: list[str]) -> float:
        """Return the mean over all configured locations and these probes of the relay."""
        keys = [(relay, probe, location) for probe in probes for location in self._locations]
        return sum(map(self._of_probe, keys)) / len(keys) if keys else 0.0

    def _of_probe(self, key: tuple[str, ...]) -> float:
        made = self._runs.get((*key, "started"), 0.0)
        due = sum(self._runs.get((*key, result), 0.0) for result in ("started", "missed", "skipped"))
        return self._observed.get(key, 0.0) * made / due if due > 0 else 0.0


def _length(period: Period) -> str:
    return show_duration(float(round(period.seconds)))


def _increase(client: PrometheusClient, config: Config, period: Period, name: str, by: tuple[str, ...]) -> Table:
    series = f'{name}{{install="{config.install}"}}[{_length(period)}]'
    return _table(client, period, f"sum by ({', '.join(by)}) (increase({series}))", by)


def _table(client: PrometheusClient, period: Period, query: str, by: tuple[str, ...]) -> Table:
    return dict(_rows(client, period, query, by))


def _rows(
    client: PrometheusClient, period: Period, query: str, by: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], float]]:
    for labels, value in client.query(query, at=period.end.timestamp()):
        yield tuple(labels.get(name, "") for name in by), value
