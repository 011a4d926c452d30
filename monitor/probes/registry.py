"""Every scenario by its name: the one place that knows them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.probes.async_delivery import AsyncDelivery
from monitor.probes.connection_storm import ConnectionStorm
from monitor.probes.realistic_session import RealisticSession
from monitor.probes.steady_messaging import SteadyMessaging
from monitor.probes.steady_state import SteadyState
from monitor.vocabulary import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.probes.runner import ContinuousProbe, Probe

SCENARIOS: Final[dict[Scenario, Callable[[], Probe]]] = {
    Scenario.STEADY_MESSAGING: SteadyMessaging,
    Scenario.ASYNC_DELIVERY: AsyncDelivery,
    Scenario.REALISTIC_SESSION: RealisticSession,
    Scenario.CONNECTION_STORM: ConnectionStorm,
    Scenario.STEADY_STATE: SteadyState,
}

STANDING: Final[dict[Scenario, Callable[[], ContinuousProbe]]] = {
    Scenario.STEADY_MESSAGING: SteadyMessaging,
    Scenario.STEADY_STATE: SteadyState,
}
"""The scenarios that can be `schedule: continuous`."""
