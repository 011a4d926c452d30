"""The states of a drill, without I/O."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.drill import Drill, Link, Result

START = 1_700_000_000.0
NEW = Drill(id="k7m2xq", author="ana", started_at=START, timeout=180.0)
SCRAPED = NEW.see_scrape(9.0, "Prometheus/2.42.0")
FIRING = SCRAPED.see_firing(16.0)


def test_the_links_are_seen_one_after_the_other() -> None:
    done = FIRING.see_notification(21.0, START + 14.5)
    assert (done.scraped, done.firing, done.received, done.ended) == (9.0, 14.5, 21.0, 21.0)
    assert (done.result, done.missing, done.is_running) == (Result.OK, None, False)
    assert done.explain("http://m/-/drill", asks_prometheus=True) == ""


def test_only_the_first_scrape_counts() -> None:
    assert SCRAPED.see_scrape(12.0, "curl") == SCRAPED


@pytest.mark.parametrize(
    ("fired_at", "firing"),
    [
        (START + 14.5, 14.5),
        (START + 8.5, 9.0),  # before the scrape, by a clock that differs a little
        (START + 21.5, 21.0),
        (START + 3600, None),  # another clock
        (START - 3600, None),
        (None, None),
    ],
)
def test_the_time_of_firing_is_shown_only_if_the_clocks_agree(fired_at: float | None, firing: float | None) -> None:
    assert SCRAPED.see_notification(21.0, fired_at).firing == firing


def test_a_clock_that_differs_leaves_the_time_at_which_prometheus_was_asked() -> None:
    assert FIRING.see_notification(21.0, START + 3600).firing == 16.0


def test_a_notification_proves_the_links_that_were_not_seen() -> None:
    done = NEW.see_notification(21.0, None)
    assert (done.result, done.missing, done.scraped, done.firing) == (Result.OK, None, None, None)


@pytest.mark.parametrize(("drill", "missing"), [(NEW, Link.SCRAPED), (SCRAPED, Link.FIRING), (FIRING, Link.RECEIVED)])
def test_a_drill_whose_time_is_over_names_the_missing_link(drill: Drill, missing: Link) -> None:
    assert drill.expire(179.9) is drill
    failed = drill.expire(180.0)
    assert (failed.result, failed.ended, failed.missing) == (Result.FAILED, 180.0, missing)


@pytest.mark.parametrize(
    ("drill", "asks", "error", "texts"),
    [
        (NEW, True, "", ["has not scraped", "target"]),
        (SCRAPED, True, "", ["does not fire", "generate"]),
        (SCRAPED, False, "", ["not loaded the rule", "http://m/-/drill", "prometheus.url"]),
        (SCRAPED, True, "Status 401", ["not loaded the rule", "http://m/-/drill. Status 401"]),
        (FIRING, True, "", ["fires", "route", "http://m/-/drill"]),
    ],
)
def test_a_failure_says_what_to_check(drill: Drill, asks: bool, error: str, texts: list[str]) -> None:
    text = drill.expire(180.0).explain("http://m/-/drill", asks_prometheus=asks, prometheus_error=error)
    assert all(each in text for each in texts)


CALLS = {
    "scrape": lambda drill, at: drill.see_scrape(at, "p"),
    "firing": lambda drill, at: drill.see_firing(at),
    "notification": lambda drill, at: drill.see_notification(at, START + at - 1),
    "expire": lambda drill, at: drill.expire(at),
    "cancel": lambda drill, at: drill.cancel(at),
}


@given(st.lists(st.tuples(st.sampled_from(sorted(CALLS)), st.floats(0, 20)), max_size=30))
def test_a_drill_ends_once_and_its_links_are_in_order(steps: list[tuple[str, float]]) -> None:
    drill, at, ended = NEW, 0.0, None
    for name, pause in steps:
        at += pause
        drill = CALLS[name](drill, at)
        if ended is not None:
            assert drill == ended
        elif not drill.is_running:
            ended = drill
    seen = [time for time in (drill.scraped, drill.received) if time is not None]
    assert seen == sorted(seen)
    assert (drill.result is Result.OK) == (drill.received is not None)
    assert (drill.ended is None) == drill.is_running
