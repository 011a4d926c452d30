"""Rules evaluated part by part: each part begins with what the one before it recorded, as if there were one."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np

from monitor.simulation.promql import Evaluator, PromqlError, Store, selectors_of
from monitor.simulation.ruler import Firing, alert_labels, direct_spans, evaluation_times, intervals, record
from monitor.slo.rules.rule import Alert

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from monitor.simulation.promql import Labels, Series
    from monitor.simulation.promql.series import Floats
    from monitor.simulation.replay.rule_set import RuleSet
    from monitor.simulation.ruler import Samples
    from monitor.slo.rules.rule import Group

DEFAULT_VERSION: Final = 3
"""Major version that is assumed if the server reports none: other servers of this API are based on Prometheus 3."""

RuleKey = tuple[int, int]
"""Number of a group, and of a rule in it."""


class RollingRuler:
    """Evaluates the rules of a set at multiples of their groups' intervals, in parts that follow one another.

    version: Prometheus' major version.
    """

    def __init__(self, rules: RuleSet, *, version: int = DEFAULT_VERSION) -> None:
        self._rules, self._version = rules, version
        self._spans = direct_spans(
            each for group in rules.groups for rule in group.rules for each in selectors_of(rule.expr)
        )
        self._earlier: dict[RuleKey, dict[Labels, Samples]] = defaultdict(dict)
        self._times: dict[int, list[Floats]] = defaultdict(list)
        self._active: dict[RuleKey, dict[Labels, list[NDArray[np.float64]]]] = defaultdict(lambda: defaultdict(list))

    def advance(
        self, series: Iterable[Series], start: float, end: float, skipped: Sequence[tuple[float, float]] = ()
    ) -> None:
        """Evaluate from `start` to before `end`, on series that have all samples up to then.

        skipped: times without evaluations, both edges included. Raises `PromqlError`.
        """
        store = Store(series)
        for number, group in enumerate(self._rules.groups):
            at = evaluation_times(start, end, self._interval(group))
            at = at[at < end]
            for first, last in skipped:
                at = at[(at < first) | (at > last)]
            self._times[number].append(at)
            evaluator = Evaluator(store, at, version=self._version)
            for index, rule in enumerate(group.rules):
                try:
                    if isinstance(rule, Alert):
                        self._watch((number, index), rule, evaluator, at)
                    else:
                        made = record(rule, evaluator, at, store, self._earlier[number, index])
                        self._keep((number, index), made, end - self._spans.get(rule.name, 0.0))
                except PromqlError as error:
                    raise PromqlError(f"rule {rule.name} of group {group.name}: {error}") from None

    def firing(self) -> list[Firing]:
        """Return what has fired, by its start."""
        found = [each for number, group in enumerate(self._rules.groups) for each in self._firing(number, group)]
        return sorted(found, key=lambda each: each.start)

    def _interval(self, group: Group) -> float:
        return group.interval or self._rules.interval

    def _keep(self, key: RuleKey, made: dict[Labels, Series], since: float) -> None:
        """Keep what later evaluations read: series that are there, or were."""
        kept: dict[Labels, Samples] = {}
        for of, series in made.items():
            first = int(np.searchsorted(series.times, since))
            if not np.isnan(series.values[first:]).all():
                kept[of] = series.times[first:], series.values[first:]
        self._earlier[key] = kept

    def _watch(self, key: RuleKey, rule: Alert, evaluator: Evaluator, at: Floats) -> None:
        """Keep the times at which an alert's expression is true."""
        for of, value in evaluator.vector(rule.expr).items():
            there = at[~np.isnan(value)]
            if len(there):
                self._active[key][alert_labels(rule, of, self._rules.common_labels)].append(there)

    def _firing(self, number: int, group: Group) -> Iterator[Firing]:
        at = np.concatenate(self._times[number]) if self._times[number] else np.empty(0)
        for index, rule in enumerate(group.rules):
            if not isinstance(rule, Alert):
                continue
            for labels, parts in self._active[number, index].items():
                active = np.zeros(len(at), dtype=np.bool_)
                active[np.searchsorted(at, np.concatenate(parts))] = True
                for start, end in intervals(active, at, rule.pending_for, rule.keep_firing_for):
                    yield Firing(alert=rule.name, labels=labels, start=start, end=end)
