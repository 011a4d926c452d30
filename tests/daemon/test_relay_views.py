"""The view of one relay, without a daemon."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitor.config import parse
from monitor.daemon.app import Monitor
from monitor.daemon.budgets import budget_left
from monitor.daemon.figures import Figures
from monitor.daemon.relay_views import RelayFacts, RelayViews, worst_first
from monitor.journal import Cell, Events, FailureGroup, RunSummary
from monitor.results import Cause, RelayStatus
from monitor.schedule import Window
from monitor.vocabulary import Condition, Outcome, Reason, Step
from monitor.web.model import MaintenanceView, RelayView, Source
from monitor.web.serialization import relay_to_json

CONFIG = parse(
    """
install: mine
relays: [{name: demo, url: "wss://relay.example.com/ws?token=s3cr3t"}]
probes:
  - {name: steady, scenario: steady-messaging}
  - {name: idle, scenario: steady-state}
slos:
  - {name: delivery, probe: steady, sli: availability, objective: 99%, window: 30d}
  - {name: never-lost, probe: steady, sli: availability, objective: 100%}
  - {name: fast, probe: steady, sli: latency, threshold: 400ms, objective: 99%}
  - {name: faster, probe: steady, sli: latency, threshold: 200ms, objective: 90%}
  - {name: trend, probe: steady, sli: trend}
""",
    "test",
    {},
).resolved()
NOW = datetime(2024, 5, 1, 12, 9, 5, tzinfo=UTC)
SINCE = NOW - timedelta(seconds=125)


def status(condition: Condition = Condition.UP, **changes: Any) -> RelayStatus:
    up = condition is not Condition.DOWN
    return RelayStatus(relay="demo", condition=condition, since=SINCE, up=up, accepting=up, **changes)


def view(status: RelayStatus, figures: Figures | None = None, **changes: Any) -> RelayView:
    defaults: dict[str, Any] = {
        "config": CONFIG.relays[0],
        "status": status,
        "up": status.up,
        "cause_age": None,
        "delivered_age": None,
        "maintenance": None,
        "certificate": None,
        "next_due": {},
    }
    return RelayViews().view(RelayFacts(**(defaults | changes)), CONFIG, figures or Figures(), None, NOW)


def summary(ago: float, outcome: Outcome = Outcome.OK, **changes: Any) -> RunSummary:
    return RunSummary(id="x", started_at=NOW - timedelta(seconds=ago), duration=5.0, outcome=outcome, **changes)


def test_the_query_of_a_url_is_not_shown() -> None:
    assert view(status()).url == "wss://relay.example.com/ws"


def test_a_relays_words_are_printable() -> None:
    cause = Cause(step=Step.HELLO, reason=Reason.RELAY_ERROR, detail="error \ud83d \x1b[2J!")
    last = {("demo", "steady"): summary(10, Outcome.FAILED, detail="\ud83d", status="\x07")}
    group = FailureGroup(
        relay="demo", probe="steady", step=Step.HELLO, reason=Reason.RELAY_ERROR, status="", detail="\x07\ud83d",
        count=1, first=NOW, last=NOW, run_id=None,
    )  # fmt: skip
    shown = view(status(Condition.DOWN, cause=cause), Figures(last=last, failures=[group]), cause_age=2.0)
    assert shown.cause is not None
    assert shown.cause.age == 2
    assert shown.cause.detail.isprintable()
    assert shown.failures[0].detail.isprintable()
    assert shown.probes[0].last is not None
    assert shown.probes[0].last.run.detail.isprintable()
    assert shown.probes[0].last.run.status.isprintable()


@pytest.mark.parametrize(
    ("condition", "ended_ago", "expected"),
    [
        (Condition.DOWN, 300.0, "stale"),
        (Condition.NOT_ACCEPTING, 130.0, "stale"),
        (Condition.DOWN, 60.0, "ok"),
        (Condition.UP, 300.0, "ok"),
    ],
)
def test_an_ok_older_than_the_outage_is_stale(condition: Condition, ended_ago: float, expected: str) -> None:
    shown = view(status(condition), Figures(last={("demo", "steady"): summary(ended_ago + 5)}))
    assert [probe.condition for probe in shown.probes] == [expected, "none"]
    assert shown.probes[0].last is not None
    assert shown.probes[0].last.age == ended_ago


def test_a_relay_that_is_not_observed_says_since_when_why_and_what_it_was_before() -> None:
    shown = view(status(Condition.UNKNOWN, reason_unknown="the monitor is unhealthy; before that: up"))
    assert shown.sentence == "unknown for 2 min 05 s: the monitor is unhealthy; before that: up"
    assert shown.why == "the monitor is unhealthy; before that: up"  # on the page and in `status`, beside the age
    assert json.loads(relay_to_json(shown))["sentence"] == shown.sentence  # in the API


def test_a_maintenance_window_has_its_end() -> None:
    window = Window(NOW, NOW + timedelta(hours=1), "deploy 1234", ("demo",), "m1", "ops")
    expected = MaintenanceView(reason="deploy 1234", until=window.end, by="ops", id="m1")
    assert view(status(), maintenance=window).maintenance == expected


def test_figures_of_the_last_hour() -> None:
    start = NOW.replace(second=0)
    cells = [
        Cell(start=start - timedelta(minutes=1), ok=3, worst=Outcome.OK),
        Cell(start=start, ok=5, failed=2, lost=1, worst=Outcome.FAILED),
    ]
    shown = view(status(), Figures(hour={("demo", "steady"): cells, ("demo", "of an earlier configuration"): cells}))
    assert (shown.success_ratio_1h, shown.lost_1h, len(shown.hour), len(shown.day)) == (0.8, 1, 60, 96)
    assert view(status()).success_ratio_1h is None


def test_the_threshold_is_the_strictest() -> None:
    assert view(status()).round_trip.threshold == 0.2


def test_budgets_name_the_time_that_they_cover() -> None:
    events = {("demo", "delivery"): Events(good=995, bad=5, since=NOW - timedelta(hours=2))}
    delivery, never_lost, *_ = shown = view(status(), Figures(events=events)).budgets
    assert [budget.slo for budget in shown] == ["delivery", "never-lost", "fast", "faster"]
    assert delivery.left == pytest.approx(0.5)
    assert (delivery.span_seconds, delivery.window_seconds, delivery.source) == (7200, 2_592_000, Source.JOURNAL)
    assert (never_lost.left, never_lost.span_seconds) == (None, 0)


@pytest.mark.parametrize(
    ("objective", "good", "bad", "left"),
    [
        (0.99, 0, 0, None),
        (0.99, 100, 0, 1.0),
        (0.99, 99, 1, 0.0),
        (0.99, 98, 2, -1.0),
        (1.0, 100, 0, 1.0),
        (1.0, 99, 1, 0.0),
    ],
)
def test_what_is_left_of_a_budget(objective: float, good: float, bad: float, left: float | None) -> None:
    assert budget_left(objective, good, bad) == (left if left is None else pytest.approx(left))


def test_an_owner_has_runbooks_of_its_own() -> None:
    config = parse(
        """
