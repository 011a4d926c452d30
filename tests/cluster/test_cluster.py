"""One short incident on a real cluster; `make cluster` has all of them, with Prometheus and Alertmanager."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cluster.cases import is_down, is_well
from tests.cluster.cluster import redis_program
from tests.cluster.incident import Case, Incident
from tests.cluster.runner import run_all

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.required_counterpart("redis-server"), pytest.mark.slow, pytest.mark.timeout(240)]


async def lose_one_node_and_then_both(incident: Incident) -> None:
    """Kill a node, which harms nobody; then the other one; then start both."""
    first, second = incident.cluster.nodes
    await first.kill()
    await incident.wait(10)
    incident.never("down", lambda said: said.up != 1)
    await second.kill()
    await incident.says("down", is_down, 30)
    cause = incident.observer.now(incident.key).cause
    incident.check("the cause is the balancer's 502", good=cause == "upgrade http_status 502", found=cause)
    await first.start()
    await incident.says("up and accepting", is_well, 60)


@pytest.mark.usefixtures("centrifugo_program", "toxiproxy_program")
async def test_a_cluster_is_down_only_without_any_node(tmp_path: Path) -> None:
    assert redis_program()
    case = Case(name="nodes", run=lose_one_node_and_then_both, tls=True)
    (incident,) = await run_all([case], tmp_path, pages=False)
    assert [check for check in incident.checks if not check.good] == []
