"""Checks a load test against objectives: the relay team's, those of a configuration, those given by flags."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from monitor.scenarios import CONTINUOUS, EXCHANGING, OFFLINE, PAIRED, Scenario
from monitor.vocabulary import Sli

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitor.config import Config, SloConfig
    from monitor.load.totals import FinishedTest, Totals

MAX_ABORTED_SHARE: Final = 0.01
"""The share of a test that this program may abort, for lack of ports for example, before the test fails."""


class Aim(StrEnum):
    """What an objective is about."""

    ROUND_TRIP = "round trip P99"  # seconds
    WITHIN = "round trips within the threshold"  # share
    SUCCESS = "success"  # share of pairs or connections that connected
    DELIVERY = "delivery"  # share of exchanges
    RECOVERY = "historical recovery"  # share of messages to an absent wallet
    STABILITY = "stability"  # share of due seconds that pairs or connections were connected
    TREND = "latency trend"  # last P99 over the first


SCALES: Final = {Aim.ROUND_TRIP: 1000, Aim.TREND: 1}
"""Factors from a limit to its figure in the JSON: seconds to milliseconds, factors unchanged. Shares have 100."""


def unscaled(value: float | str, scale: int) -> float:
    """Divide a figure of a result or a flag by its scale. Raises `decimal.InvalidOperation` if it is not a number.

    In decimals: as floats 99.9 / 100 is a little more than 0.999, which exactly 99.9 % would miss.
    """
    return float(Decimal(str(value)) / scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """One objective: a share at least `limit`, or seconds or a factor at most `limit`. `threshold` is for WITHIN."""

    name: str
    aim: Aim
    limit: float
    threshold: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An objective and the value measured; None if nothing was measured, which is a failure."""

    objective: Objective
    value: float | None

    @property
    def passed(self) -> bool:
        """Whether the objective was met."""
        if self.value is None:
            return False
        if self.objective.aim in {Aim.ROUND_TRIP, Aim.TREND}:
            return self.value <= self.objective.limit
        return self.value >= self.objective.limit


APPLIES: Final[Mapping[Aim, frozenset[Scenario]]] = {
    Aim.ROUND_TRIP: EXCHANGING,
    Aim.WITHIN: EXCHANGING,
    Aim.SUCCESS: frozenset(Scenario),
    Aim.DELIVERY: EXCHANGING,
    Aim.RECOVERY: OFFLINE,
    Aim.STABILITY: CONTINUOUS,
    Aim.TREND: EXCHANGING & CONTINUOUS,
}
"""The scenarios that measure each aim."""

DEFAULT_LIMITS: Final[Mapping[Aim, float]] = {
    Aim.ROUND_TRIP: 0.4,
    Aim.SUCCESS: 0.99,
    Aim.DELIVERY: 0.999,
    Aim.RECOVERY: 1.0,
    Aim.STABILITY: 0.999,
}
"""The limits that the relay's team checks.

A trend is reported, and checked only on request: P99s of few exchanges differ by chance.
"""

COLOURS: Final[Mapping[Aim, tuple[float, float]]] = {
    Aim.SUCCESS: (0.99, 0.95),
    Aim.DELIVERY: (0.999, 0.99),
    Aim.RECOVERY: (0.999, 0.99),
    Aim.STABILITY: (0.999, 0.99),
}
"""The lowest shares that are green, and yellow; lower ones are red."""


def objectives(scenario: Scenario, config: Config | None, given: Mapping[Aim, float]) -> list[Objective]:
    """Return the objectives of a test: the SLOs of a configuration that the scenario measures, else the defaults.

    Those `given` replace others of the same aim. Never empty: every scenario measures SUCCESS.
    """
    found = [] if config is None else [item for item in of_config(scenario, config) if scenario in APPLIES[item.aim]]
    found = found or [Objective(name=aim.value, aim=aim, limit=limit) for aim, limit in DEFAULT_LIMITS.items()]
    found = [item for item in found if item.aim not in given]
    found += [Objective(name=aim.value, aim=aim, limit=limit) for aim, limit in given.items()]
    return [item for item in found if scenario in APPLIES[item.aim]]


def of_config(scenario: Scenario, config: Config) -> list[Objective]:
    """Return the SLOs of a configuration's probes of a scenario, also those that a load test of it does not measure.

    Such a one is a `trend` of *realistic-session*: the monitor compares an hour with a day.
    """
    probes = {probe.name for probe in config.probes if probe.scenario is scenario}
    return [_of(slo, scenario) for slo in config.slos if probes & set(slo.probe)]


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
    """Return each objective with the value measured."""
    return [Judged(objective=item, value=measured(scenario, totals, item.aim, item.threshold)) for item in wanted]


def passed(scenario: Scenario, finished: FinishedTest, judged: Sequence[Judged]) -> bool:
    """Return whether a test passed: something succeeded, every objective was met, and no part of it is missing."""
    totals = finished.totals
    succeeded = totals.good if scenario in PAIRED else totals.successful
    complete = not finished.missing_workers and not aborted_too_much(finished)
    return succeeded > 0 and complete and all(item.passed for item in judged)


def aborted_too_much(finished: FinishedTest) -> bool:
    """Return whether this program aborted, without being stopped, so much of a test that the rest proves nothing."""
    totals = finished.totals
    everything = totals.attempted + totals.sent + totals.recoveries_attempted + totals.aborted
    return not finished.interrupted and totals.aborted > MAX_ABORTED_SHARE * everything


def measured(scenario: Scenario, totals: Totals, aim: Aim, threshold: float = 0.0) -> float | None:
    """Return the value of an aim; None if it was not measured."""
    if scenario not in APPLIES[aim]:
        return None
    sketch, trend = totals.sketches["messages"], totals.trend
    parts = {
        Aim.WITHIN: (sketch.within(threshold), totals.sent),
        Aim.SUCCESS: (totals.successful, totals.attempted),
        Aim.DELIVERY: (totals.received, totals.sent),
        Aim.RECOVERY: (totals.recoveries_received, totals.recoveries_attempted),
        Aim.STABILITY: (totals.connected_seconds, totals.due_seconds),
        Aim.TREND: (trend[1], trend[0]) if trend is not None else (0.0, 0.0),
        Aim.ROUND_TRIP: (sketch.quantile(0.99), 1.0 if sketch.counts else 0.0),
    }
    value, base = parts[aim]
    return value / base if base else None
