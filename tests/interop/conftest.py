"""Node and the packages of the lock, which every test here needs."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here needs the same counterpart."""
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.required_counterpart("node"))
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session", autouse=True)
def _packages(node_packages: Path) -> None:
    """Install them before the first test."""
