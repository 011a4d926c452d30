"""The metrics of prometheus_client whose exemplars have the time of what was measured.

prometheus_client gives an exemplar the time of the call, and reports are counted up to a scrape interval later.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, NamedTuple

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.samples import Exemplar as ClientExemplar

if TYPE_CHECKING:
    from monitor.metrics.declared import MetricSpec

disable_created_metrics()  # type: ignore[no-untyped-call]


class Exemplar(NamedTuple):
    """The run that a value is of, and the Unix time of the exchange that was measured, 0 if it is not known."""

    run_id: str
    value: float
    at: float

    def of_client(self) -> ClientExemplar:
        """The same for prometheus_client."""
        return ClientExemplar({"run_id": self.run_id}, self.value, self.at or None)


class TimedCounter(Counter):
    """A counter with the time of its exemplar."""

    def count(self, amount: float, exemplar: Exemplar | None) -> None:
        """Add `amount`."""
        self.inc(amount)
        if exemplar is not None:
            self._value.set_exemplar(exemplar.of_client())


class TimedHistogram(Histogram):
    """A histogram with the times of its exemplars."""

    def observe_run(self, value: float, run_id: str, at: float) -> None:
        """Count a value in seconds, with its run and the Unix time of its exchange, 0 if that is not known."""
        self.observe(value)
        bucket = self._buckets[bisect_left(self._upper_bounds, value)]
        bucket.set_exemplar(Exemplar(run_id, value, at).of_client())


def family_of(item: MetricSpec, name: str, buckets: tuple[float, ...]) -> Any:
    """All series of a metric under `name`; `buckets` are the upper bounds of a histogram."""
    if item.kind == "counter":
        return TimedCounter(name.removesuffix("_total"), item.help, item.labels, registry=None)
    if item.kind == "gauge":
        return Gauge(name, item.help, item.labels, registry=None)
    return TimedHistogram(name, item.help, item.labels, registry=None, buckets=buckets)
