"""The forecast of a configuration: for each relay and alert, when it pages, how often in vain, and what never pages."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import groupby, repeat
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np

from monitor.burn_rate import burn_conditions
from monitor.config.traffic import rate, sources
from monitor.slo import simulation
from monitor.slo.alertmanager import GROUP_WAIT
from monitor.slo.outage import KILLED, SILENT, pages_at
from monitor.slo.rules.relays import SECOND_LOSS
from monitor.slo.rules.relays import pace as rarity
from monitor.slo.simulation import Pace, Rule, Spread
from monitor.slo.trend import SPREAD_OF_LATENCY, trend_fires_at, trends_in_vain
from monitor.vocabulary import Sli

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from monitor.config import Config, RelayConfig, SloConfig
    from monitor.config.traffic import Source
    from monitor.slo.simulation import Floats, Judged, Track

DAY: Final = 86_400.0
MONTH: Final = 30 * DAY
FOLLOWED: Final = {"critical": 0.25 * DAY, "warning": 3 * DAY}
"""Seconds for which a fault is followed: past that, an alert of this severity has not paged."""

UP: Final = "all fail, relay up"
"""All of a probe's events fail, and fresh attempts get through; where they do not, `RelayDown` is what pages."""

ERRORS: Final = ((UP, 1.0), ("10 % errors", 0.10), ("2 % errors", 0.02))
SLOWER: Final = "latency ×2"
TWICE: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line: what happens to one alert of one relay under one fault; `spread` None: it never pages."""

    relay: str
    slo: str  # "" for alerts that belong to no SLO
    alert: str
    severity: str
    fault: str
    spread: Spread | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Pages in vain: how many a month a healthy relay causes where each event fails by chance."""

    relay: str
    slo: str
    severity: str
    ratio: float
    pages_a_month: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """All of it."""

    rows: tuple[Row, ...]
    noise: tuple[Noise, ...]

    @property
    def never(self) -> tuple[Row, ...]:
        """What no alert of that severity will ever tell."""
        return tuple(row for row in self.rows if row.spread is None)


def forecast(config: Config, *, seed: int, trials: int, noise: Sequence[float], months: int) -> Forecast:
    """Simulate every relay and SLO of a configuration; the same seed gives the same figures."""
    rng = np.random.default_rng(seed)
    pace = Pace(
        scrape=config.prometheus.scrape_interval,
        evaluation=config.prometheus.evaluation_interval,
    )
    rows: list[Row] = []
    vain: list[Noise] = []
    for relay in config.relays:
        probes = [probe for probe in config.probes if relay.name in probe.relays]
        severity = "critical" if relay.max_severity == "critical" else "warning"
        for outage in (KILLED, SILENT):
            spread = Spread.of(pages_at(outage, probes, pace, max(trials, 1000), rng) + GROUP_WAIT[severity])
            rows.append(
                Row(
                    relay=relay.name,
                    slo="",
                    alert="RelayDown",
                    severity=severity,
                    fault=outage.name,
                    spread=spread,
                )
            )
        for slo in config.slos:
            fed = sources(config, slo, relay.name)
            if not fed:
                continue
            if slo.sli is Sli.TREND:
                rows.append(_trend(slo, relay, fed, pace, trials, rng))
                vain.append(_trend_in_vain(slo, relay, fed, pace, months, rng))
                continue
            made = _Slo(config, slo, relay, fed)
            rows += made.rows(pace, trials, rng)
            vain += made.noise(pace, noise, months, rng)
    return Forecast(rows=tuple(rows), noise=tuple(vain))


def _trend(
    slo: SloConfig, relay: RelayConfig, fed: Sequence[Source], pace: Pace, trials: int, rng: np.random.Generator
) -> Row:
    """A trend has no budget that errors could burn: only slower round trips are its fault."""
    times = [min(trend_fires_at(slo, each, TWICE, pace, rng) for each in _by_probe(fed)) for _ in range(trials)]
    return Row(
        relay=relay.name,
        slo=slo.name,
        alert="RelayLatencyTrend",
        severity="warning",
        fault=SLOWER,
        spread=Spread.of(np.array(times) + GROUP_WAIT["warning"]),
    )


def _trend_in_vain(
    slo: SloConfig, relay: RelayConfig, fed: Sequence[Source], pace: Pace, months: int, rng: np.random.Generator
) -> Noise:
    """What is told of round trips that only vary, with another median each month; nothing fails."""
    told = sum(trends_in_vain(slo, each, MONTH, pace, rng) for each in _by_probe(fed) for _ in range(months))
    return Noise(relay=relay.name, slo=slo.name, severity="warning", ratio=0.0, pages_a_month=told / months)


def _by_probe(fed: Sequence[Source]) -> list[list[Source]]:
    return [list(each) for _, each in groupby(fed, lambda source: source.probe)]


