"""Node and the packages of the lock, installed once where they are missing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
NO_NODE = "there is no Node with npm to run the protocol's own clients: install Node 20 or later"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here needs the same counterpart."""
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.required_counterpart("node"))
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session", autouse=True)
def packages() -> None:
    """`npm ci`, unless what is installed is what the lock says."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip(NO_NODE)
    lock, stamp = FOLDER / "package-lock.json", FOLDER / "node_modules" / ".installed"
    if not stamp.exists() or stamp.read_bytes() != lock.read_bytes():
        subprocess.run([npm, "ci", "--ignore-scripts"], cwd=FOLDER, check=True, timeout=240, capture_output=True)
        stamp.write_bytes(lock.read_bytes())
