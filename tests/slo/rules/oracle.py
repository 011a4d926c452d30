"""An independent model of the rules: PromQL's `increase`, the recorded ratios, and the alerts that fire.

It is written from the documentation of PromQL and of the alerts and knows objectives and burn conditions, but no
expression. Times are milliseconds since the first scrape.

Prometheus 3 differs from 2 in two ways: a range excludes a sample exactly at its start, and `increase` limits the
extrapolation to the counter's zero in another order.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from monitor.burn_rate import MIN_FAILURES, MIN_SCRAPES, burn_conditions
from monitor.config import show_duration
from monitor.slo.rules.message_loss import LOSS_WINDOW
from monitor.slo.rules.paging import RECENT_WINDOW
from monitor.slo.rules.recorded import budgeted
from tests.slo.rules.explained import Growth, Key, Verdicts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from decimal import Decimal

    from monitor.burn_rate import BurnCondition
    from monitor.config import Config, SloConfig
    from tests.slo.rules.explained import History, Samples

NEAR: Final = 1.1


def increase(samples: Samples, now: int, window: int, *, version: int) -> float | None:
    """PromQL's `increase(samples[window])` at `now`."""
    start = now - window
    first = (bisect_left if version < 3 else bisect_right)(samples, start, key=lambda sample: sample[0])
    inside = samples[first : bisect_right(samples, now, key=lambda sample: sample[0])]
    if len(inside) < 2:
        return None
    grown = inside[-1][1] - inside[0][1]
    grown += sum(before[1] for before, after in pairwise(inside) if after[1] < before[1])
    covered = (inside[-1][0] - inside[0][0]) / 1000
    average = covered / (len(inside) - 1)
    lead, tail = (inside[0][0] - start) / 1000, (now - inside[-1][0]) / 1000
    zero = covered * (inside[0][1] / grown) if grown > 0 else float("inf")
    if version < 3:
        lead = min(lead, zero)
        lead = lead if lead < average * NEAR else average / 2
    else:
        lead = min(lead if lead < average * NEAR else average / 2, zero)
    tail = tail if tail < average * NEAR else average / 2
    return grown * ((covered + lead + tail) / covered)


@dataclass(frozen=True, slots=True)
class Firing:
    """One alert of one error budget."""

    alert: str
    severity: str
    key: Key
    condition: BurnCondition | None

    def selector(self) -> str:
        windows = ""
        if self.condition is not None:
            long, short = show_duration(self.condition.long_window), show_duration(self.condition.short_window)
            windows = f', long_window="{long}", short_window="{short}"'
        elif self.alert == "RelayErrorBudgetBurn":
            windows = ', about="no budget"'
        return (
            f'ALERTS{{alertname="{self.alert}", alertstate="firing", severity="{self.severity}", '
            f'slo="{self.key.slo}", relay="{self.key.relay}", probe="{self.key.probe}"{windows}}}'
        )