relays: [{name: theirs, url: embedded, owner: team-a}, {name: ours, url: embedded}]
probes: [{name: steady, scenario: steady-messaging}]
alerts:
  runbook_base_url: "https://runbooks.example.com/all/"
  owners: {team-a: {runbook_base_url: "https://runbooks.example.com/a"}}
""",
        "test",
        {},
    )
    # As the page of a run asks for it.
    url_of = Monitor(config).web_state().runbooks
    assert url_of is not None
    assert url_of("RelayDown", "theirs") == "https://runbooks.example.com/a/RelayDown.md"
    assert url_of("RelayDown", "ours") == "https://runbooks.example.com/all/RelayDown.md"


def test_links_name_relay_and_install() -> None:
    links = view(status(Condition.NOT_ACCEPTING)).links
    assert links.runbook == "https://runbooks.example.com/relay-monitor/RelayNotAccepting.md"
    assert links.dashboard is not None
    assert links.dashboard.endswith("/d/relay-monitor-relay-mine?var-install=mine&var-relay=demo")
    assert links.incidents == "/incidents?relay=demo"
    assert view(status()).links.runbook is None


def test_parts_of_the_past_are_made_again_only_of_new_figures() -> None:
    views = RelayViews()
    figures = Figures(hour={})
    known = RelayFacts(
        config=CONFIG.relays[0], status=status(), up=True, cause_age=None, delivered_age=None, maintenance=None,
        certificate=None, next_due={},
    )  # fmt: skip
    one = views.view(known, CONFIG, figures, None, NOW)
    assert views.view(known, CONFIG, figures, None, NOW).hour is one.hour
    assert views.view(known, CONFIG, Figures(), None, NOW).hour is not one.hour


def test_relays_are_sorted_worst_first_and_those_in_maintenance_after_them() -> None:
    window = Window(NOW, NOW + timedelta(hours=1), "deploy")
    unsorted = [
        view(status(Condition.UP)),
        view(status(Condition.DOWN), maintenance=window),
        view(status(Condition.UNKNOWN)),
        view(status(Condition.DEGRADED)),
        view(status(Condition.NOT_ACCEPTING)),
        view(status(Condition.DOWN)),
    ]
    found = [(each.condition, each.maintenance is not None) for each in sorted(unsorted, key=worst_first)]
    assert found == [
        (Condition.DOWN, False),
        (Condition.NOT_ACCEPTING, False),
        (Condition.DEGRADED, False),
        (Condition.UNKNOWN, False),
        (Condition.DOWN, True),
        (Condition.UP, False),
    ]
