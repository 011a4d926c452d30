"""What Prometheus makes of counters, computed by hand: PromQL's `increase`, the generated ratios, and who fires when.

Written from the documentation of PromQL and of the alerts, not from the rules: it knows objectives and burn conditions,
and no expression. Times are milliseconds since the first scrape, as Prometheus has them.

Two of Prometheus' ways changed with version 3: a range no longer holds a sample that lies exactly at its start; and
what `increase` adds before the first sample is bound by the counter's zero in another order.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from monitor.burn_rate import MIN_FAILURES, MIN_SCRAPES, burn_conditions
from monitor.config import show_duration
from monitor.slo.rules.message_loss import LOSS_WINDOW
from monitor.slo.rules.paging import RECENT_WINDOW
from monitor.slo.rules.recorded import budgeted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from decimal import Decimal

    from monitor.burn_rate import BurnCondition
    from monitor.config import Config, SloConfig

Samples = list[tuple[int, float]]
NEAR: Final = 1.1


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Whose events they are."""

    slo: str
    relay: str
    probe: str
    location: str


@dataclass(frozen=True, slots=True)
class Events:
    """The counters of good and bad events at each scrape; None: nothing was scraped."""

    good: Sequence[int | None]
    bad: Sequence[int | None]


@dataclass(frozen=True, slots=True)
class History:
    """What was scraped every `scrape` seconds, and is evaluated every `evaluation` seconds."""

    scrape: int
    evaluation: int
    events: Mapping[Key, Events]
    up: Mapping[tuple[str, str], Sequence[int]]  # relay and location
    healthy: Mapping[str, Sequence[int]]  # location
    gone: Mapping[tuple[str, str, str], Sequence[int | None]]  # messages, by relay, probe and location

    @property
    def end(self) -> int:
        lengths = [len(each.good) for each in self.events.values()] + [len(each) for each in self.up.values()]
        return (max(lengths) - 1) * self.scrape * 1000

    def evaluations(self) -> range:
        return range(0, self.end + 1, self.evaluation * 1000)


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
    """One alert that should, or should not, fire."""

    alert: str
    severity: str
    key: Key
    burn: BurnCondition | None

    def selector(self) -> str:
        windows = ""
        if self.burn is not None:
            long, short = show_duration(self.burn.long_window), show_duration(self.burn.short_window)
            windows = f', long_window="{long}", short_window="{short}"'
        return (
            f'ALERTS{{alertname="{self.alert}", alertstate="firing", severity="{self.severity}", '
            f'slo="{self.key.slo}", relay="{self.key.relay}", probe="{self.key.probe}"{windows}}}'
        )


