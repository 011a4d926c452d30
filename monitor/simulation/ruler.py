"""Prometheus' rule evaluation on simulated series: groups, recorded series, `for` and `keep_firing_for`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from monitor.simulation.promql import Evaluator, PromqlError, Series, selectors_of
from monitor.simulation.promql.evaluate import LOOKBACK
from monitor.slo.rules.rule import Alert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from monitor.simulation.promql import Labels, Store
    from monitor.simulation.promql.parse import Selector
    from monitor.simulation.promql.series import Floats
    from monitor.slo.rules.rule import Group, Record

Samples: TypeAlias = "tuple[Floats, Floats]"
"""Times and values, NaN for a stale marker."""

NOTHING: Final[Mapping[Labels, Samples]] = MappingProxyType({})

EARLIER: Final = 1e-3
"""Seconds by which a sample is older than those of the same evaluation."""

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


class Ruler:
    """Evaluates rule groups every `interval` seconds, or at their own intervals.

    phase: returns the time of a group's first evaluation after 0, by the group's name and interval.
    wanted: the alerts to evaluate; of the recording rules, those that these need are evaluated.
    version: Prometheus' major version.

    `history` is how far the wanted rules look back, in seconds.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        interval: float,
        phase: Callable[[str, float], float],
        *,
        common_labels: Mapping[str, str] | None = None,
        wanted: Callable[[Alert], bool] = lambda _: True,
        version: int = 3,
    ) -> None:
        self._interval, self._phase, self.version = interval, phase, version
        self._common_labels = common_labels or {}
        self._groups = needed(groups, wanted)
        self._spans = spans(self._groups)
        recorded = {rule.name for group in self._groups for rule in group.rules if not isinstance(rule, Alert)}
        self.history = max((span for name, span in self._spans.items() if name not in recorded), default=LOOKBACK)

    def run(self, store: Store, start: float, end: float) -> list[Firing]:
        """Return what fires from `start` to `end`, and add the recorded series to `store`. Raises `PromqlError`."""
        found: list[Firing] = []
        for group in self._groups:
            by_span: dict[float, tuple[Evaluator, Floats]] = {}
            for rule in group.rules:
                if isinstance(rule, Alert):
                    continue
                span = self._spans[rule.name]
                if span not in by_span:
                    at = self._times(group, start - span, end)
                    by_span[span] = Evaluator(store, at, version=self.version), at
                record(rule, *by_span[span], store)
                for evaluator, _ in by_span.values():
                    evaluator.forget(rule.name)
            alerts = [rule for rule in group.rules if isinstance(rule, Alert)]
            if alerts:
                at = self._times(group, start, end)
                evaluator = Evaluator(store, at, version=self.version)
                for alert in alerts:
                    found += self._alert(alert, evaluator, at)
        return sorted(found, key=lambda firing: firing.start)

    def _times(self, group: Group, start: float, end: float) -> Floats:
        interval = group.interval or self._interval
        return evaluation_times(start, end, interval, self._phase(group.name, interval))

    def _alert(self, rule: Alert, evaluator: Evaluator, at: Floats) -> Iterator[Firing]:
        for of, value in evaluator.vector(rule.expr).items():
            labels = alert_labels(rule, of, self._common_labels)
            for start, end in intervals(~np.isnan(value), at, rule.pending_for, rule.keep_firing_for):
                yield Firing(alert=rule.name, labels=labels, start=start, end=end)


def evaluation_times(start: float, end: float, interval: float, phase: float = 0.0) -> Floats:
    """Return the times from `start` to `end`, both included, at which a group is evaluated."""
    first, last = math.ceil((start - phase) / interval), math.floor((end - phase) / interval)
    times: Floats = phase + interval * np.arange(first, last + 1, dtype=np.float64)
    return times


def alert_labels(rule: Alert, of: Labels, common: Mapping[str, str]) -> Labels:
    """Return the labels of the alert that a rule raises for a label set. Raises `PromqlError`."""
    severity = {} if rule.capped else {"severity": rule.severity}
    static = {**common, **rule.labels, "service": "relay-monitor", **severity}
    known = {name: text for name, text in of if name != "__name__"}
    made = known | {name: _expanded(text, known) for name, text in static.items()}
    return tuple(sorted((name, text) for name, text in {**made, "alertname": rule.name}.items() if text))


