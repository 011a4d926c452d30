"""A daemon as a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.daemon.harness import Daemon

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path)
    yield made
    if made.process.poll() is None:
        made.process.kill()
    made.process.communicate()
