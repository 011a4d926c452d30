"""The samples that rules select, read from Prometheus part by part.

Raw samples come by instant queries of a range, as they were scraped. Prometheus leaves out its stale markers there:
where a series has a gap, a range query of the same selector says at which evaluation it was no longer there.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

from monitor.config import show_duration
from monitor.errors import RequestError
from monitor.simulation.promql import Series
from monitor.simulation.promql.evaluate import LOOKBACK
from monitor.simulation.ruler import direct_spans
from monitor.slo.rules.templates import quoted
from monitor.web.prometheus import PrometheusError, TooMuchDataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from monitor.simulation.promql import Labels
    from monitor.simulation.promql.parse import Selector
    from monitor.simulation.promql.series import Floats
    from monitor.web.prometheus import PrometheusClient, SampledSeries

QUERY_SAMPLES: Final = 200_000
"""Samples that a query should return: some 5 MB."""

FIRST_QUERY: Final = 900.0
"""Seconds of the first query of a selector, before it is known how many series it has."""

MAX_QUERY: Final = 86_400.0
"""Most seconds of a query."""

MIN_QUERY: Final = 60.0
"""Least seconds of a query: one that is refused is not divided further."""

MAX_SAMPLES: Final = 100_000_000
"""Samples held at once: 1.6 GB."""

GAP: Final = 1.5
"""Scrape intervals without a sample after which a series may have ended."""

MAX_GAP_QUERIES: Final = 20
"""Range queries of one selector's gaps in a part; with more gaps, one query reads all of the time between them."""

MAX_POINTS: Final = 5000
"""Evaluations of a range query; Prometheus allows 11,000."""

UP: Final = "count(count_over_time(up[{window}]))"
"""What shows that Prometheus itself recorded something: every scrape, failed or not, leaves a sample of `up`."""

UP_WINDOW: Final = 150.0
"""Least seconds without a sample of `up` after which Prometheus itself was down."""

Key = tuple[str, "Labels"]
Span = tuple[float, float]


class _Gap(NamedTuple):
    """A time after the sample at `last` in which a series has none, and that one may still count."""

    key: Key
    last: float
    start: float
    end: float

    def contains(self, at: float) -> bool:
        """Return whether an evaluation is in it."""
        return self.last < at and self.start <= at < self.end


@dataclass(slots=True)
class _Query:
    """A selector, the seconds that its next query reads, and those that none may exceed."""

    name: str
    text: str
    seconds: float = FIRST_QUERY
    max_seconds: float = MAX_QUERY


