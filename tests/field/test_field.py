"""A short run with two seconds between scrapes; `make field` has all faults, with production intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.field.record import Measured
from tests.field.report import wrong
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
    kinds = ["killed", "newcomers-502"]
    settings = Settings(kinds=kinds, interval="2s", waits="2s", tries=1, healthy=5, seconds=80, after=30)
    outcome = await run(tmp_path, settings)
    assert outcome.unexpected == []
    measured = {item.kind: item for item in outcome.measured}
    assert {kind: (item.pages, item.others, item.early) for kind, item in measured.items()} == dict.fromkeys(
        kinds, (1, (), False)
    )
    assert measured["killed"].text.startswith("Relay killed-1 is down: ")
    assert measured["newcomers-502"].text == "New connections to newcomers-502-1 fail: upgrade 502"
    assert all(item.seen is not None for item in outcome.measured)
    page, waited = measured["killed"].page, measured["killed"].waited
    assert page is not None
    assert waited is not None
    assert 0 < waited < page


def test_the_phase_of_one_prometheus_does_not_decide_about_a_median() -> None:
    """What the monitor, the rules and Alertmanager take does."""
    long_wait, slow = (
        Measured(
            kind="killed",
            number=1,
            page=page,
            pages=1,
            others=(),
            text="",
            seen=10.0,
            resolved=150.0,
            verdict=4.0,
            warned=None,
            early=False,
            waited=waited,
        )
        for page, waited in ((66.0, 57.0), (66.0, 47.0))
    )
    assert list(wrong("killed", [long_wait])) == []
    assert list(wrong("killed", [slow])) == ["killed: median of the time to page 64 s at the mean wait, not 60"]
