"""A relay in virtual time."""

from __future__ import annotations

import pytest

import monitor.relay.client
from tests.load.in_memory_relay import InMemoryRelay


@pytest.fixture
def relay(monkeypatch: pytest.MonkeyPatch) -> InMemoryRelay:
    """Replace the dial by an in-memory relay."""
    in_memory = InMemoryRelay()
    monkeypatch.setattr(monitor.relay.client, "dial", in_memory.dial)
    return in_memory
