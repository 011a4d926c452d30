"""The start of many relays: no burst of connects, and the first verdict on each in time. In virtual time."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from monitor.config import parse
from monitor.pairs.admission import RelayAdmission
from monitor.schedule.spread import RELAYS_PER_SECOND
from monitor.vocabulary import Condition
from tests.daemon.virtual_monitor import virtual_monitor
from tests.probes.harness import embedded
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    import pytest

    from monitor.wire.commands import Connect

pytestmark = WITH_SOCKETS

RELAYS = 60
EVERY = 10.0
"""Seconds between two attempts."""


def within_a_second(times: list[float]) -> int:
    """Return the most times of any second."""
    return max(sum(start <= time < start + 1 for time in times) for start in times)


async def test_the_start_of_many_relays_is_no_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four relays begin a second, and as many attempts as later; each relay has its verdict after the first attempt."""
    connects: list[float] = []
    hello = RelayAdmission._hello

    async def noted(self: RelayAdmission) -> Connect:
        connects.append(asyncio.get_running_loop().time())
        return await hello(self)

    monkeypatch.setattr(RelayAdmission, "_hello", noted)
    async with embedded() as relay:
        names = ", ".join(
            f"{{name: relay-{number}, url: '{relay.url}', confirm: {{every: 10s}}}}" for number in range(RELAYS)
        )
        probes = "probes: [{name: idle, scenario: steady-state, connections: 1}]"
        started = asyncio.get_running_loop().time()
        async with virtual_monitor(parse(f"relays: [{names}]\n{probes}", "test", {})) as made:
            await asyncio.sleep(EVERY + 1)
            verdicts = [at - started for at, status in made.statuses if status.condition is Condition.UP]
            await asyncio.sleep(8)
    assert len(verdicts) == RELAYS
    assert max(verdicts) < EVERY + 0.5
    attempts = math.ceil(RELAYS / EVERY) + 2
    assert within_a_second(connects) <= 2 * attempts + RELAYS_PER_SECOND + 1
    later = [time for time in connects if time - started > RELAYS / RELAYS_PER_SECOND + 1]
    assert within_a_second(later) <= 2 * attempts
    assert later
