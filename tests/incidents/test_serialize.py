"""An incident as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from monitor.incidents import Incident, incident_from_json, incident_to_json
from tests.incidents.relay_time import UP, down_relay


def full() -> Incident:
    played = down_relay()
    played.run_fails(endpoint="n2", detail="closed", status="502")
    played.loses(2)
    played.maintenance("deploy")
    played.wait(10)
    played.becomes(UP)
    played.wait(300)
    return played.incident


def test_it_is_the_same_after_json() -> None:
    assert incident_from_json(json.loads(json.dumps(incident_to_json(full())))) == full()


def test_a_list_has_no_entries() -> None:
    without = incident_to_json(full(), entries=False)
    assert "entries" not in without
    assert without == {key: value for key, value in incident_to_json(full()).items() if key != "entries"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id", 1),
        ("openedAt", "2026-11-28T10:00:00"),
        ("openedAt", "yesterday"),
        ("closedAt", 5),
        ("worst", "sideways"),
        ("attempts", "many"),
        ("attempts", True),
        ("secondsByCondition", {"down": float("nan")}),
        ("secondsByCondition", None),
        ("causes", [{}]),
        ("probes", [{"name": "steady"}]),
        ("entries", [{"at": "2026-11-28T10:00:00+00:00", "kind": "party", "text": "", "fields": {}}]),
    ],
)
def test_other_data_is_refused(key: str, value: Any) -> None:
    data = incident_to_json(full()) | {key: value}
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        incident_from_json(data)
