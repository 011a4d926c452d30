"""Fixtures: an embedded relay as in `tests.probes`, and a relay verdict in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.probes.conftest import nothing_is_left_open, relay
from tests.reachability.harness import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["nothing_is_left_open", "relay", "world"]


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    made = World(monkeypatch)
    await made.start()
    yield made
    await made.monitored_relays.stop()
