"""Prometheus' rule evaluation on simulated series: groups, recorded series, `for` and `keep_firing_for`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from monitor.simulation.promql import Evaluator, PromqlError, Series
from monitor.slo.rules.rule import Alert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from monitor.simulation.promql import Labels, Store
    from monitor.simulation.promql.series import Floats
    from monitor.slo.rules.rule import Group, Record

_LABEL: Final = re.compile(r"\{\{\s*\$labels\.(\w+)\s*\}\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """One alert instance: it fires from `start` until it is resolved at `end`, infinite if that is not simulated."""

    alert: str
    labels: Labels
    start: float
    end: float

    @property
    def severity(self) -> str:
        """Its severity."""
        return dict(self.labels).get("severity", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruler:
    """Evaluates rule groups every `interval` seconds, or at their own intervals.

    phase: returns the time of a group's first evaluation after 0, by the group's name and interval.
    """

    groups: Sequence[Group]
    interval: float
    phase: Callable[[str, float], float]
    common_labels: Mapping[str, str]
    version: int = 3

    def run(
        self, store: Store, start: float, end: float, wanted: Callable[[Alert], bool] = lambda _: True
    ) -> list[Firing]:
        """Return what fires from `start` to `end`, and add the recorded series to `store`. Raises `PromqlError`."""
        found: list[Firing] = []
        for group in self.groups:
            interval = max(self.interval, group.interval or 0.0) if group.interval else self.interval
            phase = self.phase(group.name, interval)
            first = math.ceil((start - phase) / interval)
            steps = np.arange(first, math.floor((end - phase) / interval) + 1, dtype=np.float64)
            at: Floats = phase + interval * steps
            if not len(at) or (
                not any(wanted(rule) for rule in group.rules if isinstance(rule, Alert))
                and all(isinstance(rule, Alert) for rule in group.rules)
            ):
                continue
            evaluator = Evaluator(store, at, version=self.version)
            for rule in group.rules:
                if isinstance(rule, Alert):
                    if wanted(rule):
                        found += self._alert(rule, evaluator, at)
                else:
                    _record(rule, evaluator, store, at)
        return sorted(found, key=lambda firing: firing.start)

    def _alert(self, rule: Alert, evaluator: Evaluator, at: Floats) -> Iterator[Firing]:
        static = {
            **self.common_labels,
            **rule.labels,
            "service": "relay-monitor",
            **({"severity": rule.severity} if rule.severity else {}),
        }
        for of, value in evaluator.vector(rule.expr).items():
            known = {name: text for name, text in of if name != "__name__"}
            made = known | {name: _expanded(text, known) for name, text in static.items()}
            of_alert = tuple(sorted((name, text) for name, text in {**made, "alertname": rule.name}.items() if text))
            for start, end in intervals(~np.isnan(value), at, rule.pending_for, rule.keep_firing_for):
                yield Firing(alert=rule.name, labels=of_alert, start=start, end=end)


def _record(rule: Record, evaluator: Evaluator, store: Store, at: Floats) -> None:
    for of, value in evaluator.vector(rule.expr).items():
        named = {name: text for name, text in of if name != "__name__"} | dict(rule.labels)
        series = Series(rule.name, tuple(sorted(named.items())), at, value)
        store.add(series)
        evaluator.added(series)


def intervals(
    active: NDArray[np.bool_], at: Floats, pending_for: float, keep_firing_for: float
) -> Iterator[tuple[float, float]]:
    """Yield when an alert fires, given at which evaluations its expression is true; an unknown end is infinite."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], active, [False])).astype(np.int8)))
    firing_since: float | None = None
    until = -math.inf  # when a firing alert is resolved, unless it is active again before
    for begin, stop in edges.reshape(-1, 2):
        if firing_since is not None and at[begin] > until:
            yield firing_since, until
            firing_since = None
        if firing_since is None:
            fires = np.flatnonzero(at[begin:stop] - at[begin] >= pending_for - 1e-6)
            if not len(fires):
                continue
            firing_since = float(at[begin + fires[0]])
        until = _resolved_at(at, stop, keep_firing_for)
    if firing_since is not None:
        yield firing_since, until


def _resolved_at(at: Floats, stop: int, keep_firing_for: float) -> float:
    """Return the first evaluation at which an alert is resolved that is inactive from evaluation `stop` on."""
    if stop >= len(at):
        return math.inf
    later = np.flatnonzero(at[stop:] - at[stop] >= keep_firing_for - 1e-6)
    return float(at[stop + later[0]]) if len(later) else math.inf


def _expanded(text: str, known: Mapping[str, str]) -> str:
    """Expand the templates of an alert's label."""
    expanded = _LABEL.sub(lambda match: known.get(match[1], ""), text)
    if "{{" in expanded:
        raise PromqlError(f"template {text!r} is not known")
    return expanded
