"""How long until a relay that is gone, or says nothing, pages: the way of `relay_up` from the fault to the alert."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from monitor.config.probe import CONFIRMATION_SPACING, MAX_ATTEMPT_TIME
from monitor.scenarios import SPECS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.config import ProbeConfig
    from monitor.slo.simulation import Floats, Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A kind of outage. `drops`: standing connections notice at once; `refuses`: a fresh attempt fails at once."""

    name: str
    drops: bool
    refuses: bool


KILLED: Final = Outage(name="killed", drops=True, refuses=True)
SILENT: Final = Outage(name="silent", drops=False, refuses=False)


def pages_at(
    outage: Outage, probes: Sequence[ProbeConfig], pace: Pace, trials: int, rng: np.random.Generator
) -> Floats:
    """Seconds from the fault until `RelayDown` fires, for each trial; `probes` are those of one relay."""
    noticed = np.min([_noticed(outage, probe, trials, rng) for probe in probes], axis=0)
    first = probes[0]
    attempt = 0.0 if outage.refuses else min(MAX_ATTEMPT_TIME, *(probe.timeout for probe in probes))
    fell = noticed + CONFIRMATION_SPACING * (first.confirm.attempts - 1) + attempt
    fires: Floats = fell + rng.uniform(0, pace.scrape, trials) + rng.uniform(0, pace.evaluation, trials)
    return fires


def _noticed(outage: Outage, probe: ProbeConfig, trials: int, rng: np.random.Generator) -> Floats:
    """Seconds until a probe's first failed run or dropped connection."""
    if probe.is_continuous and outage.drops:
        return np.zeros(trials)
    if SPECS[probe.scenario].continuous and not SPECS[probe.scenario].paired:
        return np.full(trials, np.inf)  # silent connections are told by their pings, later than all others notice
    late = 0.0 if outage.refuses else probe.timeout + probe.diagnosis_timeout
    if not probe.is_continuous:
        assert probe.period is not None
        return rng.uniform(0, probe.period, trials) + late
    # Standing pairs send one after another: a request at the cycle's beginning, an answer an interval later.
    spread = np.arange(probe.pairs) * probe.cycle / probe.pairs
    phase = (rng.uniform(0, probe.cycle, (trials, 1)) + spread) % probe.cycle
    answer = np.where(phase >= probe.message_interval, phase - probe.message_interval, np.inf)
    sooner: Floats = np.min(np.minimum(phase, answer), axis=1)
    return sooner + late
