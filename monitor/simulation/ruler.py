"""Prometheus' rule evaluation on simulated series: groups, recorded series, `for` and `keep_firing_for`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from monitor.simulation.promql import Evaluator, PromqlError, Series, selectors_of
from monitor.simulation.promql.evaluate import LOOKBACK
from monitor.slo.rules.rule import Alert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from monitor.simulation.promql import Labels, Store
    from monitor.simulation.promql.series import Floats
    from monitor.slo.rules.rule import Group, Record

MAX_PASSES: Final = 20
"""Evaluations of a recording rule that reads its own samples; each outage in a row needs one more."""

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
        self._spans = _spans(self._groups)
        recorded = {rule.name for group in self._groups for rule in group.rules if not isinstance(rule, Alert)}
        self.history = max((span for name, span in self._spans.items() if name not in recorded), default=LOOKBACK)

    def run(self, store: Store, start: float, end: float) -> list[Firing]:
        """Return what fires from `start` to `end`, and add the recorded series to `store`. Raises `PromqlError`."""
        found: list[Firing] = []
        for group in self._groups:
            records = [rule for rule in group.rules if not isinstance(rule, Alert)]
            by_span: dict[float, tuple[Evaluator, Floats]] = {}
            for record in records:
                span = self._spans[record.name]
                if span not in by_span:
                    at = self._times(group, start - span, end)
                    by_span[span] = Evaluator(store, at, version=self.version), at
                _record(record, *by_span[span], store)
                for evaluator, _ in by_span.values():
                    evaluator.forget(record.name)
            alerts = [rule for rule in group.rules if isinstance(rule, Alert)]
            if alerts:
                at = self._times(group, start, end)
                evaluator = Evaluator(store, at, version=self.version)
                for alert in alerts:
                    found += self._alert(alert, evaluator, at)
        return sorted(found, key=lambda firing: firing.start)

    def _times(self, group: Group, start: float, end: float) -> Floats:
        interval = group.interval or self._interval
        phase = self._phase(group.name, interval)
        first, last = math.ceil((start - phase) / interval), math.floor((end - phase) / interval)
        times: Floats = phase + interval * np.arange(first, last + 1, dtype=np.float64)
        return times

    def _alert(self, rule: Alert, evaluator: Evaluator, at: Floats) -> Iterator[Firing]:
        severity = {} if rule.capped else {"severity": rule.severity}
        static = {**self._common_labels, **rule.labels, "service": "relay-monitor", **severity}
        for of, value in evaluator.vector(rule.expr).items():
            known = {name: text for name, text in of if name != "__name__"}
            made = known | {name: _expanded(text, known) for name, text in static.items()}
            of_alert = tuple(sorted((name, text) for name, text in {**made, "alertname": rule.name}.items() if text))
            for start, end in intervals(~np.isnan(value), at, rule.pending_for, rule.keep_firing_for):
                yield Firing(alert=rule.name, labels=of_alert, start=start, end=end)


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


def _spans(groups: Sequence[Group]) -> dict[str, float]:
    """Return how many seconds before the first evaluation each series is read, over recorded series too."""
    spans: dict[str, float] = {}
    for group in reversed(groups):
        for rule in reversed(group.rules):
            of_rule = 0.0 if isinstance(rule, Alert) else spans.get(rule.name, 0.0)
            for each in selectors_of(rule.expr):
                span = of_rule + (each.window or LOOKBACK) + max(0.0, each.offset)
                spans[each.name] = max(spans.get(each.name, 0.0), span)
    return spans


def _record(rule: Record, evaluator: Evaluator, at: Floats, store: Store) -> None:
    """Add what a rule records. A rule may read its own earlier samples: it is evaluated until nothing changes."""
    reads_itself = any(each.name == rule.name for each in selectors_of(rule.expr))
    before: dict[Labels, Floats] = {}
    for _ in range(MAX_PASSES if reads_itself else 1):
        made = _named(rule, evaluator.vector(rule.expr))
        store.remove(rule.name, before)
        for of, value in made.items():
            # While it is evaluated, its sample of the same time is not there yet.
            store.add(Series(rule.name, of, at, value, delay=EARLIER if reads_itself else 0.0))
        evaluator.forget(rule.name)
        if before.keys() == made.keys() and all(np.array_equal(before[of], made[of], equal_nan=True) for of in made):
            break
        before = made
    for series in store.find(rule.name, ()):
        series.delay = 0.0


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
