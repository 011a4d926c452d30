"""What the bars of a dashboard count, and what its counters counted."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from tests.slo.dashboards.promql import selectors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.dashboards.frames import Response
    from tests.dashboards.page import DrawnPanel
    from tests.dashboards.prometheus import Prometheus, Samples

EXACT: Final = 0.01
EXTRAPOLATED: Final = 0.10
"""Shares by which the sum of bars may differ; `increase` extrapolates to the ends of its window."""

SCRAPED: Final = 300.0
"""Seconds that the last sample before a bar is old at most."""

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Sum:
    """The bars of one series: their sum, and by how much the counters behind them grew in the same time.

    `unseen` is what the counters at both ends of an interval do not tell: what was counted in it before a restart.
    """

    panel: str
    labels: Labels
    drawn: float
    counted: float
    tolerance: float
    unseen: float = 0.0

    @property
    def is_right(self) -> bool:
        """Whether both are equal within the tolerance."""
        return abs(self.drawn - self.counted) <= self.tolerance * self.counted + self.unseen + 1e-6


def increments(samples: Samples, start: float, step: float) -> tuple[float, float]:
    """Return by how much a counter grew after `start`, and how much of that the ends of the intervals do not show.

    A counter begins at 0, and after a reset again.
    """
    before = 0.0
    intervals: dict[int, list[float]] = defaultdict(list)
    for at, value in zip(samples.times, samples.values, strict=True):
        if value is None:
            continue
        if at > start:
            intervals[math.ceil((at - start) / step)].append(value)
        else:
            before = value
    grown = unseen = 0.0
    for values in intervals.values():
        counted = sum(_growth(*both) for both in pairwise((before, *values)))
        grown += counted
        unseen += counted - _growth(before, values[-1])
        before = values[-1]
    return grown, unseen


def _growth(before: float, value: float) -> float:
    return value - before if value >= before else value


def sums(panel: DrawnPanel, prometheus: Prometheus) -> Iterator[Sum]:
    """Yield the sum of each series of bars that counts events, and of each one that should have been drawn.

    Of bars of the label sets with most events, and of all others together, it yields the sum of all.
    """
    for response in panel.responses:
        counters = _counters(response)
        if response.steps is None or not counters:
            continue
        drawn = {tuple(sorted(frame.labels.items())): sum(frame.numbers) for frame in response.frames}
        steps = response.steps
        # A bar counts the interval that ends at its time, from the last sample before that.
        start = steps.start - steps.step
        counted: dict[Labels, float] = defaultdict(float)
        unseen: dict[Labels, float] = defaultdict(float)
        if "topk(" in response.expr:
            drawn = {(): sum(drawn.values())}
        names = {name for labels in drawn for name, _ in labels}
        for selector in counters:
            for samples in prometheus.raw(selector, start - SCRAPED, steps.end):
                labels = tuple(sorted((name, value) for name, value in samples.labels.items() if name in names))
                grown, hidden = increments(samples, start, steps.step)
                counted[labels] += grown
                unseen[labels] += hidden
        tolerance = EXTRAPOLATED if "increase(" in response.expr and "offset" not in response.expr else EXACT
        for labels in drawn.keys() | {labels for labels, count in counted.items() if count}:
            yield Sum(panel.title, labels, drawn.get(labels, 0.0), counted[labels], tolerance, unseen[labels])


def _counters(response: Response) -> list[str]:
    """Return the selectors of the counters that a query counts, each once; none if it is a ratio or a rate."""
    found = list(selectors(response.expr))
    if any(part in response.expr for part in ("rate(", "histogram_quantile(", " / ")):
        return []
    texts = set()
    for item in found:
        if item.name.endswith("_total") or item.name.startswith("centrifugo_client_num"):
            matchers = ", ".join(f'{label}{how}"{value}"' for label, how, value in item.matchers)
            texts.add(f"{item.name}{{{matchers}}}")
    return sorted(texts)


def is_bars(panel: dict[str, Any]) -> bool:
    """Return whether a panel draws bars."""
    custom = panel.get("fieldConfig", {}).get("defaults", {}).get("custom", {})
    return bool(custom.get("drawStyle") == "bars")


def wrong(found: Sequence[Sum]) -> list[Sum]:
    """Return the sums that differ from the counters."""
    return [item for item in found if not item.is_right]
