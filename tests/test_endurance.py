"""The endurance test with 400 runs; `make endurance` makes 20,000."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.endurance import endure

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.required_counterpart("toxiproxy")
async def test_random_faults_leak_nothing(engine_program: Path, toxiproxy_program: Path) -> None:
    outcome = await endure(400)
    assert outcome.errors() == []
    assert outcome.runs.total() == 400
    assert set(outcome.runs) <= {"ok", "failed"}
    assert outcome.runs["failed"] > 0
    assert outcome.runs["ok"] > 0
    assert outcome.after.memory < outcome.before.memory + 40
