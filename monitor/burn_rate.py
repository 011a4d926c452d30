"""When an error budget burns too fast: the windows and factors of the SRE workbook, made for few events.

Source: Site Reliability Engineering Workbook, chapter 5, "Alerting on SLOs", section 6 (multiple windows, multiple
burn rates). A probe makes few events, so a factor may ask for no more than one failure; and when counting has just
begun both windows hold the same few events. A single blip would page. So every condition also asks for `ENOUGH`
failures in its long window; where the factor asks for more, that changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

USUAL_WINDOW: Final = 30 * 86_400.0
"""Seconds of the window that the factors below are made for; others scale with it."""

ENOUGH: Final = 3
"""Failures that are no blip."""

SHORTEST: Final = 4
"""Scrapes that a window must hold at least: `increase` needs two, and one may be missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn:
    """One condition: the budget burns `factor` times too fast over both windows (seconds).

    A page also asks for failures within `recent` seconds: it must not outlive the repair. What has no events in its
    short window is judged by the last such window that had some, if that was as recent. `ENOUGH` failures are asked for
    within `counted` seconds; None: within the long window.
    """

    severity: str  # critical or warning
    factor: Decimal
    long: float
    short: float
    keep_firing: float
    recent: float = 300.0
    counted: float | None = None

    def failures(self, objective: Decimal, rate: float) -> int:
        """Failures within the long window that fulfil the condition, at `rate` events a second."""
        return max(ENOUGH, math.floor(float(self.factor * (1 - objective)) * rate * self.long) + 1)

    def half_of_full(self, rate: float) -> float:
        """Half of what a full long window must hold of failures, in budgets, at `rate` events a second.

        Asked for where seconds are counted: `ENOUGH` of them pass in any reconnect, and when counting has just begun
        they are a large part of all.
        """
        return float(self.factor) * rate * self.long / 2


_USUAL: Final = (
    Burn(severity="critical", factor=Decimal("14.4"), long=3600.0, short=300.0, keep_firing=300.0),
    Burn(severity="critical", factor=Decimal(6), long=21_600.0, short=1800.0, keep_firing=300.0),
    Burn(severity="warning", factor=Decimal(3), long=86_400.0, short=7200.0, keep_firing=1800.0),
    Burn(severity="warning", factor=Decimal(1), long=259_200.0, short=21_600.0, keep_firing=1800.0),
)


def burns(window: float, scrape_interval: float, gap: float = 0.0) -> tuple[Burn, ...]:
    """The conditions for an SLO over `window` seconds; no window is too short for the scrapes it needs.

    `gap` is the longest time between two of its events, in seconds. What happens more rarely than `recent` is recent
    for as long: else a page would end before anything was tried again, and come anew with each failure.
    """
    scale = window / USUAL_WINDOW
    least = SHORTEST * scrape_interval
    made = [
        _for_gap(
            Burn(
                severity=burn.severity,
                factor=burn.factor,
                long=round(max(burn.long * scale, 2 * least), 3),
                short=round(max(burn.short * scale, least), 3),
                # A failure is seen up to two scrapes after it came.
                keep_firing=max(burn.keep_firing * min(1.0, scale), 2 * scrape_interval),
                recent=round(max(burn.recent * min(1.0, scale), least), 3),
            ),
            gap,
            2 * scrape_interval,
        )
        for burn in _USUAL
    ]
    # Where windows are too short to differ, the smaller factor, which comes later, says all that the other would.
    return tuple({(burn.severity, burn.long, burn.short): burn for burn in made}.values())


def _for_gap(burn: Burn, gap: float, late: float) -> Burn:
    """The condition for events that are so far apart, and counted so late."""
    if gap + late <= burn.recent:
        return burn
    # The long window may hold enough failures at times only; one that always does is at most half as long again.
    always = ENOUGH * gap + late
    fits_at_times = (ENOUGH - 1) * gap < burn.long < always
    return replace(burn, recent=round(gap + late, 3), counted=round(always, 3) if fits_at_times else None)
