"""The banner: one sentence of everything, and how bad it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from monitor.vocabulary import Condition
from monitor.web.banner import banner
from monitor.web.model import Level, MaintenanceView
from tests.web.views import degraded_relay, down_relay, relay

if TYPE_CHECKING:
    from monitor.web.model import RelayView

UNOBSERVED = relay(
    "eu", condition=Condition.UNKNOWN, seconds=242.0, sentence="unknown: no attempt finished for 90 s; before that: up"
)
DEPLOYED = replace(down_relay("eu"), maintenance=MaintenanceView(reason="deploy"))


@pytest.mark.parametrize(
    ("relays", "level", "sentence"),
    [
        ([], Level.WARNING, "This monitor observes no relay: it is starting, or its shard has none"),
        ([relay("eu")], Level.OK, "The relay eu is up"),
        ([relay("eu"), relay("us")], Level.OK, "All 2 relays are up"),
        ([down_relay("eu"), relay("us")], Level.CRITICAL, "1 of 2 relays is down: eu, tcp refused, for 2 min 04 s"),
        (
            [down_relay("a"), down_relay("b"), down_relay("c"), down_relay("d"), degraded_relay("e")],
            Level.CRITICAL,
            "4 of 5 relays are down: a, b, c and 1 more; 1 is degraded",
        ),
        ([DEPLOYED], Level.WARNING, "1 of 1 relay is down: eu, tcp refused, for 2 min 04 s, in maintenance"),
        (
            [UNOBSERVED],
            Level.WARNING,
            "1 of 1 relay is not observed: eu, no attempt finished for 90 s, for 4 min 02 s",
        ),
        ([replace(UNOBSERVED, why="x" * 200)], Level.WARNING, "1 of 1 relay is not observed: eu, for 4 min 02 s"),
    ],
)
def test_the_worst_comes_first_with_its_name(relays: list[RelayView], level: Level, sentence: str) -> None:
    found = banner(relays, healthy=True, reasons=())
    assert (found.level, found.sentence) == (level, sentence)


def test_an_unhealthy_monitor_says_nothing_of_its_relays() -> None:
    found = banner([down_relay("eu")], healthy=False, reasons=("event loop blocked", "clock stepped"))
    assert found.level is Level.CRITICAL
    assert found.sentence == "This monitor is unhealthy: event loop blocked; clock stepped; verdicts are suspended"
