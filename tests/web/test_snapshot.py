from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from monitor.web.fragments import render
from monitor.web.overview import Snapshot, figures_pause
from monitor.web.relay_list import Query
from tests.web.views import down_relay, monitor, relay

if TYPE_CHECKING:
    from monitor.web.model import MonitorView

UP = monitor(relay("demo"), relay("other"))
SNAPSHOT = Snapshot(render(UP, Query()), UP, "1", "", "", not_before=1.0, figures_not_before=3.0)


@pytest.mark.parametrize(
    ("name", "view", "outdated_at"),
    [
        ("the same view", UP, None),
        ("other figures", monitor(relay("demo", lost_1h=7), relay("other")), 3.0),
        ("a relay that is down", monitor(down_relay("demo"), relay("other")), 1.0),
        ("one relay more", monitor(relay("demo"), relay("other"), relay("new")), 1.0),
        ("an unhealthy monitor", replace(UP, healthy=False), 1.0),
    ],
)
def test_a_change_of_state_is_rendered_at_once_and_figures_later(
    name: str, view: MonitorView, outdated_at: float | None
) -> None:
    outdated = [at for at in (0.9, 1.0, 2.9, 3.0, 60.0) if SNAPSHOT.is_outdated(view, at)]
    assert outdated[:1] == ([] if outdated_at is None else [outdated_at])


@pytest.mark.parametrize(("streams", "seconds"), [(0, 1.0), (16, 1.0), (25, 1.5), (50, 3.0), (100, 3.0)])
def test_figures_are_rendered_each_second_for_a_few_readers_and_less_often_for_many(
    streams: int, seconds: float
) -> None:
    assert figures_pause(streams) == pytest.approx(seconds)