class _Slo:
    """One SLO at one relay; each of its probes is judged by itself, and any of them sends the SLO's alert."""

    def __init__(self, config: Config, slo: SloConfig, relay: RelayConfig, fed: Sequence[Source]) -> None:
        objective = slo.objective_for(relay.name)
        assert objective is not None
        self._slo, self._relay, self._objective = slo, relay.name, objective
        self._fed = _by_probe(fed)
        self._alert = "RelayMessagesLost" if objective == 1 else "RelayErrorBudgetBurn"
        pages = relay.max_severity == "critical"
        self._severities = ("critical", "warning") if pages else ("warning",)
        self._rules: list[dict[str, list[Rule]]] = []  # each probe's, as rare as it is, by severity
        gaps = {probe.name: rarity(probe) for probe in config.probes}
        for each in self._fed:
            rules: dict[str, list[Rule]] = {severity: [] for severity in self._severities}
            for burn in burn_conditions(slo.window, config.prometheus.scrape_interval, gaps[each[0].probe]):
                least = (
                    burn.half_window_failures(rate(each)) * float(1 - objective) if slo.sli is Sli.STABILITY else 0.0
                )
                rules[burn.severity if pages else "warning"].append(Rule(burn=burn, objective=objective, least=least))
            self._rules.append(rules)

    def rows(self, pace: Pace, trials: int, rng: np.random.Generator) -> list[Row]:
        faults = list(ERRORS)
        if self._slo.sli is Sli.LATENCY:
            faults.append((SLOWER, slow_ratio(float(1 - self._objective), TWICE)))
        return [
            Row(
                relay=self._relay,
                slo=self._slo.name,
                alert=self._alert,
                severity=severity,
                fault=fault,
                spread=Spread.of(np.array(times) + GROUP_WAIT[severity]),
            )
            for fault, ratio in faults
            for severity, times in self._times(ratio, pace, trials, rng).items()
        ]

    def _times(self, ratio: float, pace: Pace, trials: int, rng: np.random.Generator) -> dict[str, list[float]]:
        zero = self._objective == 1
        history = (
            0.0
            if zero
            else max(rule.burn.long_window for rules in self._rules for each in rules.values() for rule in each)
        )
        times: dict[str, list[float]] = {severity: [] for severity in self._severities}
        for _ in range(trials):
            tracks = self._tracks(
                -history, max(FOLLOWED.values()), lambda at: (at >= 0) & (rng.random(len(at)) < ratio), rng
            )
            for severity in self._severities:
                followed = FOLLOWED[severity]
                if zero:
                    told = min(map(_loss_told, tracks, self._fed, repeat(severity)))
                    late = rng.uniform(0, pace.scrape) + rng.uniform(0, pace.evaluation)
                    times[severity].append(told + late if told < followed else math.inf)
                else:
                    times[severity].append(
                        simulation.first_page(self._judged(severity, tracks), 0.0, followed, pace, rng)
                    )
        return times

    def _tracks(
        self, start: float, end: float, bad: Callable[[Floats], NDArray[np.bool_]], rng: np.random.Generator
    ) -> list[Track]:
        return [simulation.events(sources, start, end, bad, rng) for sources in self._fed]

    def _judged(self, severity: str, tracks: Sequence[Track]) -> list[Judged]:
        return [(track, rules[severity]) for track, rules in zip(tracks, self._rules, strict=True)]

    def noise(self, pace: Pace, ratios: Sequence[float], months: int, rng: np.random.Generator) -> list[Noise]:
        found = []
        for ratio in ratios:
            pages = Counter[str]()
            for _ in range(months):
                pages.update(self._in_vain(ratio, pace, rng))
            found += [
                Noise(
                    relay=self._relay,
                    slo=self._slo.name,
                    severity=severity,
                    ratio=ratio,
                    pages_a_month=pages[severity] / months,
                )
                for severity in self._severities
            ]
        return found

    def _in_vain(self, ratio: float, pace: Pace, rng: np.random.Generator) -> dict[str, int]:
        tracks = self._tracks(0.0, MONTH, lambda at: rng.random(len(at)) < ratio, rng)
        if self._objective == 1:
            # A loss is told until none was there for a quarter of an hour; one within it is the second.
            close = [np.diff(track.bad) <= SECOND_LOSS for track in tracks]
            begun = sum(len(track.bad) - int(np.count_nonzero(near)) for track, near in zip(tracks, close, strict=True))
            again = sum(int(np.count_nonzero(near)) for near in close)
            return {severity: begun if severity == "warning" else again for severity in self._severities}
        return {
            severity: simulation.pages_in(self._judged(severity, tracks), 0.0, MONTH, pace, rng)
            for severity in self._severities
        }


def _loss_told(track: Track, fed: Sequence[Source], severity: str) -> float:
    """When the loss is known that is told: the first warns, the second within a quarter of an hour pages.

    A page wants the messages to be gone too, and of one that may be late that is known a time-out after its failure.
    """
    if severity == "warning":
        told = track.bad
    else:
        told = track.bad[1:][np.diff(track.bad) <= SECOND_LOSS] + max(each.timeout for each in fed)
    return float(told[0]) if len(told) else math.inf


def slow_ratio(bad: float, factor: float) -> float:
    """The share of round trips past the threshold once all take `factor` times as long.

    Before, `bad` of them are: a relay that just meets its objective. Round trips are taken as log-normal.
    """
    normal = NormalDist()
    return 1 - normal.cdf(normal.inv_cdf(1 - bad) - math.log(factor) / SPREAD_OF_LATENCY)
