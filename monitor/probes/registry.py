"""The registry of probes: one entry a scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.probes.async_delivery import AsyncDelivery
from monitor.probes.realistic_session import RealisticSession
from monitor.probes.runner import ContinuousProbe
from monitor.probes.steady_messaging import SteadyMessaging
from monitor.probes.steady_state import SteadyState
from monitor.vocabulary import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.probes.runner import Probe

PROBES: Final[dict[Scenario, Callable[[], Probe]]] = {
    Scenario.STEADY_MESSAGING: SteadyMessaging,
    Scenario.ASYNC_DELIVERY: AsyncDelivery,
    Scenario.REALISTIC_SESSION: RealisticSession,
    Scenario.CONNECTION_STORM: SteadyState,  # without a duration to hold the connections for
    Scenario.STEADY_STATE: SteadyState,
}
"""Makes the probe of a scenario. One object serves one probe at one relay."""


def continuous_probe(scenario: Scenario) -> ContinuousProbe:
    """Make the probe of a scenario that can be `schedule: continuous`. Raises `ValueError` for any other."""
    probe = PROBES[scenario]()
    if not isinstance(probe, ContinuousProbe):
        message = f"{scenario} cannot be continuous"
        raise ValueError(message)  # noqa: TRY004 - a wrong value: the type follows from it
    return probe
