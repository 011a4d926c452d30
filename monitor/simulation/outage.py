"""Time from an outage to `RelayDown`, for a killed and for a silent relay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from monitor.config.relay import CONFIRMATION_SPACING, MAX_ATTEMPT_TIME
from monitor.scenarios import SPECS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.config import ConfirmConfig, ProbeConfig
    from monitor.simulation.budgets import Floats, Intervals


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A kind of outage.

    `drops`: persistent connections are closed at once; `refuses`: confirmation attempts fail at once.
    """

    name: str
    drops: bool
    refuses: bool


KILLED: Final = Outage(name="killed", drops=True, refuses=True)
SILENT: Final = Outage(name="silent", drops=False, refuses=False)


def relay_down_times(
    outage: Outage,
    confirm: ConfirmConfig,
    probes: Sequence[ProbeConfig],
    intervals: Intervals,
    trials: int,
    rng: np.random.Generator,
) -> Floats:
    """Return the seconds until `RelayDown` fires in each trial; `confirm` and `probes` are those of one relay."""
    detected = np.min([_detection_times(outage, probe, trials, rng) for probe in probes], axis=0)
    attempt = 0.0 if outage.refuses else min(MAX_ATTEMPT_TIME, *(probe.timeout for probe in probes))
    confirmed = detected + CONFIRMATION_SPACING * (confirm.attempts - 1) + attempt
    fires: Floats = confirmed + rng.uniform(0, intervals.scrape, trials) + rng.uniform(0, intervals.evaluation, trials)
    return fires


def _detection_times(outage: Outage, probe: ProbeConfig, trials: int, rng: np.random.Generator) -> Floats:
    """Return the seconds until the probe's first failed run or dropped connection in each trial."""
    if probe.is_continuous and outage.drops:
        return np.zeros(trials)
    if SPECS[probe.scenario].continuous and not SPECS[probe.scenario].paired:
        return np.full(trials, np.inf)  # found by missing pings, later than by every other probe
    failure_delay = 0.0 if outage.refuses else probe.timeout + probe.diagnosis_timeout
    if not probe.is_continuous:
        assert probe.period is not None
        return rng.uniform(0, probe.period, trials) + failure_delay
    # The pairs are spread over the cycle. Each sends a request when its cycle starts and a response an interval later.
    offsets = np.arange(probe.pairs) * probe.cycle / probe.pairs
    until_request = (rng.uniform(0, probe.cycle, (trials, 1)) + offsets) % probe.cycle
    until_response = np.where(until_request >= probe.message_interval, until_request - probe.message_interval, np.inf)
    next_message: Floats = np.min(np.minimum(until_request, until_response), axis=1)
    return next_message + failure_delay
