"""Counters, gauges and histograms with labels, and their text.

prometheus_client takes seconds to render the series of 200 relays, and three times the memory. A series here keeps the
part of its lines that never changes, so that only numbers are formatted at a scrape. A family is also a collector of
prometheus_client, for its registry and the push gateway.

The event loop changes series while another thread renders: a page may show a change in some of its lines only.
"""

from __future__ import annotations

from bisect import bisect_left
from math import isfinite, isnan
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from prometheus_client import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as SampleExemplar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_ESCAPED: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def is_plain(text: str) -> bool:
    """Return True if nothing in `text` must be escaped."""
    return '"' not in text and "\\" not in text and "\n" not in text


def escaped(text: str) -> str:
    """Escape a label's value or a help text."""
    return text.translate(_ESCAPED)


class Exemplar(NamedTuple):
    """The run that a value is of, and the Unix time of the exchange that was measured, 0 if it is not known."""

    run_id: str
    value: float
    at: float

    def __str__(self) -> str:
        return f' # {{run_id="{self.run_id}"}} {_number(self.value)}{f" {self.at:.3f}" if self.at else ""}'


class Buckets:
    """The upper bounds of a histogram's buckets in seconds, ascending, and the end of each bucket's line."""

    __slots__ = ("edges", "ends")

    def __init__(self, edges: Sequence[float]) -> None:
        self.edges = (*edges, float("inf"))
        self.ends = tuple(f',le="{_number(edge)}"}} ' for edge in self.edges)


class Counter:
    """A series that only increases."""

    __slots__ = ("_line", "exemplar", "value")

    def __init__(self, name: str, labels: str, _: Buckets) -> None:
        self._line = f"{name}{{{labels}}} "
        self.value = 0.0
        self.exemplar: Exemplar | None = None

    def inc(self, amount: float = 1.0, exemplar: Exemplar | None = None) -> None:
        """Add `amount`. Raises `ValueError` if it is negative."""
        if amount < 0:
            raise ValueError("a counter cannot decrease")
        self.value += amount
        if exemplar is not None:
            self.exemplar = exemplar

    def lines(self, add: Callable[[str], None], *, exemplars: bool) -> None:
        """Add the lines of this series."""
        own = self.exemplar if exemplars else None
        add(f"{self._line}{_number(self.value)}{own or ''}\n")

    def samples(self, metric: Metric, labels: dict[str, str]) -> None:
        """Add the samples of this series to a metric of prometheus_client."""
        metric.add_sample(f"{metric.name}_total", labels, self.value, exemplar=_of_client(self.exemplar))


class Gauge:
    """A series that can have any value."""

    __slots__ = ("_line", "_read", "value")

    def __init__(self, name: str, labels: str, _: Buckets) -> None:
        self._line = f"{name}{{{labels}}} "
        self.value = 0.0
        self._read: Callable[[], float] | None = None

    def set(self, value: float) -> None:
        """Set the value."""
        self.value = float(value)

    def set_function(self, read: Callable[[], float]) -> None:
        """Read the value from a function whenever it is rendered."""
        self._read = read

    def lines(self, add: Callable[[str], None], *, exemplars: bool) -> None:  # noqa: ARG002 - as the others
        """Add the lines of this series."""
        add(f"{self._line}{_number(self.value if self._read is None else self._read())}\n")

    def samples(self, metric: Metric, labels: dict[str, str]) -> None:
        """Add the samples of this series to a metric of prometheus_client."""
        metric.add_sample(metric.name, labels, self.value if self._read is None else float(self._read()))