@dataclass(slots=True)
class Oracle:
    """Knows what the rules of `config` should make of a history, on a version of Prometheus."""

    config: Config
    history: History
    version: int
    _samples: dict[tuple[Key, str], Samples] = field(default_factory=dict)
    _increases: dict[tuple[Key, str, int, float], float | None] = field(default_factory=dict)
    _down: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        step = self.history.scrape * 1000
        for key, events in self.history.events.items():
            for outcome, values in (("good", events.good), ("bad", events.bad)):
                self._samples[key, outcome] = [
                    (index * step, float(value)) for index, value in enumerate(values) if value is not None
                ]

    def bad(self, key: Key, now: int, seconds: float) -> float | None:
        """How many bad events there were within so long."""
        return self._increase(key, "bad", now, seconds)

    def _increase(self, key: Key, outcome: str, now: int, seconds: float) -> float | None:
        known = (key, outcome, now, seconds)
        if known not in self._increases:
            window = round(seconds * 1000)
            self._increases[known] = increase(self._samples[key, outcome], now, window, version=self.version)
        return self._increases[known]

    def ratio(self, key: Key, now: int, seconds: float) -> float | None:
        """The share of bad events; None where there were none at all."""
        bad = self.bad(key, now, seconds)
        good = self._increase(key, "good", now, seconds)
        if bad is None or good is None or bad + good <= 0:
            return None
        return bad / (bad + good)

    def firing(self) -> Iterator[tuple[Firing, list[int]]]:
        """Every alert about budgets, and how many of it fire at each evaluation."""
        for slo in budgeted(self.config):
            for relay in self.config.relays:
                objective = slo.objective_for(relay.name)
                assert objective is not None
                for probe in slo.probe:
                    gap = next(each.longest_gap for each in self.config.probes if each.name == probe)
                    conditions = burn_conditions(slo.window, self.config.prometheus.scrape_interval, gap)
                    keys = [
                        key
                        for key in self.history.events
                        if (key.slo, key.relay, key.probe) == (slo.name, relay.name, probe)
                    ]
                    if not keys:
                        continue
                    paging = relay.max_severity
                    if objective == 1:
                        yield Firing("RelayMessagesLost", "warning", keys[0], None), self._each(keys, self._lost, 0.0)
                        if paging == "critical":
                            fires = self._lost_again(keys, slo)
                            yield Firing("RelayMessagesLost", "critical", keys[0], None), fires
                        continue
                    for burn in conditions:
                        severity = paging if burn.severity == "critical" else "warning"
                        same = [
                            each
                            for each in conditions
                            if (each.long_window, each.short_window) == (burn.long_window, burn.short_window)
                        ]
                        if severity != burn.severity and len(same) > 1:
                            continue  # a page that is worth a warning, and the warning is there already
                        yield (
                            Firing("RelayErrorBudgetBurn", severity, keys[0], burn),
                            self._burns(keys, burn, objective, self._least(slo, probe, burn, objective)),
                        )

    def _least(self, slo: SloConfig, name: str, burn: BurnCondition, objective: Decimal) -> float:
        """Bad seconds that are a blip, however few there are beside them: half of a full window's."""
        probe = next(each for each in self.config.probes if each.name == name)
        if slo.sli != "stability" or not probe.is_continuous:
            return 0.0
        persistent = probe.connections if probe.scenario == "steady-state" else probe.pairs
        return float(burn.factor * (1 - objective)) * persistent * burn.long_window / 2

    def _burns(self, keys: Sequence[Key], burn: BurnCondition, objective: Decimal, least: float) -> list[int]:
        limit = float(burn.factor) * float(1 - objective)

        several = burn.severity == "critical" and len(self.config.locations) > 1

        def holds(key: Key, now: int) -> bool:
            long, short = self.ratio(key, now, burn.long_window), self._last(key, now, burn)
            bad = self.bad(key, now, burn.count_window or burn.long_window)
            if long is None or short is None or bad is None or not (long > limit and short > limit):
                return False
            return bad > MIN_FAILURES - 0.5 and not (self.bad(key, now, burn.long_window) or 0.0) <= least

        def lately(keys: Sequence[Key], now: int) -> bool:
            if burn.severity != "critical":
                return True
            quiet = burn.recent_window + min(burn.recent_window, RECENT_WINDOW)
            failed = sum(self.bad(key, now, burn.recent_window) or 0.0 for key in keys)
            return failed > 0 and not self._was_down(keys[0].relay, now, quiet)

        def quorum(now: int) -> bool:
            votes = [holds(key, now) for key in keys if self._last(key, now, burn) is not None]
            return sum(votes) > 0.5 * len(votes) and lately(keys, now)

        if several:
            return self._kept(quorum, burn.keep_firing_for)
        return self._each(keys, lambda key, now: holds(key, now) and lately([key], now), burn.keep_firing_for)

    def _last(self, key: Key, now: int, burn: BurnCondition) -> float | None:
        """The ratio over the short window; where that has no events, over the last one that had some, if recent."""
        step, reach = self.history.evaluation * 1000, round(burn.recent_window * 1000)
        if burn.recent_window <= burn.short_window:
            return self.ratio(key, now, burn.short_window)
        for at in range(now, max(now - reach, 0) - 1, -step):
            within = at > now - reach or self.version < 3
            if within and (found := self.ratio(key, at, burn.short_window)) is not None:
                return found
        return None

    def _lost(self, key: Key, now: int) -> bool:
        return (self.bad(key, now, LOSS_WINDOW) or 0.0) > 0.5

    def _lost_again(self, keys: Sequence[Key], slo: SloConfig) -> list[int]:
        """Where a quorum of those that tried has two failures, and two messages gone if it is messages that count."""
        gaps = [probe.longest_gap for probe in self.config.probes if probe.name in slo.probe]
        scrape = self.config.prometheus.scrape_interval
        recent = max(
            [
                RECENT_WINDOW,
                MIN_SCRAPES * scrape,
                *(gap + 2 * scrape for gap in gaps if RECENT_WINDOW < gap <= LOSS_WINDOW / 2),
            ]
        )

        def twice(key: Key, now: int) -> bool:
            gone = self._gone(key, now) if slo.sli == "availability" else None
            return (self.bad(key, now, LOSS_WINDOW) or 0.0) > 1.5 and (gone is None or gone >= 1.5)

        def tried(key: Key, now: int) -> bool:
            counted = (self._increase(key, outcome, now, LOSS_WINDOW) or 0.0 for outcome in ("good", "bad"))
            return sum(counted) > 0

        def lately(keys: Sequence[Key], now: int) -> bool:
            failed = sum(self.bad(key, now, recent) or 0.0 for key in keys)
            return failed > 0 and not self._was_down(keys[0].relay, now, LOSS_WINDOW)

        def quorum(now: int) -> bool:
            votes = [twice(key, now) for key in keys if tried(key, now)]
            return sum(votes) > 0.5 * len(votes) and lately(keys, now)

        if len(self.config.locations) > 1:
            return self._kept(quorum, 0.0)
        return self._each(keys, lambda key, now: twice(key, now) and lately([key], now), 0.0)

    def _gone(self, key: Key, now: int) -> float | None:
        values = self.history.gone.get((key.relay, key.probe, key.location), ())
        step = self.history.scrape * 1000
        samples = [(index * step, float(value)) for index, value in enumerate(values) if value is not None]
        return increase(samples, now, round(LOSS_WINDOW * 1000), version=self.version)

    def _was_down(self, relay: str, now: int, seconds: float) -> bool:
        """Whether `RelayDown` fired at an evaluation within so long."""
        if relay not in self._down:
            self._down[relay] = [at for at in self.history.evaluations() if self._is_down(relay, at)]
        start = now - round(seconds * 1000)
        return any(at <= now and (at >= start if self.version < 3 else at > start) for at in self._down[relay])

    def _is_down(self, relay: str, now: int) -> bool:
        scrape = now // (self.history.scrape * 1000)
        votes = [
            values[scrape]
            for (name, location), values in self.history.up.items()
            if name == relay and (len(self.config.locations) == 1 or self.history.healthy[location][scrape])
        ]
        return votes.count(0) > 0.5 * len(votes)

    def _each(self, keys: Sequence[Key], holds: Callable[[Key, int], bool], keep: float) -> list[int]:
        rows = [self._kept(lambda now, key=key: holds(key, now), keep) for key in keys]  # type: ignore[misc]
        return [sum(column) for column in zip(*rows, strict=True)]

    def _kept(self, holds: Callable[[int], bool], keep: float) -> list[int]:
        """Whether it fires at each evaluation: while it holds, and `keep` seconds from where it holds no more."""
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