class Recorded:
    """Reads samples in the order of their times, and keeps those that a later evaluation reads.

    interval: seconds between two scrapes, as configured; what a series has of its own is measured.
    step: a divisor of the intervals of evaluation, at multiples of which stale markers are found.

    `read` is the number of samples, `first` the time of the earliest one. `unrecorded` are the times in which
    Prometheus was down: it evaluated no rule then.
    """

    def __init__(
        self, client: PrometheusClient, selectors: Iterable[Selector], *, interval: float, step: float
    ) -> None:
        self._client, self._interval, self._step = client, interval, step
        wanted = list(selectors)
        self._spans = direct_spans(wanted)
        self._queries = [_Query(each.name, _text(each)) for each in covering(wanted)]
        self._samples: dict[Key, tuple[Floats, Floats]] = {}
        self._kept = 0
        self.read = 0
        self.first = math.inf
        self.unrecorded: list[Span] = []

    def advance(self, start: float, end: float) -> list[Series]:
        """Return the series up to `end`, with what evaluations from `start` on read. Raises `PrometheusError`."""
        for query in self._queries:
            self._read(query, start, end)
        for query in self._queries:
            self._mark_stale(query, start, end)
        self.unrecorded += self._find_unrecorded(start, end)
        shared: dict[bytes, Floats] = {}
        series = []
        for (name, of), (times, values) in self._samples.items():
            # Look-ups are made once for series that share their times.
            series.append(Series(name, of, shared.setdefault(times.tobytes(), times), values))
        self._trim(end)
        return series

    def _read(self, query: _Query, start: float, end: float) -> None:
        while start < end:
            upper = min(start + query.seconds, end)
            try:
                found = self._client.samples(query.text, start, upper)
            except TooMuchDataError:
                if query.seconds <= MIN_QUERY:
                    raise
                query.seconds = query.max_seconds = max((upper - start) / 2, MIN_QUERY)
                continue
            number = self._add(query, found)
            suitable = (upper - start) * QUERY_SAMPLES / number if number else MAX_QUERY
            query.seconds = min(max(suitable, MIN_QUERY), 4 * query.seconds, query.max_seconds)
            start = upper

    def _add(self, query: _Query, found: Sequence[SampledSeries]) -> int:
        """Keep the samples of a response, and return how many it has."""
        read = self.read
        for each in found:
            times, values = samples_of(each)
            self.read += len(times)
            key = _key(each, query.name)
            earlier = self._samples.get(key)
            if earlier is not None:
                # Successive queries share their edges, and selectors may share series.
                new = times > earlier[0][-1]
                times, values = (np.concatenate(pair) for pair in zip(earlier, (times[new], values[new]), strict=True))
            if len(times):
                self._samples[key] = times, values
                self._kept += len(times) - (0 if earlier is None else len(earlier[0]))
                self.first = min(self.first, float(times[0]))
        if self._kept > MAX_SAMPLES:
            raise RequestError(
                f"the rules select more than {MAX_SAMPLES:,} samples of a few hours; replay the relays of one install"
            )
        return self.read - read

    def _mark_stale(self, query: _Query, start: float, end: float) -> None:
        """Add a marker, NaN, at the first evaluation at which a series was not there although it had a sample before.

        Without one its last sample would count for `LOOKBACK`, which is right only if Prometheus itself was down.
        """
        gaps = [gap for key in self._samples if key[0] == query.name for gap in self._gaps(key, start, end)]
        absent: dict[_Gap, list[float]] = defaultdict(list)
        for lower, upper in _joined(gaps):
            at, there = self._evaluated(query.text, query.name, lower, upper)
            for gap in gaps:
                known = there.get(gap.key, set())
                absent[gap] += [time for time in at if gap.contains(time) and time not in known]
        for gap, evaluations in absent.items():
            if evaluations:
                first = min(evaluations)
                times, values = self._samples[gap.key]
                index = int(np.searchsorted(times, first))
                self._samples[gap.key] = np.insert(times, index, first), np.insert(values, index, np.nan)

    def _find_unrecorded(self, start: float, end: float) -> Iterator[Span]:
        """Yield the times without a sample of any series, nor of `up`, if that was recorded before."""
        lower = max(start, self.first)
        times = [times[np.searchsorted(times, lower) :] for times, _ in self._samples.values()]
        edges = np.unique(np.concatenate([np.array([lower, end]), *times])) if lower < end else np.empty(0)
        window = max(UP_WINDOW, 2 * self._interval)
        for index in np.flatnonzero(np.diff(edges) > window):
            last, following = float(edges[index]), float(edges[index + 1])
            expr = UP.format(window=show_duration(window))
            at, there = self._evaluated(expr, "", last - self._step, following)
            known = there.get(("", ()), set())
            down = [time for time in at if time not in known and last < time < following]
            if down and (known or self.unrecorded):
                yield down[0], down[-1]

    def _evaluated(
        self, expression: str, name: str, start: float, end: float
    ) -> tuple[list[float], dict[Key, set[float]]]:
        """Return the evaluations from `start` to `end`, and those of them at which each series is there."""
        numbers = range(math.ceil(start / self._step), math.floor(end / self._step) + 1)
        there: dict[Key, set[float]] = defaultdict(set)
        for part in range(0, len(numbers), MAX_POINTS):
            first, last = (self._step * numbers[part : part + MAX_POINTS][edge] for edge in (0, -1))
            for each in self._client.evaluated(expression, first, last, self._step):
                there[_key(each, name)] |= set(np.round(samples_of(each)[0], 3).tolist())
        return [round(self._step * number, 3) for number in numbers], there

    def _gaps(self, key: Key, start: float, end: float) -> Iterator[_Gap]:
        times, values = self._samples[key]
        usual = float(np.median(np.diff(times))) if len(times) > 2 else self._interval  # noqa: PLR2004
        begin = max(int(np.searchsorted(times, start, side="right")) - 1, 0)
        edges = np.append(times[begin:], end)
        for index in np.flatnonzero(np.diff(edges) > GAP * usual):
            last = float(edges[index])
            gap = _Gap(key, last, max(last, start), min(float(edges[index + 1]), last + LOOKBACK))
            if gap.end > gap.start and not math.isnan(values[begin + index]):
                yield gap

    def _trim(self, end: float) -> None:
        self._kept = 0
        for key, (times, values) in [*self._samples.items()]:
            kept = int(np.searchsorted(times, end - self._spans.get(key[0], 0.0)))
            if kept == len(times):
                del self._samples[key]
            else:
                self._samples[key] = times[kept:], values[kept:]
                self._kept += len(times) - kept