@dataclass(slots=True)
class Oracle:
    """The alerts that `config` should raise on a history, with a major version of Prometheus."""

    config: Config
    history: History
    version: int
    _samples: dict[tuple[Key, str], Samples] = field(default_factory=dict)
    _increases: dict[tuple[Key, str, int, float], float | None] = field(default_factory=dict)
    _verdicts: dict[str, Verdicts] = field(default_factory=dict)
    _growths: dict[Key, Growth] = field(default_factory=dict)

    def __post_init__(self) -> None:
        step = self.history.scrape * 1000
        for key, events in self.history.events.items():
            for outcome, values in (("good", events.good), ("bad", events.bad)):
                self._samples[key, outcome] = [
                    (index * step, float(value)) for index, value in enumerate(values) if value is not None
                ]

    def bad(self, key: Key, now: int, seconds: float) -> float | None:
        """Return the number of bad events within `seconds`."""
        return self._increase(key, "bad", now, seconds)

    def _increase(self, key: Key, outcome: str, now: int, seconds: float) -> float | None:
        known = (key, outcome, now, seconds)
        if known not in self._increases:
            window = round(seconds * 1000)
            self._increases[known] = increase(self._samples[key, outcome], now, window, version=self.version)
        return self._increases[known]

    def ratio(self, key: Key, now: int, seconds: float) -> float | None:
        """Return the ratio of bad events; None without events."""
        bad = self.bad(key, now, seconds)
        good = self._increase(key, "good", now, seconds)
        if bad is None or good is None or bad + good <= 0:
            return None
        return bad / (bad + good)

    def firing(self) -> Iterator[tuple[Firing, list[int]]]:
        """Yield every alert about error budgets with the number that fires at each evaluation."""
        for slo in budgeted(self.config):
            for relay in self.config.relays:
                objective = slo.objective_for(relay.name)
                assert objective is not None
                for probe in slo.probe:
                    gap = next(each.longest_gap for each in self.config.probes if each.name == probe)
                    conditions = burn_conditions(slo.window, self.config.prometheus.step, gap)
                    keys = [
                        key
                        for key in self.history.events
                        if (key.slo, key.relay, key.probe) == (slo.name, relay.name, probe)
                    ]
                    if not keys:
                        continue
                    paging = relay.max_severity
                    if objective == 1:
                        name, allowed = self._strict(slo)
                        about_messages = name == "RelayMessagesLost"
                        if about_messages:
                            yield Firing(name, "warning", keys[0], None), self._each(keys, self._lost, 0.0)
                        yield (
                            Firing("RelayErrorBudgetBurn", "warning", keys[0], None),
                            self._each(keys, partial(self._fails, allowed, about_messages=about_messages), 0.0),
                        )
                        if paging == "critical":
                            yield Firing(name, "critical", keys[0], None), self._lost_again(keys, slo)
                        continue
                    for condition in conditions:
                        severity = paging if condition.severity == "critical" else "warning"
                        same = [
                            each
                            for each in conditions
                            if (each.long_window, each.short_window) == (condition.long_window, condition.short_window)
                        ]
                        if severity != condition.severity and len(same) > 1:
                            continue  # the page as a warning, and there is a warning with these windows
                        yield (
                            Firing("RelayErrorBudgetBurn", severity, keys[0], condition),
                            self._burns(keys, condition, objective, self._least(slo, probe, condition, objective)),
                        )

    def _least(self, slo: SloConfig, name: str, condition: BurnCondition, objective: Decimal) -> float:
        """Return the failed seconds that do not alert: half of those of a full window."""
        probe = next(each for each in self.config.probes if each.name == name)
        if slo.sli != "stability" or not probe.is_continuous:
            return 0.0
        persistent = probe.connections if probe.scenario == "steady-state" else probe.pairs
        return float(condition.factor * (1 - objective)) * persistent * condition.long_window / 2

    def _burns(self, keys: Sequence[Key], condition: BurnCondition, objective: Decimal, least: float) -> list[int]:
        limit = min(float(condition.factor) * float(1 - objective), 0.9)
        page = condition.severity == "critical"
        count = self.untold if page else self.bad

        def holds(key: Key, now: int) -> bool:
            long, short = self.ratio(key, now, condition.long_window), self._last(key, now, condition)
            bad = count(key, now, condition.count_window or condition.long_window)
            if long is None or short is None or bad is None or not (long > limit and short > limit):
                return False
            failures = count(key, now, condition.long_window)
            return bad > MIN_FAILURES - 0.5 and (failures is None or not least or failures > least)

        def lately(keys: Sequence[Key], now: int) -> bool:
            return not page or self._failed(keys, now, condition.recent_window)

        def votes(key: Key, now: int) -> bool:
            return self.ratio(key, now, condition.long_window) is not None and self._verdict(key.relay).votes(
                key.location, now
            )

        def quorum(now: int) -> bool:
            voters = sum(votes(key, now) for key in keys)
            return voters > 0 and sum(holds(key, now) for key in keys) > 0.5 * voters and lately(keys, now)

        if page and len(self.config.locations) > 1:
            return self._kept(quorum, condition.keep_firing_for)
        return self._each(keys, lambda key, now: holds(key, now) and lately([key], now), condition.keep_firing_for)

    def _failed(self, keys: Sequence[Key], now: int, seconds: float) -> bool:
        return sum(self.untold(key, now, seconds) or 0.0 for key in keys) > 0

    def untold(self, key: Key, now: int, seconds: float) -> float | None:
        """Return the failures within `seconds` that no outage explains; None if none could be counted."""
        if key not in self._growths:
            self._growths[key] = Growth.of(
                self.history, self._samples[key, "bad"], self._verdict(key.relay), self.version
            )
        return self._growths[key].untold(now, seconds)

    def _verdict(self, relay: str) -> Verdicts:
        if relay not in self._verdicts:
            up = {location: values for (name, location), values in self.history.up.items() if name == relay}
            self._verdicts[relay] = Verdicts(self.history, up)
        return self._verdicts[relay]

    def _strict(self, slo: SloConfig) -> tuple[str, float]:
        """Return the alert about an SLO with an objective of 100 %, and the bad events that are no failure."""
        probes = [probe for probe in self.config.probes if probe.name in slo.probe]
        if slo.sli == "availability" and any(probe.scenario != "steady-state" for probe in probes):
            return "RelayMessagesLost", 0.0
        connections = (probe.connections if probe.scenario == "steady-state" else probe.pairs for probe in probes)
        return "RelayErrorBudgetBurn", 5.0 * max(connections) if slo.sli == "stability" else 0.0

    def _last(self, key: Key, now: int, condition: BurnCondition) -> float | None:
        """Return the last recorded ratio over the short window that had events, if it is recent."""
        step, reach = self.history.evaluation * 1000, round(condition.recent_window * 1000)
        if condition.recent_window <= condition.short_window:
            return self.ratio(key, now, condition.short_window)
        for at in range(now, max(now - reach, 0) - 1, -step):
            within = at > now - reach or self.version < 3
            if within and (found := self.ratio(key, at, condition.short_window)) is not None:
                return found
        return None

    def _lost(self, key: Key, now: int) -> bool:
        """A failure, and a lost message."""
        return (self.bad(key, now, LOSS_WINDOW) or 0.0) > 0.5 and (self._gone(key, now) or 0.0) > 0.5

    def _fails(self, allowed: float, key: Key, now: int, *, about_messages: bool) -> bool:
        """A failure that the alert about lost messages does not tell."""
        covered = about_messages and self._lost(key, now)
        return (self.bad(key, now, LOSS_WINDOW) or 0.0) > allowed + 0.5 and not covered

    def _lost_again(self, keys: Sequence[Key], slo: SloConfig) -> list[int]:
        """At a quorum of the locations with events: two failures, and two lost messages if messages are counted."""
        gaps = [probe.longest_gap for probe in self.config.probes if probe.name in slo.probe]
        scrape = self.config.prometheus.scrape_interval
        recent = max(
            [
                RECENT_WINDOW,
                MIN_SCRAPES * scrape,
                *(gap + 2 * scrape for gap in gaps if RECENT_WINDOW < gap <= LOSS_WINDOW / 2),
            ]
        )
        name, allowed = self._strict(slo)

        def twice(key: Key, now: int) -> bool:
            gone = self._gone(key, now) if name == "RelayMessagesLost" else None
            failed = self.untold(key, now, LOSS_WINDOW) or 0.0
            return failed > 2 * allowed + 1.5 and (gone is None or gone >= 1.5)

        def has_events(key: Key, now: int) -> bool:
            counted = (self._increase(key, outcome, now, LOSS_WINDOW) or 0.0 for outcome in ("good", "bad"))
            return sum(counted) > 0 and self._verdict(key.relay).votes(key.location, now)

        def lately(keys: Sequence[Key], now: int) -> bool:
            return self._failed(keys, now, recent)

        def quorum(now: int) -> bool:
            voters = sum(has_events(key, now) for key in keys)
            return voters > 0 and sum(twice(key, now) for key in keys) > 0.5 * voters and lately(keys, now)

        if len(self.config.locations) > 1:
            return self._kept(quorum, 0.0)
        return self._each(keys, lambda key, now: twice(key, now) and lately([key], now), 0.0)

    def _gone(self, key: Key, now: int) -> float | None:
        values = self.history.gone.get((key.relay, key.probe, key.location), ())
        step = self.history.scrape * 1000
        samples = [(index * step, float(value)) for index, value in enumerate(values) if value is not None]
        return increase(samples, now, round(LOSS_WINDOW * 1000), version=self.version)

    def _each(self, keys: Sequence[Key], holds: Callable[[Key, int], bool], keep: float) -> list[int]:
        rows = [self._kept(lambda now, key=key: holds(key, now), keep) for key in keys]  # type: ignore[misc]
        return [sum(column) for column in zip(*rows, strict=True)]

    def _kept(self, holds: Callable[[int], bool], keep: float) -> list[int]:
        """Return whether it fires at each evaluation: while the condition holds, and for `keep` seconds after."""
        fires: list[int] = []
        since: int | None = None
        for now in self.history.evaluations():
            if holds(now):
                since = None
                fires.append(1)
                continue
            since = now if since is None else since
            fires.append(int(bool(fires) and fires[-1] == 1 and now - since < keep * 1000))
        return fires
