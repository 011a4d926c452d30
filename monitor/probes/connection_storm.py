"""connection-storm: many connects, spread over a ramp; each is one exchange, ok once the relay has said hello."""

from __future__ import annotations

from monitor.probes.steady_state import SteadyState


class ConnectionStorm(SteadyState):
    """steady-state with nothing to hold: a storm has no duration but its ramp."""
