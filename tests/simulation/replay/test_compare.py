"""Pages of two sides, and what a change of the rules does to them."""

from __future__ import annotations

import math
from typing import Any

from monitor.simulation.notifications import Notification
from monitor.simulation.replay.compare import Change, Kind, Page, Side, pages
from monitor.simulation.replay.compare import compare as compare_sides
from monitor.simulation.ruler import Firing


def page(at: float, end: float = math.inf, alert: str = "RelayDown", relay: str = "a", **changes: Any) -> Page:
    known: dict[str, Any] = {"group": "", "slo": "", "locations": ()}
    return Page(alert=alert, relay=relay, at=at, end=end, **(known | changes))


def compare(old: list[Page], new: list[Page], start: float = 0.0, **of_new: Any) -> list[Change]:
    return compare_sides(Side(pages=old), Side(pages=new, **of_new), start)


def kinds(old: list[Page], new: list[Page], start: float = 0.0) -> list[tuple[Kind, float]]:
    return [(each.kind, each.page.at) for each in compare(old, new, start)]


def test_equal_pages_are_unchanged() -> None:
    assert kinds([page(10, 70)], [page(10, 70)]) == [(Kind.UNCHANGED, 10)]


def test_a_page_of_one_side_alone_is_lost_or_gained() -> None:
    assert kinds([page(10, 70)], [page(500, 570)]) == [(Kind.LOST, 10), (Kind.GAINED, 500)]
    assert kinds([page(10, 70, relay="a")], [page(10, 70, relay="b")]) == [(Kind.LOST, 10), (Kind.GAINED, 10)]


def test_a_page_that_begins_later_is_moved() -> None:
    (change,) = compare([page(10, 700)], [page(280, 640)])
    assert (change.kind, change.later, change.ends_later) == (Kind.MOVED, 270, -60)


def test_a_page_that_does_not_end_has_no_time_by_which_it_ends_later() -> None:
    (change,) = compare([page(10, 700)], [page(10)])
    assert (change.kind, change.later, change.ends_later) == (Kind.MOVED, 0, None)
    assert kinds([page(10)], [page(10)]) == [(Kind.UNCHANGED, 10)]


def test_two_pages_that_become_one_are_moved_and_none_is_lost() -> None:
    (change,) = compare([page(10, 70), page(100, 170)], [page(20, 160)])
    assert (change.kind, len(change.old), len(change.new)) == (Kind.MOVED, 2, 1)


def test_the_location_of_a_relay_s_page_is_no_other_page() -> None:
    (change,) = compare([page(10, 70)], [page(10, 70, locations=("eu",))])
    assert change.kind is Kind.MOVED
    monitors = [page(10, 70, "RelayMonitorAbsent", "", locations=(location,)) for location in ("eu", "us")]
    assert kinds(monitors[:1], monitors[1:]) == [(Kind.LOST, 10), (Kind.GAINED, 10)]


def test_a_lost_page_names_what_pages_instead() -> None:
    other = page(30, 90, "RelayNotAccepting")
    elsewhere = page(30, 90, "RelayNotAccepting", "b")
    lost = next(each for each in compare([page(10, 70)], [other, elsewhere]) if each.kind is Kind.LOST)
    assert lost.instead == (other,)


def test_pages_before_the_replay_are_not_listed_but_explain_later_ones() -> None:
    assert kinds([page(10, 70)], [], start=100.0) == []
    assert kinds([page(10, 700)], [page(280, 700)], start=100.0) == [(Kind.MOVED, 10)]


def test_a_lost_page_says_what_its_alert_does_now() -> None:
    lost = page(110, 400, "RelayErrorBudgetBurn", slo="delivery")
    fires, other = firing(100, 400), firing(100, 400, slo="pairing")
    down = firing(90, 500, alertname="RelayDown", slo="")
    (change,) = compare([lost], [], firing=[fires, other, down], inhibitors={fires: [down]})
    assert (change.firing, change.inhibited) == ((fires,), ("RelayDown",))
    (change,) = compare([lost], [], firing=[firing(100, 400, "warning")])
    assert [each.severity for each in change.firing] == ["warning"]


def firing(start: float, end: float, severity: str = "critical", **labels: str) -> Firing:
    of = {"alertname": "RelayErrorBudgetBurn", "relay": "a", "slo": "delivery", "severity": severity, **labels}
    return Firing(alert=of["alertname"], labels=tuple(sorted(of.items())), start=start, end=end)


def notified(at: float, *new: Firing) -> Notification:
    return Notification(at=at, receiver="pages", group=(), firing=new, new=new)


def test_instances_of_an_alert_that_overlap_are_one_page() -> None:
    fast = notified(110, firing(100, 400, long_window="1h"))
    slow = notified(310, firing(300, 900, long_window="6h"))
    later = notified(1210, firing(1200, 1300, long_window="1h"))
    warning = notified(50, firing(40, 60, "warning"))
    found = pages([warning, fast, slow, later])
    assert [(each.at, each.end, each.slo) for each in found] == [(110, 900, "delivery"), (1210, 1300, "delivery")]


def test_locations_of_one_page_are_collected() -> None:
    found = pages([notified(110, firing(100, 400, location="eu")), notified(200, firing(150, 400, location="asia"))])
    assert [each.locations for each in found] == [("asia", "eu")]
