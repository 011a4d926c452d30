"""A relay in virtual time."""

from __future__ import annotations

import pytest

import monitor.relay.client
from tests.load.stand_in import StandIn


@pytest.fixture
def relay(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The stand-in, in the dial's place."""
    made = StandIn()
    monkeypatch.setattr(monitor.relay.client, "dial", made.dial)
    return made
