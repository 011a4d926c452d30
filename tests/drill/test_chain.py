"""A drill comes back with a second between scrapes; without its route it does not. `make drill` has all cuts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.drill.chain import Chain

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.required_counterpart("prometheus"), pytest.mark.slow, pytest.mark.timeout(180)]


async def test_a_drill_comes_back_and_without_its_route_it_fails(tmp_path: Path) -> None:
    async with Chain(tmp_path, interval="1s", waits="1s") as chain:
        await chain.until_up(60)
        done = await chain.drill("60s")
        assert done.status == 0, done.text
        times = [each["seconds"] for each in done.drill["links"]]
        assert times == sorted(times)
        assert done.drill["scraper"].startswith("Prometheus/")
        assert await chain.forged() == 401  # it was not the right to read that let the notification in
        async with chain.cut("route"):
            failed = await chain.drill("8s")
            assert (failed.status, failed.drill["missing"]) == (1, "received"), failed.text
            await chain.world.receiver.until(lambda: "RelayMonitorDrillFailed" in chain.received("tickets"), 30)
        assert chain.world.receiver.pages() == []
        notified = chain.received("tickets") | chain.received("pages")
        assert "RelayMonitorDrill" not in notified
