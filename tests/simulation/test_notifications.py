from __future__ import annotations

import math

import pytest
import yaml

from monitor.simulation.notifications import Alertmanager
from monitor.simulation.ruler import Firing

CONFIG = yaml.safe_dump(
    {
        "route": {
            "receiver": "tickets",
            "group_by": ["alertname", "relay"],
            "group_wait": "30s",
            "routes": [
                {
                    "receiver": "pages",
                    "matchers": ['severity="critical"'],
                    "group_by": ["relay"],
                    "group_wait": "10s",
                    "group_interval": "1m",
                    "repeat_interval": "4h",
                }
            ],
        },
        "inhibit_rules": [
            {
                "source_matchers": ['alertname="RelayDown"'],
                "target_matchers": ['alertname!="RelayDown"'],
                "equal": ["relay"],
            }
        ],
    }
)


def firing(alert: str, start: float, end: float = math.inf, relay: str = "a", severity: str = "critical") -> Firing:
    labels = {"alertname": alert, "relay": relay, "severity": severity}
    return Firing(alert=alert, labels=tuple(sorted(labels.items())), start=start, end=end)


def reported(*alerts: Firing, until: float = 7200.0) -> list[tuple[float, str, list[str], bool]]:
    """Return time, receiver, alerts and whether it pages, of each notification."""
    return [
        (each.at, each.receiver, sorted(alert.alert for alert in each.firing), each.pages)
        for each in Alertmanager(CONFIG).notifications(alerts, until)
    ]


def test_a_group_waits_then_reports_then_resolves_at_its_interval() -> None:
    assert reported(firing("RelayDown", 100.0, 500.0)) == [
        (110.0, "pages", ["RelayDown"], True),
        (530.0, "pages", [], False),
    ]


def test_an_alert_that_ends_within_the_wait_is_never_reported() -> None:
    assert reported(firing("RelayDown", 100.0, 105.0)) == []


def test_a_second_alert_of_a_group_waits_for_the_interval() -> None:
    found = reported(firing("RelayDown", 100.0), firing("Other", 175.0, relay="a"), until=300.0)
    assert found == [(110.0, "pages", ["RelayDown"], True)]  # inhibited
    found = reported(firing("First", 100.0), firing("Other", 175.0), until=300.0)
    assert found == [(110.0, "pages", ["First"], True), (230.0, "pages", ["First", "Other"], True)]


def test_inhibition_ends_with_its_source() -> None:
    found = reported(firing("RelayDown", 100.0, 200.0), firing("Other", 150.0), until=400.0)
    assert found == [(110.0, "pages", ["RelayDown"], True), (230.0, "pages", ["Other"], True)]


def test_other_relays_are_other_groups_and_are_not_inhibited() -> None:
    found = reported(firing("RelayDown", 100.0), firing("Other", 100.0, relay="b"), until=400.0)
    assert [(at, alerts) for at, _, alerts, _ in found] == [(110.0, ["RelayDown"]), (110.0, ["Other"])]


def test_a_warning_takes_the_first_route() -> None:
    assert reported(firing("Slow", 100.0, severity="warning"), until=400.0) == [(130.0, "tickets", ["Slow"], False)]


def test_an_alert_that_stays_is_repeated_and_does_not_page_again() -> None:
    found = reported(firing("RelayDown", 100.0), until=30_000.0)
    assert [(at, pages) for at, _, _, pages in found] == [(110.0, True), (14510.0, False), (28910.0, False)]


def test_an_alert_that_comes_again_pages_again() -> None:
    found = reported(firing("RelayDown", 100.0, 200.0), firing("RelayDown", 600.0, 700.0))
    assert [(at, pages) for at, _, _, pages in found] == [(110.0, True), (230.0, False), (610.0, True), (730.0, False)]


def test_an_unknown_matcher_is_an_error() -> None:
    with pytest.raises(ValueError, match="matcher"):
        Alertmanager("route: {receiver: a, matchers: ['a ~ b']}")
