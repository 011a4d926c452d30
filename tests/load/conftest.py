"""A relay in virtual time."""

from __future__ import annotations

import asyncio

import pytest

import monitor.relay.client
from tests.load.stand_in import StandIn


@pytest.fixture(scope="session", autouse=True)
def _no_stray_loop() -> None:
    """looptime's plugin asks for the current loop around every test, which makes one, and leaks it, unless told not."""
    asyncio.set_event_loop(None)


@pytest.fixture
def relay(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The stand-in, in the dial's place."""
    made = StandIn()
    monkeypatch.setattr(monitor.relay.client, "dial", made.dial)
    return made
