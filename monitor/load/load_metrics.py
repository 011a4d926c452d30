"""The series of a load test that a monitor does not have: the ramp-up, connects, failures and exact latencies.

They are read from the test's statistics at each scrape, in the server's thread. That thread copies each counter before
it reads it, which the event loop cannot interrupt.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from prometheus_client import Metric
from prometheus_client.registry import Collector

from monitor.load import facts
from monitor.load.sketch import Sketch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from monitor.clock import Clock
    from monitor.load.plan import Plan
    from monitor.load.statistics import LoadStatistics

PAIRS: Final = "relay_load_pairs"
CONNECTS: Final = "relay_load_connects"
RETRIES: Final = "relay_load_connect_retries"
ERRORS: Final = "relay_load_errors"
LATENCY: Final = "relay_load_latency_seconds"
START: Final = "relay_load_start_time_seconds"
PLANNED: Final = "relay_load_planned_seconds"

LATENCIES: Final = {name: text.lower() for name, text in facts.LATENCIES.items()}
"""The values of the label `latency` by the name of the sketch: those of the report."""

SHARES: Final = {"0": 0.0, **{f"{share:g}": share for share in facts.QUANTILES.values()}, "1": 1.0}
"""The quantiles that are exported, by the value of the label; 0 and 1 are the minimum and the maximum."""


class LoadCollector(Collector):
    """Exports the state of a running test. `labels` are those of its other series."""

    def __init__(self, plan: Plan, statistics: LoadStatistics, clock: Clock, labels: Mapping[str, str]) -> None:
        self._plan = plan
        self._statistics = statistics
        self._clock = clock
        self._labels = dict(labels)
        self._errors: set[str] = set()

    def describe(self) -> list[Metric]:
        """Return nothing: what there is to export is known at a scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        statistics, totals = self._statistics, self._statistics.totals
        elapsed = self._clock.monotonic() - statistics.began
        yield self._metric(
            PAIRS,
            "gauge",
            "Pairs, or connections of a scenario without pairs: planned, due by now in the ramp-up, started, open.",
            "state",
            {
                "planned": len(self._plan.numbers),
                "due": self._plan.due(elapsed),
                "started": statistics.started,
                "open": statistics.active,
            },
        )
        yield self._metric(
            CONNECTS,
            "counter",
            "Pairs or connections that connected at once, connected after retries, or failed.",
            "outcome",
            {"immediate": totals.immediate, "recovered": totals.recovered, "failed": totals.failed},
        )
        yield self._single(RETRIES, "counter", "Connects that were tried again.", totals.retries)
        yield self._failures(totals.reasons.copy())
        yield self._latencies()
        began = self._clock.time() - elapsed
        yield self._single(START, "gauge", "Unix time at which the test began.", began)
        yield self._single(PLANNED, "gauge", "How long the test takes without errors.", self._plan.seconds)

    def _metric(self, name: str, kind: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
        metric = Metric(name, text, kind)
        for value, number in values.items():
            metric.add_sample(f"{name}_total" if kind == "counter" else name, self._labels | {label: value}, number)
        return metric

    def _single(self, name: str, kind: str, text: str, value: float) -> Metric:
        metric = Metric(name, text, kind)
        metric.add_sample(f"{name}_total" if kind == "counter" else name, self._labels, value)
        return metric

    def _failures(self, reasons: Counter[str]) -> Metric:
        """Return the failures; a new pair of step and reason is 0 at its first scrape, so that `increase` sees it."""
        metric = Metric(ERRORS, "Failed connects, pairings and exchanges, by the first failure of each.", "counter")
        for name, count in sorted(reasons.items()):
            step, _, reason = name.partition("/")
            shown = count if name in self._errors else 0
            metric.add_sample(f"{ERRORS}_total", self._labels | {"step": step, "reason": reason}, shown)
        self._errors.update(reasons)
        return metric

    def _latencies(self) -> Metric:
        """Return the quantiles of all latencies of the test so far, from the same sketches as the report's."""
        metric = Metric(LATENCY, "Latencies of the test so far, exact to three digits.", "summary")
        for name, sketch in self._statistics.totals.sketches.items():
            copied = _copy(sketch)
            labels = self._labels | {"latency": LATENCIES[name]}
            for quantile, seconds in quantiles(copied).items():
                metric.add_sample(LATENCY, labels | {"quantile": quantile}, seconds)
            metric.add_sample(f"{LATENCY}_count", labels, copied.count)
            metric.add_sample(f"{LATENCY}_sum", labels, copied.total)
        return metric


def _copy(sketch: Sketch) -> Sketch:
    copied = Sketch()
    copied.minimum, copied.maximum, copied.total = sketch.minimum, sketch.maximum, sketch.total
    copied.counts = Counter(dict(sketch.counts))
    return copied


def quantiles(sketch: Sketch) -> dict[str, float]:
    """Return the quantiles of a sketch by the value of their label; none if it is empty."""
    if not sketch.counts:
        return {}
    return {name: sketch.quantile(share) for name, share in SHARES.items() if 0.0 < share < 1.0} | {
        "0": sketch.minimum,
        "1": sketch.maximum,
    }
