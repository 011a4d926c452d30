"""What counts as expected in `make locations`, which runs the cases."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.e2e.receiver import Notification, Receiver
from tests.locations.measurement import Change, Measurement, Row, page, resolved, warning

PAGES, TICKETS = "relay-monitor-production-pages of wallets", "relay-monitor-production-tickets"


def notification(receiver: str, status: str, started: str = "12:00", **labels: str) -> Notification:
    alert = {"status": status, "labels": labels, "annotations": {"summary": "what"}, "startsAt": started}
    return Notification(at=1.0, receiver=receiver, status=status, alerts=(alert,))


DOWN: dict[str, Any] = {"alertname": "RelayDown", "severity": "critical", "relay": "relay"}
FAILING: dict[str, Any] = {"alertname": "RelayProbeFailing", "severity": "warning", "relay": "relay"}


@pytest.mark.parametrize(
    ("due", "received", "found"),
    [
        (page("RelayDown", 9, relay="relay"), notification(PAGES, "firing", **DOWN), True),
        (page("RelayDown", 9, relay="staging"), notification(PAGES, "firing", **DOWN), False),
        (page("RelayDown", 9, relay="relay"), notification(TICKETS, "firing", **DOWN), False),
        (page("RelayDown", 9, relay="relay"), notification(PAGES, "resolved", **DOWN), False),
        (resolved("RelayDown", 9, relay="relay"), notification(PAGES, "resolved", **DOWN), True),
        (warning("RelayProbeFailing", 9), notification(TICKETS, "firing", **FAILING), True),
        (page("RelayProbeFailing", 9), notification(PAGES, "firing", **FAILING), False),
    ],
)
def test_a_notification_is_the_one_that_is_due(due: Any, received: Notification, found: bool) -> None:
    assert (due.is_in(received) is not None) is found


def measurement_of(*received: Notification) -> Measurement:
    receiver = Receiver()
    receiver.notifications += received
    return Measurement("case", cast("Any", SimpleNamespace(receiver=receiver)))


ALLOWED = frozenset({"RelayProbeFailing"})
PAGE, AGAIN = notification(PAGES, "firing", **DOWN), notification(PAGES, "firing", started="12:09", **DOWN)
OTHER = notification(PAGES, "firing", **DOWN | {"relay": "staging"})
WARNING = notification(TICKETS, "firing", **FAILING)


@pytest.mark.parametrize(
    ("received", "surplus"),
    [
        ([PAGE], 0),
        ([PAGE, PAGE], 0),  # sent again, because another alert of its group has changed
        ([PAGE, AGAIN], 1),
        ([PAGE, OTHER], 1),
        ([PAGE, WARNING], 0),
    ],
)
async def test_each_page_is_expected_once(received: list[Notification], surplus: int) -> None:
    measurement = measurement_of(*received)
    await measurement.follows(Change("the relay is killed", 0.0), page("RelayDown", 9, relay="relay"))
    assert [row.seconds for row in measurement.rows] == [1.0]
    assert len(measurement.surplus(ALLOWED)) == surplus


def test_a_warning_is_surplus_unless_it_is_allowed() -> None:
    of_monitor = notification(TICKETS, "firing", alertname="RelayMonitorUnhealthy", severity="warning", location="sin")
    assert len(measurement_of(WARNING, of_monitor).surplus(frozenset())) == 2
    assert len(measurement_of(WARNING, of_monitor).surplus(ALLOWED)) == 1


def test_an_objective_of_latency_says_that_the_machine_is_busy() -> None:
    burning = {"alertname": "RelayErrorBudgetBurn", "severity": "critical", "relay": "relay", "slo": "round-trip"}
    measurement = measurement_of(notification(PAGES, "firing", **burning))
    assert (measurement.surplus(frozenset()), measurement.on_busy_machine) == ([], True)
    assert not measurement_of(PAGE).on_busy_machine


@pytest.mark.parametrize(("seconds", "wrong"), [(9.0, False), (9.1, True), (None, True)])
def test_what_comes_too_late_or_never_is_wrong(seconds: float | None, wrong: bool) -> None:
    row = Row(case="case", done="the relay is killed", followed="page", seconds=seconds, limit=9.0)
    assert row.wrong is wrong
