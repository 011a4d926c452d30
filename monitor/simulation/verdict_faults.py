"""Time from a fault of a relay to its page, by the verdicts of monitors and the generated rules.

Each trial is one fault of the simulated year's kinds, at a random time: attempts and rounds, scrapes, evaluations and
Alertmanager have other phases each time.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from monitor.simulation.year.kinds import KINDS
from monitor.simulation.year.plan import Fault
from monitor.simulation.year.simulate import simulate_faults

if TYPE_CHECKING:
    from monitor.config import Config, RelayConfig
    from monitor.simulation.promql.series import Floats
    from monitor.simulation.year.kinds import Kind
    from monitor.slo.rules.rule import Alert

FORECAST: Final = (
    "killed",
    "silent",
    "unavailable, 503",
    "asks for less, 429",
    "newcomers refused",
    "silent node of 3",
    "failover, 10–25 s",
)
"""The kinds of fault whose time to page is forecast for each relay, by name."""

DURATION: Final = 900.0
"""Seconds for which a fault is there, if its kind does not have a shorter time."""

APART: Final = 6 * 3600.0
"""Seconds between two trials: what one leaves behind has ended by the next."""

VERDICTS: Final = frozenset({"RelayDown", "RelayNotAccepting", "RelayPartialFailure"})
"""The alerts about the condition of one relay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictTimes:
    """The times to page of one kind of fault; `alert` is the one that came most often, "" if none came."""

    fault: str
    alert: str
    times: Floats


def verdict_times(config: Config, relay: RelayConfig, trials: int, rng: np.random.Generator) -> list[VerdictTimes]:
    """Return the seconds until a relay's page is sent, for each kind of fault; infinite where none is."""
    probes = tuple(
        probe.model_copy(update={"relays": (relay.name,)}) for probe in config.probes if relay.name in probe.relays
    )
    one = config.model_copy(update={"relays": (relay,), "probes": probes, "slos": (), "maintenance": ()})
    kinds = {kind.name: kind for kind in KINDS}
    return [_of_kind(one, relay, kinds[name], trials, rng) for name in FORECAST]


def _of_kind(config: Config, relay: RelayConfig, kind: Kind, trials: int, rng: np.random.Generator) -> VerdictTimes:
    faults = []
    for number in range(trials):
        start = APART * (number + 1) + rng.uniform(0, APART / 2)
        end = start + min(DURATION, kind.duration[1])
        faults.append(
            Fault(
                kind=kind,
                start=start,
                end=end,
                relays=frozenset({relay.name}),
                locations=frozenset(config.locations),
            )
        )
    seed = int(rng.integers(2**31))
    found = simulate_faults(config, faults, seed=seed, seconds=APART * (trials + 2), wanted=_is_verdict)
    severity = relay.max_severity
    times, names = [], Counter[str]()
    for fault in faults:
        first = math.inf
        for notification in found.notifications:
            new = [each for each in notification.new if each.severity == severity]
            if new and fault.start <= notification.at < fault.start + APART / 2:
                first = notification.at - fault.start
                names[new[0].alert] += 1
                break
        times.append(first)
    return VerdictTimes(fault=kind.name, alert=names.most_common(1)[0][0] if names else "", times=np.array(times))


def _is_verdict(alert: Alert) -> bool:
    return alert.name in VERDICTS
