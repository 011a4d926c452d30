"""What the recorder does with incidents of the process before, over midnight, and for readers in threads."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from monitor.daemon import incidents
from monitor.daemon.incidents import IncidentRecorder, restore_incidents, restore_incidents_later
from monitor.errors import JournalUnavailableError
from monitor.incidents import EntryKind, Incident, IncidentMachine
from monitor.journal import Journal
from monitor.results import RelayStatus
from monitor.schedule import Maintenance, OnDemandWindows
from monitor.vocabulary import Condition
from tests.journal.test_sums import WallClock
from tests.metrics.sample import exporter

if TYPE_CHECKING:
    from collections.abc import Callable

EVENING = datetime(2026, 11, 28, 23, 30, tzinfo=UTC)


def clock_at(time: datetime) -> WallClock:
    clock = WallClock()
    clock.now = time.timestamp()
    return clock


def incident(name: str, ago: timedelta) -> Incident:
    """Return an open incident."""
    at = EVENING - ago
    return Incident(
        id=name,
        relay="demo",
        began_at=at,
        opened_at=at,
        updated_at=at + timedelta(minutes=1),
        condition=Condition.DOWN,
        worst=Condition.DOWN,
    )


def recorder_with(*incidents: Incident, clock: WallClock) -> IncidentRecorder:
    journal = Journal(clock=clock)
    for each in incidents:
        journal.save_incident(each)
    recorder = IncidentRecorder(journal, exporter(), clock, install="default", location="here")
    recorder.restore(recorder.left_by_predecessor()(), ["demo"])
    return recorder


def test_an_open_incident_that_another_one_followed_is_closed() -> None:
    """A process that could not read the journal at its start has begun another one."""
    earlier, later = incident("earlier", timedelta(hours=30)), incident("later", timedelta(hours=1))
    recorder = recorder_with(earlier, later, clock=clock_at(EVENING))
    assert [(each.id, each.is_open) for each in recorder.list()] == [("later", True), ("earlier", False)]
    closed = recorder.get("earlier")
    assert closed is not None
    assert (closed.closed_at, closed.closed_because) == (earlier.updated_at, "continued as later")
    assert closed.entries[-1].kind is EntryKind.CLOSED


class LockedJournal(Journal):
    """A journal that cannot be read for some time."""

    refusals = 3

    async def read(self, query: Callable[[], Any], timeout: float = 5.0) -> Any:
        if self.refusals:
            self.refusals -= 1
            raise JournalUnavailableError("the journal did not answer within 5 s")
        return await super().read(query, timeout)


async def restored_later(*left: Incident, status: RelayStatus, seconds: float = 0.0) -> IncidentRecorder:
    """Return the recorder of a process whose journal could be read only `seconds` after the relay's first status."""
    clock = clock_at(EVENING)
    journal = LockedJournal(clock=clock)
    for each in left:
        journal.save_incident(each)
    recorder = IncidentRecorder(journal, exporter(), clock, install="default", location="here")
    assert not await restore_incidents(recorder, journal, ["demo"])
    recorder.status(status, Maintenance((), clock, OnDemandWindows(clock)))
    clock.now += seconds
    await asyncio.wait_for(restore_incidents_later(recorder, journal, lambda: ["demo"]), 5)
    assert journal.refusals == 0
    return recorder


def status(condition: Condition) -> RelayStatus:
    up = condition is Condition.UP
    return RelayStatus(relay="demo", condition=condition, since=EVENING, up=up, accepting=up)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incidents, "RESTORE_INTERVAL", 0.0)


@pytest.mark.usefixtures("_impatient")
async def test_an_incident_that_could_be_read_late_only_goes_on() -> None:
    recorder = await restored_later(incident("left", timedelta(minutes=5)), status=status(Condition.UP))
    (found,) = recorder.list()
    assert (found.id, found.is_open, found.condition) == ("left", True, Condition.UP)
    assert [entry.kind for entry in found.entries] == [EntryKind.GAP, EntryKind.CONDITION]


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(("seconds", "up", "is_open"), [(200, 200.0, True), (400, 300.0, False)])
async def test_what_was_observed_before_it_could_be_read_counts(seconds: int, up: float, is_open: bool) -> None:
    """The process before observed the relay until four minutes before the first status of this one."""
    recorder = await restored_later(
        incident("left", timedelta(minutes=5)), status=status(Condition.UP), seconds=float(seconds)
    )
    (found,) = recorder.list()
    assert (found.is_open, found.recovered_at, found.up_seconds) == (is_open, EVENING, up)
    assert (found.seconds, found.unobserved_seconds) == ({"up": up}, 240.0)
    gap = found.entries[0]
    assert (gap.kind, gap.at, gap.fields["seconds"]) == (EntryKind.GAP, EVENING, 240.0)
    assert found.closed_at == (None if is_open else EVENING + timedelta(minutes=5))
    assert ("demo" in recorder.current()) == is_open


@pytest.mark.usefixtures("_impatient")
async def test_one_that_another_has_followed_by_then_is_closed() -> None:
    recorder = await restored_later(incident("left", timedelta(minutes=5)), status=status(Condition.DOWN))
    new, left = recorder.list()
    assert (new.is_open, left.id, left.is_open) == (True, "left", False)
    assert left.closed_because == f"continued as {new.id}"


def test_a_window_that_ends_tomorrow_is_noted_once() -> None:
    clock = clock_at(EVENING)
    recorder = recorder_with(incident("open", timedelta(minutes=5)), clock=clock)
    windows = OnDemandWindows(clock)
    maintenance = Maintenance((), clock, windows)
    windows.start(["demo"], 3600.0, "deploy 1234", "anna")
    for _ in range(59):
        recorder.tick("demo", maintenance)
        clock.now += 60.0
    entries = [each.text for each in recorder.current()["demo"].entries if each.kind is EntryKind.MAINTENANCE]
    assert entries == ["Maintenance began: deploy 1234, until 2026-11-29 00:30 UTC, by anna"]


def test_an_incident_that_is_forgotten_while_a_thread_reads_is_no_error() -> None:
    class Forgetting:
        """Its incident is there when it is looked at first, and gone then, as between two steps of a thread."""

        def __init__(self) -> None:
            self._found: list[Incident | None] = [incident("gone", timedelta(hours=1)), None]

        @property
        def incident(self) -> Incident | None:
            return self._found.pop(0)

    recorder = recorder_with(clock=clock_at(EVENING))
    recorder._by_relay["demo"] = cast("IncidentMachine", Forgetting())
    assert [each.id for each in recorder.present("demo")] == ["gone"]
