"""The report as Markdown and JSON: incidents, and what is not counted."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor.incidents.markdown import code
from monitor.report.model import MonthReport, ReportedIncident
from monitor.report.month import period_of
from monitor.report.text import to_json, to_markdown
from monitor.vocabulary import Condition
from monitor.web.model import IncidentView

BEGAN = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


def report(**changes: Any) -> MonthReport:
    values: dict[str, Any] = {
        "install": "default",
        "period": period_of("2026-02", datetime(2026, 3, 14, tzinfo=UTC)),
        "source": "http://prometheus.example:9090",
        "attainments": (),
        "exchanges": {},
        "incidents": None,
    }
    return MonthReport(**(values | changes))


def incident(*, detection: float | None, repaired: float | None) -> ReportedIncident:
    return ReportedIncident(
        monitor="http://eu.example:9464",
        incident=IncidentView(
            id="0203-demo",
            relay="demo",
            began_at=BEGAN,
            opened_at=BEGAN + timedelta(seconds=6),
            recovered_at=None if repaired is None else BEGAN + timedelta(seconds=repaired),
            closed_at=None,
            worst=Condition.DOWN,
            sentence="down for 2 min 04 s: tcp | @everyone",
            detection_seconds=detection,
        ),
    )


def row(shown: str) -> list[str]:
    """Return the cells of the only row after the table's head."""
    return [cell.strip() for cell in shown.splitlines()[-1].strip("|").split(" | ")]


def test_an_incident_names_its_monitor_and_its_times() -> None:
    reported = report(incidents=(incident(detection=6.0, repaired=124.0),))
    cells = row(to_markdown(reported))
    assert cells[:6] == [
        "0203-demo",
        code("http://eu.example:9464", in_table=True),
        "`demo`",
        "2026-02-03 04:05:06",
        "6 s",
        "2 min 04 s",
    ]
    (value,) = json.loads(to_json(reported))["incidents"]
    assert (value["monitor"], value["detectionSeconds"], value["repairSeconds"]) == (
        "http://eu.example:9464",
        6.0,
        124.0,
    )


def test_times_that_are_not_known_are_not_made_up() -> None:
    reported = report(incidents=(incident(detection=None, repaired=None),))
    assert row(to_markdown(reported))[4:6] == ["–", "open"]
    (value,) = json.loads(to_json(reported))["incidents"]
    assert (value["detectionSeconds"], value["repairSeconds"]) == (None, None)


def test_a_sentence_stays_in_its_cell_and_notifies_nobody() -> None:
    (line,) = (
        line for line in to_markdown(report(incidents=(incident(detection=6.0, repaired=1.0),))).splitlines()[-1:]
    )
    assert line.replace("\\|", "").count("|") == 8
    assert "@everyone" not in line


def test_without_counts_no_shares_are_shown() -> None:
    shown = to_markdown(report(exchanges=None))
    assert "do not count those that succeed" in shown
    assert "| relay | ok |" not in shown
    assert json.loads(to_json(report(exchanges=None)))["exchanges"] is None


def test_incidents_that_nobody_was_asked_for() -> None:
    assert to_markdown(report()).endswith("No monitor was asked for them (`--monitor`).\n")
    assert to_markdown(report(incidents=())).endswith("None.\n")
