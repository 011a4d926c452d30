"""A load test held against objectives: those of the relay's team, those of a configuration, those given by flags."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from monitor.scenarios import CONTINUOUS, EXCHANGING, OFFLINE, PAIRED, Scenario
from monitor.vocabulary import Sli

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitor.config import Config, SloConfig
    from monitor.load.load_runner import Ended
    from monitor.load.totals import Totals


GIVEN_UP: Final = 0.01
"""The share of a test that this program may give up, for want of ports, say, before the test is no good."""


class Aim(StrEnum):
    """What an objective is about."""

    ROUND_TRIP = "round trip P99"  # seconds
    WITHIN = "round trips within the threshold"  # share
    SUCCESS = "success"  # share of pairs or connections that came about
    DELIVERY = "delivery"  # share of exchanges
    RECOVERY = "historical recovery"  # share of messages to an absent wallet
    STABILITY = "stability"  # share of the seconds that pairs or connections should have stood
    TREND = "latency trend"  # last P99 over the first


_SCALES: Final = {Aim.ROUND_TRIP: 1000, Aim.TREND: 1}
"""What turns seconds into the JSON's milliseconds, and leaves a factor alone; shares become percent."""


def unscaled(value: float | str, scale: int) -> float:
    """A figure of a result or a flag divided by its scale. Raises `decimal.InvalidOperation` for what is no number.

    In decimals: as floats 99.9 / 100 is a hair more than 0.999, which exactly 99.9 % would miss.
    """
    return float(Decimal(str(value)) / scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """One objective: a share at least `limit`, or seconds or a factor at most `limit`. `threshold` is for WITHIN."""

    name: str
    aim: Aim
    limit: float
    threshold: float = 0.0

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Objective:
        """The objective that a result was held against (`Judged.to_json`)."""
        aim = Aim(data["aim"])
        limit = unscaled(data["objective"], _SCALES.get(aim, 100))
        return cls(name=data["name"], aim=aim, limit=limit, threshold=unscaled(data.get("thresholdMs", 0.0), 1000))


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An objective and what was measured; `value` None: nothing was, which is no pass."""

    objective: Objective
    value: float | None

    @property
    def passed(self) -> bool:
        """Whether it was met."""
        if self.value is None:
            return False
        if self.objective.aim in {Aim.ROUND_TRIP, Aim.TREND}:
            return self.value <= self.objective.limit
        return self.value >= self.objective.limit

    def to_json(self) -> dict[str, Any]:
        """As it stands in a result: shares in percent, times in milliseconds."""
        objective = self.objective
        scale = _SCALES.get(objective.aim, 100)
        return {
            "name": objective.name,
            "aim": objective.aim.value,
            "objective": round(objective.limit * scale, 9),
            "measured": None if self.value is None else round(self.value * scale, 9),
            "passed": self.passed,
        } | ({"thresholdMs": round(objective.threshold * 1e3, 9)} if objective.aim is Aim.WITHIN else {})


APPLIES: Final[Mapping[Aim, frozenset[Scenario]]] = {
    Aim.ROUND_TRIP: EXCHANGING,
    Aim.WITHIN: EXCHANGING,
    Aim.SUCCESS: frozenset(Scenario),
    Aim.DELIVERY: EXCHANGING,
    Aim.RECOVERY: OFFLINE,
    Aim.STABILITY: CONTINUOUS,
    Aim.TREND: EXCHANGING & CONTINUOUS,
}
"""The scenarios that measure what an objective is about."""

USUAL: Final[Mapping[Aim, float]] = {
    Aim.ROUND_TRIP: 0.4,
    Aim.SUCCESS: 0.99,
    Aim.DELIVERY: 0.999,
    Aim.RECOVERY: 1.0,
    Aim.STABILITY: 0.999,
}
"""The levels the relay's own team checks. A trend is told, and judged only where somebody asks: P99s of few exchanges
differ by chance."""

COLOURS: Final[Mapping[Aim, tuple[float, float]]] = {
    Aim.SUCCESS: (0.99, 0.95),
    Aim.DELIVERY: (0.999, 0.99),
    Aim.RECOVERY: (0.999, 0.99),
    Aim.STABILITY: (0.999, 0.99),
}
"""Shares from which on a figure is green, and yellow; below it is red."""


def objectives(scenario: Scenario, config: Config | None, given: Mapping[Aim, float]) -> list[Objective]:
    """What a test is held against: the SLOs of a configuration that the scenario measures, else the usual ones.

    Those `given` take the place of those about the same. Never none: every scenario measures SUCCESS at least.
    """
    found = [] if config is None else [item for item in of_config(scenario, config) if scenario in APPLIES[item.aim]]
    found = found or [Objective(name=aim.value, aim=aim, limit=limit) for aim, limit in USUAL.items()]
    found = [item for item in found if item.aim not in given]
    found += [Objective(name=aim.value, aim=aim, limit=limit) for aim, limit in given.items()]
    return [item for item in found if scenario in APPLIES[item.aim]]


def of_config(scenario: Scenario, config: Config) -> list[Objective]:
    """The SLOs of a configuration's probes that play a scenario, also those about what a load test of it measures not.

    A `trend` of *realistic-session* is one: the monitor compares an hour with a day.
    """
    played = {probe.name for probe in config.probes if probe.scenario is scenario}
    return [_of(slo, scenario) for slo in config.slos if played & set(slo.probe)]


def _of(slo: SloConfig, scenario: Scenario) -> Objective:
    availability = Aim.DELIVERY if scenario in EXCHANGING else Aim.SUCCESS
    aim = {
        Sli.AVAILABILITY: Aim.RECOVERY if scenario in OFFLINE else availability,
        Sli.LATENCY: Aim.WITHIN,
        Sli.PAIRING: Aim.SUCCESS,
        Sli.STABILITY: Aim.STABILITY,
        Sli.TREND: Aim.TREND,
    }[slo.sli]
    limit = float(slo.factor or 0.0) if slo.sli is Sli.TREND else float(slo.objective or 0)
    return Objective(name=slo.name, aim=aim, limit=limit, threshold=slo.threshold or 0.0)


def judge(scenario: Scenario, totals: Totals, wanted: Sequence[Objective]) -> list[Judged]:
    """Each objective with what was measured."""
    return [Judged(objective=item, value=measured(scenario, totals, item.aim, item.threshold)) for item in wanted]


def passed(scenario: Scenario, ended: Ended, judged: Sequence[Judged]) -> bool:
    """Whether a test is good: something came through, every objective was met, and no part of it is missing."""
    through = ended.totals.good if scenario in PAIRED else ended.totals.successful
    return through > 0 and not ended.missing and not gave_up(ended) and all(item.passed for item in judged)


def gave_up(ended: Ended) -> bool:
    """Whether this program gave up so much of a test, unasked, that the rest proves nothing."""
    totals = ended.totals
    every = totals.attempted + totals.sent + totals.awaited + totals.aborted
    return not ended.interrupted and totals.aborted > GIVEN_UP * every


def measured(scenario: Scenario, totals: Totals, aim: Aim, threshold: float = 0.0) -> float | None:
    """What an objective is about, as it came out; None where nothing was measured."""
    if scenario not in APPLIES[aim]:
        return None
    sketch, trend = totals.sketches["messages"], totals.trend
    parts = {
        Aim.WITHIN: (sketch.within(threshold), totals.sent),
        Aim.SUCCESS: (totals.successful, totals.attempted),
        Aim.DELIVERY: (totals.received, totals.sent),
        Aim.RECOVERY: (totals.brought, totals.awaited),
        Aim.STABILITY: (totals.connected_seconds, totals.due_seconds),
        Aim.TREND: (trend[1], trend[0]) if trend is not None else (0.0, 0.0),
        Aim.ROUND_TRIP: (sketch.quantile(0.99), 1.0 if sketch.counts else 0.0),
    }
    part, whole = parts[aim]
    return part / whole if whole else None