def covering(selectors: Iterable[Selector]) -> list[Selector]:
    """Return the selectors that together select everything, without those that another one covers.

    Raises `RequestError`.
    """
    by_name: dict[str, dict[frozenset[tuple[str, str, str]], Selector]] = defaultdict(dict)
    for each in selectors:
        if not each.name:
            raise RequestError("the rules have a selector without a metric name, which a replay cannot read")
        by_name[each.name].setdefault(frozenset(each.matchers), each)
    return [
        each
        for of_name in by_name.values()
        for matchers, each in of_name.items()
        if not any(other < matchers for other in of_name)
    ]


def samples_of(series: SampledSeries) -> tuple[Floats, Floats]:
    """Return times and values. Raises `PrometheusError` if they are not pairs of numbers.

    There are millions of them: a flat list of numbers is decoded three times as fast as pairs with a text.
    """
    text = bytes(series.values)
    try:
        if b"N" in text or b"I" in text:  # NaN, Inf: JSON has no such numbers
            pairs = msgspec.json.decode(text, type=list[tuple[float, str]])
            numbers = np.array([number for at, value in pairs for number in (at, float(value))])
        else:
            numbers = np.array(msgspec.json.decode(b"[%b]" % text.translate(None, b'[]"'), type=list[float]))
    except ValueError:
        numbers = np.empty(0)
    if len(numbers) != 2 * (text.count(b"[") - 1):
        raise PrometheusError("its response has samples that are not numbers")
    return numbers[::2].copy(), numbers[1::2].copy()


def _key(series: SampledSeries, name: str) -> Key:
    """Return name and labels; `name` is that of a result without one."""
    labels = {label: value for label, value in series.metric.items() if label != "__name__"}
    return series.metric.get("__name__", name), tuple(sorted(labels.items()))


def _text(selector: Selector) -> str:
    matchers = ", ".join(f"{label}{operator}{quoted(value)}" for label, operator, value in selector.matchers)
    return f"{selector.name}{{{matchers}}}"


def _joined(gaps: Sequence[_Gap]) -> list[Span]:
    """Return the spans of time that the gaps cover; if they are too many, the whole time of them."""
    spans: list[Span] = []
    for gap in sorted(gaps, key=lambda each: each.start):
        if spans and gap.start <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(spans[-1][1], gap.end)
        else:
            spans.append((gap.start, gap.end))
    if len(spans) > MAX_GAP_QUERIES:
        return [(spans[0][0], max(end for _, end in spans))]
    return spans
