"""The registry of probes: the class that runs each scenario, as its `ScenarioSpec` names it."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Final

from monitor.probes.runner import ContinuousProbe
from monitor.scenarios import SPECS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from monitor.probes.runner import Probe
    from monitor.scenarios import Scenario

PROBES: Final[Mapping[Scenario, Callable[[], Probe]]] = {
    scenario: resolve_name(spec.probe) for scenario, spec in SPECS.items()
}
"""Makes the probe of a scenario. One object serves one probe at one relay."""


def continuous_probe(scenario: Scenario) -> ContinuousProbe:
    """Make the probe of a scenario that can be `schedule: continuous`. Raises `ValueError` for any other."""
    probe = PROBES[scenario]()
    if not isinstance(probe, ContinuousProbe):
        message = f"{scenario} cannot be continuous"
        raise ValueError(message)  # noqa: TRY004 - a wrong value: the type follows from it
    return probe
