"""The metrics of prometheus_client whose exemplars have the time of what was measured, and that encode themselves.

prometheus_client gives an exemplar the time of the call, and reports are counted up to a scrape interval later.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from prometheus_client import Counter, Gauge, Histogram, Metric, disable_created_metrics
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.samples import Exemplar as ClientExemplar

from monitor.metrics.exposition import exemplar_text, joined, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from monitor.metrics.declared import MetricSpec
    from monitor.metrics.exposition import Series

disable_created_metrics()  # type: ignore[no-untyped-call]


class Exemplar(NamedTuple):
    """The run that a value is of, and the Unix time of the exchange that was measured, 0 if it is not known."""

    run_id: str
    value: float
    at: float

    def of_client(self) -> ClientExemplar:
        """The same for prometheus_client."""
        return ClientExemplar({"run_id": self.run_id}, self.value, self.at or None)


class EncodedFamily(MetricWrapperBase):
    """All series of a metric, or one of them, as `exposition.Exposition` encodes it."""

    @property
    def metric(self) -> Metric:
        """See `exposition.Family`."""
        return Metric(self._name, self._documentation, self._type or "unknown")

    @property
    def sample_name(self) -> str:
        """See `exposition.Family`."""
        return f"{self._name}_total" if self._type == "counter" else self._name

    @property
    def label_names(self) -> tuple[str, ...]:
        """See `exposition.Family`."""
        return tuple(self._labelnames)

    def children(self) -> Mapping[tuple[str, ...], Series]:
        """See `exposition.Family`."""
        with self._lock:
            children: dict[Any, Any] = self._metrics.copy()
            return children

    def lines(self, name: str, labels: tuple[str, str], *, exemplars: bool) -> Iterator[str]:
        """See `exposition.Series`."""
        (sample,) = self._child_samples()
        exemplar = exemplar_text(sample.exemplar) if exemplars else ""
        yield f"{name}{{{joined(labels)}}} {number(sample.value)}{exemplar}\n"


class EncodedGauge(Gauge, EncodedFamily):
    """A gauge."""


class TimedCounter(Counter, EncodedFamily):
    """A counter with the time of its exemplar."""

    def count(self, amount: float, exemplar: Exemplar | None) -> None:
        """Add `amount`."""
        self.inc(amount)
        if exemplar is not None:
            self._value.set_exemplar(exemplar.of_client())


class TimedHistogram(Histogram, EncodedFamily):
    """A histogram with the times of its exemplars."""

    def lines(self, name: str, labels: tuple[str, str], *, exemplars: bool) -> Iterator[str]:
        """See `exposition.Series`."""
        before, after = labels
        begin, total = f'{name}_bucket{{{before}le="', 0.0
        for bound, bucket in zip(_bounds(tuple(self._upper_bounds)), self._buckets, strict=True):
            total += bucket.get()
            exemplar = exemplar_text(bucket.get_exemplar()) if exemplars else ""
            yield f'{begin}{bound}"{after}}} {number(total)}{exemplar}\n'
        text = joined(labels)
        yield f"{name}_count{{{text}}} {number(total)}\n"
        yield f"{name}_sum{{{text}}} {number(self._sum.get())}\n"

    def observe_run(self, value: float, run_id: str, at: float) -> None:
        """Count a value in seconds, with its run and the Unix time of its exchange, 0 if that is not known."""
        self.observe(value)
        bucket = self._buckets[bisect_left(self._upper_bounds, value)]
        bucket.set_exemplar(Exemplar(run_id, value, at).of_client())


@lru_cache(maxsize=16)
def _bounds(bounds: tuple[float, ...]) -> tuple[str, ...]:
    """Return the bounds of buckets as text."""
    return tuple(map(number, bounds))


def family_of(item: MetricSpec, name: str, buckets: tuple[float, ...]) -> Any:
    """All series of a metric under `name`; `buckets` are the upper bounds of a histogram."""
    if item.kind == "counter":
        return TimedCounter(name.removesuffix("_total"), item.help, item.labels, registry=None)
    if item.kind == "gauge":
        return EncodedGauge(name, item.help, item.labels, registry=None)
    return TimedHistogram(name, item.help, item.labels, registry=None, buckets=buckets)
