"""A deploy in maintenance on demand: it costs nothing, and a relay that is still down afterwards is known as such.

In virtual time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from monitor.schedule import Maintenance, OnDemandWindows
from monitor.vocabulary import Condition, Outcome
from tests.daemon.test_outages import SLOS, bad, configured, fail, repair
from tests.daemon.virtual_monitor import virtual_monitor
from tests.probes.harness import embedded
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    from tests.daemon.virtual_monitor import VirtualMonitor

pytestmark = WITH_SOCKETS

LENGTH = 120.0


def start_window(monitor: VirtualMonitor) -> float:
    """Start maintenance of the relay; return its end on the monotonic clock."""
    windows = OnDemandWindows(monitor.clock)
    windows.start(["demo"], LENGTH, "deploy 1234", "ana")
    monitor.maintenance = Maintenance((), monitor.clock, windows)
    return monitor.clock.monotonic() + LENGTH


@pytest.mark.parametrize("kind", ["refused", "silent"])
async def test_a_deploy_that_ends_in_its_window_leaves_no_trace(kind: str) -> None:
    async with embedded() as relay, virtual_monitor(configured(relay.url)) as monitor:
        await monitor.until_up()
        await asyncio.sleep(300.0)
        ends_at = start_window(monitor)
        await asyncio.sleep(10.0)
        await fail(relay, kind)
        await asyncio.sleep(LENGTH - 70.0)
        await repair(relay, kind)
        await asyncio.sleep(360.0)
        assert len(monitor.runs([Outcome.EXCLUDED])) > 5
        assert bad(monitor) == dict.fromkeys(SLOS, 0)
        assert monitor.runs([Outcome.FAILED]) == []
        seen = [(round(at - ends_at), status.condition) for at, status in monitor.statuses if at > ends_at]
        assert {condition for _, condition in seen} <= {Condition.UP}, seen
        assert monitor.incidents.current() == {}


async def test_a_relay_that_is_still_down_after_its_window_has_the_time_at_which_it_went_down() -> None:
    async with embedded() as relay, virtual_monitor(configured(relay.url)) as monitor:
        await monitor.until_up()
        ends_at = start_window(monitor)
        await asyncio.sleep(30.0)
        killed = monitor.clock.time()
        await fail(relay, "refused")
        await asyncio.sleep(ends_at - monitor.clock.monotonic() - 1)
        status = monitor.last_statuses()["demo"]
        assert status.condition is Condition.DOWN
        assert status.since.timestamp() - killed <= 40.0  # a regular attempt and its round
        assert bad(monitor) == dict.fromkeys(SLOS, 0)
        assert monitor.incidents.current() == {}
        await asyncio.sleep(60.0)
        assert monitor.last_statuses()["demo"].since == status.since
        assert bad(monitor)["delivery"] > 0
        assert list(monitor.incidents.current()) == ["demo"]
