"""The results of a panel's queries."""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.dashboards.prometheus import QueryError
from tests.dashboards.time_range import Steps, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.dashboards.prometheus import Prometheus
    from tests.dashboards.time_range import TimeRange
    from tests.dashboards.variables import Variables


MARK_POINTS: Final = 100
"""Points that an annotation's query asks for."""

CALCULATIONS: Final[Mapping[str, Callable[[list[float]], float]]] = {
    "lastNotNull": lambda numbers: numbers[-1],
    "firstNotNull": lambda numbers: numbers[0],
    "mean": lambda numbers: sum(numbers) / len(numbers),
    "max": max,
    "min": min,
    "sum": sum,
}
"""What Grafana reduces the numbers of a series to, by its names."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One series of a result, with its legend; `step` is the seconds between two points."""

    name: str
    labels: dict[str, str]
    times: tuple[float, ...]
    values: tuple[float | None, ...]
    ref: str = "A"
    step: float = 0.0

    @property
    def numbers(self) -> list[float]:
        """The values that are numbers."""
        return [value for value in self.values if value is not None]

    def reduced(self, calculation: str) -> float | None:
        """Return one number for the series, by Grafana's name of the calculation; None without numbers."""
        if calculation == "last":
            return self.values[-1] if self.values else None
        numbers = self.numbers
        if not numbers:
            return None
        return CALCULATIONS[calculation](numbers)


@dataclass(frozen=True, slots=True)
class Response:
    """What one target of a panel returned; `steps` is None for an instant query."""

    target: dict[str, Any]
    expr: str
    steps: Steps | None
    frames: tuple[Frame, ...] = ()
    exemplars: tuple[tuple[float, float], ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """What queries are run with: the data source, its scrape interval, the time range and the variables."""

    prometheus: Prometheus
    scrape: float
    times: TimeRange
    variables: Variables

    def responses(self, panel: dict[str, Any], width: float) -> list[Response]:
        """Run the queries of a panel that is `width` pixels wide."""
        targets = [target for target in panel.get("targets", ()) if not target.get("hide")]
        return [self._response(panel, target, width) for target in targets]

    def _response(self, panel: dict[str, Any], target: dict[str, Any], width: float) -> Response:
        interval = target.get("interval") or panel.get("interval")
        minimum = None if not interval else seconds(self.variables.put_into(interval))
        steps = Steps.of(self.times, panel.get("maxDataPoints") or width, self.scrape, minimum)
        expr = self.variables.put_into(target["expr"], steps.macros(self.times))
        instant = bool(target.get("instant")) and not target.get("range")
        try:
            found = self.prometheus.at(expr, self.times.end) if instant else self.prometheus.at_each(expr, steps)
            exemplars = self.prometheus.exemplars(expr, self.times) if target.get("exemplar") and not instant else []
        except QueryError as error:
            return Response(target, expr, None if instant else steps, error=str(error))
        frames = tuple(
            Frame(
                self._legend(target, samples.labels),
                samples.labels,
                samples.times,
                samples.values,
                target.get("refId", "A"),
                steps.step,
            )
            for samples in found
        )
        return Response(target, expr, None if instant else steps, frames, tuple(sampled(exemplars, steps.step)))

    def _legend(self, target: dict[str, Any], labels: dict[str, str]) -> str:
        pattern = target.get("legendFormat")
        if pattern and pattern != "__auto":
            return self.variables.put_into(
                re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: labels.get(match[1], ""), pattern)
            )
        if len(labels) == 1 and "__name__" not in labels:
            return next(iter(labels.values()))
        remaining = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()) if name != "__name__")
        name = labels.get("__name__", "")
        return f"{name}{{{remaining}}}" if remaining or not name else name


def sampled(exemplars: list[tuple[float, float]], step: float) -> list[tuple[float, float]]:
    """Return the exemplars that Grafana draws: in each step those that differ by two standard deviations."""
    if len(exemplars) < 2:
        return exemplars
    apart = 2 * statistics.pstdev(value for _, value in exemplars)
    kept: list[tuple[float, float]] = []
    lowest: dict[float, float] = {}
    for at, value in sorted(exemplars, key=lambda item: -item[1]):
        bucket = at // step
        if bucket not in lowest or lowest[bucket] - value > apart:
            lowest[bucket] = value
            kept.append((at, value))
    return kept


@dataclass(frozen=True, slots=True)
class Mark:
    """An annotation's regions, each with its start and end."""

    name: str
    colour: str
    regions: list[tuple[float, float]] = field(default_factory=list)


def marks(source: Source, annotations: list[dict[str, Any]]) -> list[Mark]:
    """Run the enabled annotations: consecutive values above 0 of a series are a region."""
    times = source.times
    found = []
    for item in annotations:
        expr = item.get("expr") or (item.get("target") or {}).get("expr")
        if not expr or not item.get("enable", True):
            continue
        steps = Steps.of(times, MARK_POINTS, source.scrape, seconds(item.get("step") or "60s"))
        text = source.variables.put_into(expr, steps.macros(times))
        mark = Mark(item["name"], item.get("iconColor", "red"))
        for samples in source.prometheus.at_each(text, steps):
            active = [
                (at, value) for at, value in zip(samples.times, samples.values, strict=True) if value and value > 0
            ]
            # With `useValueForTime` the value is when it happened, in milliseconds.
            events = [value / 1000 if item.get("useValueForTime") else at for at, value in active]
            mark.regions.extend(region for region in _regions(events, steps.step) if region[1] >= times.start)
        found.append(mark)
    return found


def _regions(events: list[float], step: float) -> list[tuple[float, float]]:
    """Join times_of that are at most a step apart."""
    regions: list[tuple[float, float]] = []
    for when in events:
        if regions and when <= regions[-1][1] + step * 1.001:
            regions[-1] = (regions[-1][0], when)
        else:
            regions.append((when, when))
    return regions