class Histogram:
    """Observations in seconds, counted in buckets."""

    __slots__ = ("_buckets", "_counts", "_exemplars", "_labels", "_name", "_sum")

    def __init__(self, name: str, labels: str, buckets: Buckets) -> None:
        self._name, self._labels, self._buckets = name, labels, buckets
        self._counts = [0] * len(buckets.edges)
        self._sum = 0.0
        self._exemplars: dict[int, Exemplar] | None = None

    def observe(self, value: float, run_id: str = "", at: float = 0.0) -> None:
        """Count a value, with the run and the Unix time of its exchange as exemplar if there is a `run_id`."""
        index = bisect_left(self._buckets.edges, value)
        self._counts[index] += 1
        self._sum += value
        if run_id:
            if self._exemplars is None:
                self._exemplars = {}
            self._exemplars[index] = Exemplar(run_id, value, at)

    def lines(self, add: Callable[[str], None], *, exemplars: bool) -> None:
        """Add the lines of this series."""
        own = (self._exemplars if exemplars else None) or {}
        start = f"{self._name}_bucket{{{self._labels}"
        total = 0
        for index, (end, count) in enumerate(zip(self._buckets.ends, self._counts[:], strict=True)):
            total += count
            add(f"{start}{end}{total}{own.get(index, '') if own else ''}\n")
        add(f"{self._name}_count{{{self._labels}}} {total}\n{self._name}_sum{{{self._labels}}} {_number(self._sum)}\n")

    def samples(self, metric: Metric, labels: dict[str, str]) -> None:
        """Add the samples of this series to a metric of prometheus_client."""
        total = 0
        for index, (edge, count) in enumerate(zip(self._buckets.edges, self._counts[:], strict=True)):
            total += count
            exemplar = _of_client((self._exemplars or {}).get(index))
            metric.add_sample(f"{metric.name}_bucket", {**labels, "le": _number(edge)}, float(total), exemplar=exemplar)
        metric.add_sample(f"{metric.name}_count", labels, float(total))
        metric.add_sample(f"{metric.name}_sum", labels, self._sum)


Series = Counter | Gauge | Histogram
_KINDS: Final[dict[str, type[Series]]] = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}


class Family(Collector):
    """All series of one metric. `edges` are those of a histogram.

    `old` is a family whose series it takes over when they are asked for.
    """

    def __init__(
        self, name: str, kind: str, help_text: str, labels: Sequence[str], edges: Sequence[float] = ()
    ) -> None:
        self.name = name.removesuffix("_total") if kind == "counter" else name
        self.old: Family | None = None
        self._name, self._kind, self._help = name, kind, help_text
        self._label_names = tuple(labels)
        self._template = ",".join(f'{name}="%s"' for name in labels)
        self._buckets = Buckets(edges)
        self._series: dict[tuple[str, ...], Series] = {}

    def __len__(self) -> int:
        return len(self._series)

    def __contains__(self, values: tuple[str, ...]) -> bool:
        return values in self._series

    def labels(self, *values: str) -> Any:
        """The series with these label values, a `Counter`, `Gauge` or `Histogram`; it is created at 0 if need be."""
        series = self._series.get(values)
        if series is None and (series := self._inherited(values)) is not None:
            self._series[values] = series
        if series is None:
            text = self._template % (values if is_plain("".join(values)) else tuple(map(escaped, values)))
            series = self._series[values] = _KINDS[self._kind](self._name, text, self._buckets)
        return series

    def _inherited(self, values: tuple[str, ...]) -> Series | None:
        """The series of the old family, if it has the same buckets."""
        old = self.old
        if old is None or old._buckets.edges != self._buckets.edges:  # noqa: SLF001 - of the same class
            return None
        return old._series.get(values)  # noqa: SLF001 - likewise

    def empty(self, labels: Sequence[str]) -> Family:
        """The same family without series and with other labels."""
        return Family(self._name, self._kind, self._help, labels, self._buckets.edges[:-1])

    def remove(self, *values: str) -> None:
        """Remove the series with these label values, if there is one."""
        self._series.pop(values, None)

    def text(self, *, openmetrics: bool) -> str:
        """The page's part with this family."""
        shown = self.name if openmetrics else self._name
        help_text = escaped(self._help) if openmetrics else self._help
        parts = [f"# HELP {shown} {help_text}\n# TYPE {shown} {self._kind}\n"]
        for series in list(self._series.values()):
            series.lines(parts.append, exemplars=openmetrics)
        return "".join(parts)

    def describe(self) -> Iterator[Metric]:
        """The metric without samples, for a registry of prometheus_client."""
        yield Metric(self.name, self._help, self._kind)

    def collect(self) -> Iterator[Metric]:
        """The metric with its samples, for a registry of prometheus_client."""
        for metric in self.describe():
            for values, series in list(self._series.items()):
                series.samples(metric, dict(zip(self._label_names, values, strict=True)))
            yield metric


def _number(value: float) -> str:
    """Format a number as Prometheus reads it."""
    if isfinite(value):
        return repr(value)
    return "NaN" if isnan(value) else "+Inf" if value > 0 else "-Inf"


def _of_client(exemplar: Exemplar | None) -> SampleExemplar | None:
    if exemplar is None:
        return None
    return SampleExemplar({"run_id": exemplar.run_id}, exemplar.value, exemplar.at or None)
