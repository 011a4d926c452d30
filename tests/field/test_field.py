"""A short run with a scrape and an evaluation a second; `make field` has all faults, with production intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.field.runner import Settings, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.required_counterpart("prometheus"),
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("engine_program"),
]


async def test_each_fault_is_one_page_with_its_cause(tmp_path: Path) -> None:
    settings = Settings(kinds=["killed"], interval="1s", waits="1s", tries=1, healthy=5, seconds=60, after=5)
    outcome = await run(tmp_path, settings)
    assert outcome.unexpected == []
    (killed,) = outcome.measured
    assert (killed.pages, killed.others, killed.early) == (1, (), False)
    assert killed.text.startswith("Relay killed-1 is down: ")
    assert killed.seen is not None
