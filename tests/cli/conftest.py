"""A configuration file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.commands import CONFIG

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "monitor.yaml"
    path.write_text(CONFIG)
    return path