def needed(groups: Sequence[Group], wanted: Callable[[Alert], bool]) -> list[Group]:
    """Return the groups with the wanted alerts, and the recording rules that they need; groups without are left out."""
    names: set[str] = set()
    kept: list[Group] = []
    for group in reversed(groups):
        rules = []
        for rule in reversed(group.rules):
            if wanted(rule) if isinstance(rule, Alert) else rule.name in names:
                names |= {each.name for each in selectors_of(rule.expr)}
                rules.append(rule)
        if rules:
            kept.append(replace(group, rules=rules[::-1]))
    return kept[::-1]


def at_one_interval(groups: Sequence[Group]) -> list[Group]:
    """Return the groups without their own intervals: `promtool test rules` evaluates each group at every evaluation."""
    return [replace(group, interval=None) for group in groups]


def spans(groups: Sequence[Group]) -> dict[str, float]:
    """Return how many seconds before the first evaluation each series is read, over recorded series too."""
    found: dict[str, float] = {}
    for group in reversed(groups):
        for rule in reversed(group.rules):
            of_rule = 0.0 if isinstance(rule, Alert) else found.get(rule.name, 0.0)
            for each in selectors_of(rule.expr):
                found[each.name] = max(found.get(each.name, 0.0), of_rule + _span_of(each))
    return found


def direct_spans(selectors: Iterable[Selector]) -> dict[str, float]:
    """Return how many seconds before an evaluation the series of each name are read."""
    found: dict[str, float] = {}
    for each in selectors:
        found[each.name] = max(found.get(each.name, 0.0), _span_of(each))
    return found


def _span_of(selector: Selector) -> float:
    """Return how many seconds before an evaluation a selector reads."""
    return (selector.window or LOOKBACK) + max(0.0, selector.offset)


def record(
    rule: Record, evaluator: Evaluator, at: Floats, store: Store, earlier: Mapping[Labels, Samples] = NOTHING
) -> dict[Labels, Series]:
    """Add what a rule records at `at` to `store`, after its `earlier` samples, and return the series by their labels.

    A rule may read its own earlier samples: it is evaluated until nothing changes, once for each of them at most.
    """
    reads_itself = any(each.name == rule.name for each in selectors_of(rule.expr))
    made: dict[Labels, Floats] = {}
    added = _added(rule, at, made, earlier, store)
    for _ in range(len(at) + 1 if reads_itself else 1):
        evaluator.forget(rule.name)
        before, made = made, _named(rule, evaluator.vector(rule.expr))
        store.remove(rule.name, added)
        added = _added(rule, at, made, earlier, store)
        if before.keys() == made.keys() and all(np.array_equal(before[of], made[of], equal_nan=True) for of in made):
            break
    for series in added.values():
        series.delay = 0.0
    evaluator.forget(rule.name)
    return added


def _added(
    rule: Record, at: Floats, made: Mapping[Labels, Floats], earlier: Mapping[Labels, Samples], store: Store
) -> dict[Labels, Series]:
    """Add the series of a rule to `store`, and return them by their labels."""
    # While it is evaluated, its sample of the same time is not there yet.
    added = {}
    for of in dict.fromkeys((*earlier, *made)):
        times, values = earlier.get(of, (at[:0], at[:0]))
        value = made.get(of)
        if value is None:
            value = np.full(len(at), np.nan)
        series = Series(rule.name, of, np.concatenate((times, at)), np.concatenate((values, value)), delay=EARLIER)
        store.add(series)
        added[of] = series
    return added


def _named(rule: Record, vector: Mapping[Labels, Floats]) -> dict[Labels, Floats]:
    """Return a vector with the labels of the recorded series."""
    found: dict[Labels, Floats] = {}
    for of, value in vector.items():
        named = tuple(sorted(({name: text for name, text in of if name != "__name__"} | dict(rule.labels)).items()))
        found[named] = np.where(np.isnan(found[named]), value, found[named]) if named in found else value
    return found


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
