"""Burn-rate conditions of an error budget: windows and factors, adapted to the few events that probes make.

Source: Site Reliability Engineering Workbook, chapter 5, "Alerting on SLOs", section 6 (multiple windows, multiple burn
rates). With few events a factor may be exceeded by a single failure, and after a cold start the long and the short
window hold the same few events. Each condition therefore also requires `MIN_FAILURES` failures in its long window.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

REFERENCE_WINDOW: Final = 30 * 86_400.0
"""SLO window, in seconds, of the workbook's conditions; the conditions of other windows are scaled."""

MIN_FAILURES: Final = 3
"""Failures that a condition requires; fewer are treated as a blip."""

MAX_RATIO: Final = Decimal("0.9")
"""Ratio of failures that is enough for every condition: a large budget cannot burn as fast as its factor says."""

MIN_SCRAPES: Final = 4
"""Scrapes that every window spans at least: `increase` needs two samples, and a scrape may fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnCondition:
    """One alert condition: the burn rate exceeds `factor` over both windows. All times are in seconds.

    A page also requires a failure within `recent_window`, so that it resolves soon after the repair. If the short
    window has no events, the ratio of the last short window with events counts, if it is at most `recent_window` old.
    The `MIN_FAILURES` failures are counted over `count_window`; None: over `long_window`.
    """

    severity: str  # critical or warning
    factor: Decimal
    long_window: float
    short_window: float
    keep_firing_for: float
    recent_window: float = 300.0
    count_window: float | None = None

    def limit(self, budget: Decimal) -> Decimal:
        """Return the ratio of failures that must be exceeded, for the ratio that a budget allows."""
        return min(self.factor * budget, MAX_RATIO)

    def half_window_failures(self, rate: float) -> float:
        """Half of the failures in a full long window at this factor, as a multiple of the error budget ratio.

        `rate` is in events a second. This is required where the events are seconds of connection time: any reconnect
        makes `MIN_FAILURES` of them, and after a cold start they are a large share of all events.
        """
        return float(self.factor) * rate * self.long_window / 2


_REFERENCE_CONDITIONS: Final = (
    BurnCondition(
        severity="critical", factor=Decimal("14.4"), long_window=3600.0, short_window=300.0, keep_firing_for=300.0
    ),
    BurnCondition(
        severity="critical", factor=Decimal(6), long_window=21_600.0, short_window=1800.0, keep_firing_for=300.0
    ),
    BurnCondition(
        severity="warning", factor=Decimal(3), long_window=86_400.0, short_window=7200.0, keep_firing_for=1800.0
    ),
    BurnCondition(
        severity="warning", factor=Decimal(1), long_window=259_200.0, short_window=21_600.0, keep_firing_for=1800.0
    ),
)


def burn_conditions(window: float, scrape_interval: float, event_gap: float = 0.0) -> tuple[BurnCondition, ...]:
    """Return the conditions for an SLO over `window` seconds; every window spans at least `MIN_SCRAPES` scrapes.

    `event_gap` is the longest time between two events of the SLO, in seconds. `recent_window` is extended to it:
    otherwise a page would resolve before the next event and fire again with each failure.
    """
    scale = window / REFERENCE_WINDOW
    shortest = MIN_SCRAPES * scrape_interval
    scaled = [
        _for_event_gap(
            BurnCondition(
                severity=condition.severity,
                factor=condition.factor,
                long_window=round(max(condition.long_window * scale, 2 * shortest), 3),
                short_window=round(max(condition.short_window * scale, shortest), 3),
                # Prometheus sees a failure up to two scrapes after it.
                keep_firing_for=max(condition.keep_firing_for * min(1.0, scale), 2 * scrape_interval),
                recent_window=round(max(condition.recent_window * min(1.0, scale), shortest), 3),
            ),
            event_gap,
            2 * scrape_interval,
        )
        for condition in _REFERENCE_CONDITIONS
    ]
    # Of two conditions with the same windows the later has the smaller factor, which implies the other.
    by_windows = {(each.severity, each.long_window, each.short_window): each for each in scaled}
    return tuple(by_windows.values())


def _for_event_gap(condition: BurnCondition, event_gap: float, scrape_delay: float) -> BurnCondition:
    """Adapt a condition to events that are `event_gap` apart and visible `scrape_delay` later; seconds."""
    if event_gap + scrape_delay <= condition.recent_window:
        return condition
    # A long window between these lengths holds enough failures only some of the time; `always` does at any time.
    always = MIN_FAILURES * event_gap + scrape_delay
    fits_at_times = (MIN_FAILURES - 1) * event_gap < condition.long_window < always
    return replace(
        condition,
        recent_window=round(event_gap + scrape_delay, 3),
        count_window=round(always, 3) if fits_at_times else None,
    )
