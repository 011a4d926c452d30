"""Incidents as JSON, from a recorder and a journal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from monitor.clock import SYSTEM_CLOCK
from monitor.daemon.incidents import IncidentRecorder
from monitor.incidents import Entry, EntryKind, Incident
from monitor.journal import Journal
from monitor.vocabulary import Condition
from monitor.web.serialization import incidents_from_json
from tests.metrics.sample import exporter
from tests.web.site import client

if TYPE_CHECKING:
    import httpx

AT = datetime(2024, 5, 1, 12, tzinfo=UTC)


def incident(number: int, relay: str = "demo", *, closed: bool = True) -> Incident:
    opened = AT + timedelta(hours=number)
    return Incident(
        id=f"i{number}",
        relay=relay,
        began_at=opened,
        opened_at=opened,
        updated_at=opened + timedelta(minutes=10),
        closed_at=opened + timedelta(minutes=10) if closed else None,
        condition=Condition.UP if closed else Condition.DOWN,
        worst=Condition.DOWN,
        seconds={"down": 120.0},
        entries=(Entry(opened, EntryKind.OPENED, "Relay is down: tcp refused."),),
    )


def recorder() -> IncidentRecorder:
    store = Journal()
    for each in (incident(1), incident(2, "other"), incident(3), incident(4, closed=False)):
        store.save_incident(each)
    return IncidentRecorder(store, exporter(), SYSTEM_CLOCK, install="default", location="here")


async def get(path: str) -> httpx.Response:
    async with client(incidents=recorder()) as web:
        return await web.get(f"/api/v1/incidents{path}")


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", ["i4", "i3", "i2", "i1"]),
        ("?relay=demo&limit=2", ["i4", "i3"]),
        ("?open=true", ["i4"]),
        ("?open=false", ["i3", "i2", "i1"]),
        ("?since=2024-05-01T14:05:00Z", ["i4", "i3", "i2"]),
        ("?since=2024-05-01T17:05:00%2B02:00&open=false", ["i3"]),
        ("?relay=nothing", []),
    ],
)
async def test_incidents_are_filtered(query: str, ids: list[str]) -> None:
    assert [each["id"] for each in (await get(query)).json()["incidents"]] == ids


async def test_a_list_has_sentences_and_no_entries() -> None:
    response = await get("?open=false&limit=1")
    (found,) = response.json()["incidents"]
    assert found["sentence"].startswith("down for 2 min")
    assert "entries" not in found
    (read,) = incidents_from_json(response.content)
    assert (read.id, read.relay, read.worst, read.opened_at) == ("i3", "demo", Condition.DOWN, incident(3).opened_at)


async def test_one_incident_has_its_entries() -> None:
    found = (await get("/i2")).json()
    assert (found["relay"], found["entries"][0]["text"]) == ("other", "Relay is down: tcp refused.")


async def test_an_unknown_incident_is_404() -> None:
    response = await get("/nothing")
    assert (response.status_code, response.json()) == (404, {"error": "incident not found or expired"})


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("since=yesterday", "since 'yesterday' is not a time"),
        ("since=2024-05-01T12:00:00", "is not a time"),
        ("since=0001-01-01T00:00:00%2B10:00", "is not a time"),
        ("open=yes", "open 'yes' is not one of true, false"),
        ("limit=501", "limit '501' must be 1–500"),
        ("relais=demo", "unknown parameter 'relais'; expected relay, since, open or limit"),
    ],
)
async def test_an_invalid_parameter_is_refused(query: str, says: str) -> None:
    response = await get(f"?{query}")
    assert response.status_code == 400
    assert says in response.json()["error"]


async def test_a_monitor_without_incidents_says_so() -> None:
    async with client(incidents=None) as web:
        assert (await web.get("/api/v1/incidents")).status_code == 501
