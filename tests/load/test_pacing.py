"""When pairs and connections start and disconnect."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from monitor.scenarios import Scenario
from tests.load.recording import PAIRS, RecordedRun
from tests.virtual_time import WITHOUT_SOCKETS

if TYPE_CHECKING:
    from tests.load.in_memory_relay import InMemoryRelay

pytestmark = WITHOUT_SOCKETS


async def test_starts_are_spread_over_the_ramp_up_and_do_not_wait_for_connects(relay: InMemoryRelay) -> None:
    relay.silent = True
    recorded = await RecordedRun(relay, Scenario.REALISTIC_SESSION, timeout=30.0).run()
    assert recorded.dialled == pytest.approx([0.0, 2.0, 4.0, 6.0])  # although none was ever answered
    assert recorded.totals.attempted == PAIRS
    assert recorded.totals.reasons == {"hello/silent": PAIRS}


async def test_a_worker_starts_its_pairs_when_a_single_process_would(relay: InMemoryRelay) -> None:
    relay.silent = True
    recorded = await RecordedRun(relay, Scenario.REALISTIC_SESSION, worker=(1, 2), timeout=5.0).run()
    assert recorded.dialled == pytest.approx([2.0, 6.0])


async def test_steady_pairs_never_send_in_one_burst(relay: InMemoryRelay) -> None:
    recorded = await RecordedRun(relay, Scenario.STEADY_MESSAGING, duration=30.0).run()
    ends = sorted(at for number in range(PAIRS) for at in recorded.exchanges(number))
    assert min(later - earlier for earlier, later in pairwise(ends)) > 0.5


async def test_pairs_disconnect_one_after_another(relay: InMemoryRelay) -> None:
    recorded = await RecordedRun(relay, Scenario.STEADY_MESSAGING, duration=30.0, ramp_up=0.0, connection_pairs=5).run()
    leaving = sorted(recorded.disconnected)[::2]  # each pair has two connections
    assert [later - earlier for earlier, later in pairwise(leaving)] == pytest.approx([0.001] * 4)
    recorded = await RecordedRun(cleared(relay), Scenario.STEADY_STATE, duration=1.0, ramp_up=8.0, connections=5).run()
    assert [later - earlier for earlier, later in pairwise(recorded.disconnected)] == pytest.approx([1.6] * 4)


def cleared(relay: InMemoryRelay) -> InMemoryRelay:
    relay.disconnected.clear()
    relay.dialled.clear()
    return relay
