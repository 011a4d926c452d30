"""Node and the locked packages, which every test in this folder needs."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test in this folder with its counterpart, Node."""
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.required_counterpart("node"))
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session", autouse=True)
def _packages(node_packages: Path) -> None:
    """Install the packages before the first test."""
