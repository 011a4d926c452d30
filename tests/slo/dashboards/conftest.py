"""The dashboards of the shipped configuration."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from monitor.config import Config, load
from monitor.slo.dashboards import dashboards, files
from tests.relays import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.slo.dashboards.model import Dashboard

DASHBOARDS = ("relays-overview", "relay-detail", "monitor-health")


@pytest.fixture(scope="session")
def shipped() -> Config:
    return load(ROOT / "config.yaml", {})


@pytest.fixture(scope="session")
def written(shipped: Config) -> Mapping[str, bytes]:
    return files(shipped)


@pytest.fixture(scope="session")
def models(shipped: Config) -> tuple[Dashboard, ...]:
    return dashboards(shipped)


@pytest.fixture(params=DASHBOARDS)
def dashboard(request: pytest.FixtureRequest, written: Mapping[str, bytes]) -> Any:
    """Each dashboard as parsed JSON."""
    return json.loads(written[f"dashboards/{request.param}.json"])
