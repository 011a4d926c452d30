"""connection-storm: many connects, spread over a ramp; each is one exchange, ok once the relay has said hello."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.probes.steady_state import SteadyState

if TYPE_CHECKING:
    from monitor.config import ProbeConfig


class ConnectionStorm(SteadyState):
    """steady-state that holds nothing: connect, and leave again."""

    def deadline(self, config: ProbeConfig) -> float:
        """The ramp and the last connect."""
        return config.ramp_up + config.timeout
