from __future__ import annotations

from typing import Any

import pytest

from tests.dashboards.fields import Field
from tests.dashboards.frames import Frame

PANEL: dict[str, Any] = {
    "fieldConfig": {
        "defaults": {
            "unit": "s",
            "mappings": [
                {"type": "value", "options": {"0": {"text": "up", "color": "green"}}},
                {
                    "type": "range",
                    "options": {"from": None, "to": -0.5, "result": {"text": "exhausted", "color": "red"}},
                },
                {"type": "special", "options": {"match": "null+nan", "result": {"text": "no data", "color": "purple"}}},
            ],
            "thresholds": {"steps": [{"value": None, "color": "purple"}, {"value": 1, "color": "red"}]},
        },
        "overrides": [
            {"matcher": {"id": "byName", "options": "loss"}, "properties": [{"id": "unit", "value": "none"}]},
            {"matcher": {"id": "byRegexp", "options": "/^P9/"}, "properties": [{"id": "custom.lineWidth", "value": 3}]},
            {
                "matcher": {"id": "byFrameRefID", "options": "B"},
                "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": "blue"}}],
            },
        ],
    }
}


@pytest.mark.parametrize(
    ("value", "text", "colour"),
    [(0.0, "up", "#73BF69"), (-0.7, "exhausted", "#F2495C"), (None, "no data", "#B877D9"), (2.0, "2 s", "#F2495C")],
)
def test_mappings_come_before_units_and_thresholds(value: float | None, text: str, colour: str) -> None:
    field = Field.of(PANEL, "Value")
    assert (field.text(value), field.colour(value)) == (text, colour)


def test_overrides_apply_by_name_pattern_and_query() -> None:
    assert Field.of(PANEL, "loss").unit == "none"
    assert Field.of(PANEL, "P99 tokyo").custom == {"lineWidth": 3}
    assert Field.of(PANEL, "x", "B").series_colour(Frame("x", {}, (), ()), 0) == "#5794F2"


def test_an_override_does_not_change_the_panel() -> None:
    Field.of(PANEL, "P99")
    assert Field.of(PANEL, "P50").custom == {}
