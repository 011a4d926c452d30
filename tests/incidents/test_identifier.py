"""The ids of incidents."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

from monitor.incidents.identifier import PATTERN, incident_id
from tests.incidents.relay_time import START


def ids_of_a_day(number: int) -> list[str]:
    return [
        incident_id(START + timedelta(seconds=second), "demo", install="default", location="here")
        for second in range(number)
    ]


def test_an_id_can_be_spoken_and_needs_no_escapes() -> None:
    for found in ids_of_a_day(1000):
        assert PATTERN.fullmatch(found)
        assert quote(found) == found
        assert len(found) == 16


def test_ids_differ() -> None:
    """Of 5,000 on one day two are equal with a probability of 0.3 %; these are not."""
    assert len(set(ids_of_a_day(5000))) == 5000


def test_install_location_relay_and_time_make_the_id() -> None:
    given = {"opened_at": START, "relay": "demo", "install": "default", "location": "here"}
    others = [
        given | change
        for change in (
            {},
            {"opened_at": START + timedelta(microseconds=1)},
            {"relay": "other"},
            {"install": "other"},
            {"location": "there"},
        )
    ]
    found = [incident_id(**each) for each in others]  # type: ignore[arg-type]  # values of two types
    assert len(set(found)) == len(others)
    assert incident_id(**given) == found[0]  # type: ignore[arg-type]
