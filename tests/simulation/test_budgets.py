from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.burn_rate import REFERENCE_WINDOW, BurnCondition, burn_conditions
from monitor.config.traffic import Source
from monitor.simulation.budgets import (
    Counters,
    EventTimes,
    Intervals,
    Rule,
    Spread,
    count_pages,
    first_page,
    simulate_events,
)
from tests.slo.rules.oracle import increase

EVERY_SECOND = Intervals(scrape=1.0, evaluation=1.0)
EXCHANGES = Source(probe="steady", period=10.0, count=1, takes=5.0, timeout=2.0, answers=True)


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def rule(factor: int = 5, long: float = 600.0, short: float = 60.0) -> Rule:
    condition = BurnCondition(
        severity="critical", factor=Decimal(factor), long_window=long, short_window=short, keep_firing_for=60.0
    )
    return Rule(condition=condition, objective=Decimal("0.99"))


def judged(rules: list[Rule], *times: EventTimes) -> list[tuple[EventTimes, list[Rule]]]:
    return [(times, rules) for times in times]


def regular(start: float, stop: float, period: float = 10.0) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.arange(start, stop, period)


def drawn(source: Source, draws: int = 200) -> list[EventTimes]:
    """Return the events of random phases; all fail from 50 s on."""
    return [
        simulate_events([source], 0.0, 100.0, lambda at: at >= 50, np.random.default_rng(seed)) for seed in range(draws)
    ]


def test_events_are_counted_when_their_outcome_is_known() -> None:
    for made in drawn(EXCHANGES):
        assert np.allclose(np.diff(made.good), 10.0)
        assert np.allclose(np.diff(made.bad[1:]), 10.0)
        assert made.good[-1] < 50.0
        assert made.bad[-1] - made.good[-1] == pytest.approx(10.0 * len(made.bad) + 2.0 - 5.0)
        assert made.first == made.good[0]


def test_a_fault_affects_exchanges_in_flight() -> None:
    """Half of the exchanges of ten seconds have not sent their response; the others fail at once."""
    firsts = np.array([made.bad[0] for made in drawn(EXCHANGES)])
    answers = np.array([len(made.bad) > 1 and made.bad[1] - made.bad[0] < 9.9 for made in drawn(EXCHANGES)])
    assert 80 < np.count_nonzero(answers) < 120
    assert 52.0 <= min(firsts[answers]) < max(firsts[answers]) < 57.0
    assert 52.0 <= min(firsts[~answers]) < max(firsts[~answers]) < 57.0


def test_messages_to_an_offline_wallet_fail_when_it_reconnects() -> None:
    absence = Source(probe="offline", period=60.0, count=1, takes=30.0, timeout=5.0)
    firsts = np.array([made.bad[0] for made in drawn(absence) if len(made.bad)])
    assert 55.0 <= min(firsts) < 57.0


def test_simultaneous_events_are_all_counted() -> None:
    pair = Source(probe="storm", period=10.0, count=4)
    made = simulate_events([pair], 0.0, 100.0, lambda at: at < 0, rng())
    assert len(made.good) == 4 * 10
    assert not len(made.bad)


def test_a_failed_pairing_is_retried_until_it_succeeds_or_the_next_is_due() -> None:
    renewal = Source(probe="steady", period=100.0, count=1, timeout=5.0, retry=20.0)
    made = simulate_events([renewal], 0.0, 1000.0, lambda at: (at >= 300) & (at < 460), rng())
    begins = made.good[0] + 100 * np.arange(3)
    assert np.allclose(made.good[:3], begins)
    # Every 25 s from the first failure, until the pairing of the next period is due.
    failed = begins[-1] + 100 + 5 + np.array([0, 25, 50, 75, 100, 125, 150])
    assert np.allclose(made.bad, failed[failed - 5 < 460])


def test_a_burn_pages_when_it_exceeds_the_factor_in_both_windows() -> None:
    """Every event fails from 0 on: 5 % of ten minutes are three failures, and one more pages."""
    page = first_page(
        judged([rule()], EventTimes(regular(-2000, 0), regular(0.5, 1000))), 0.0, 1000.0, EVERY_SECOND, rng()
    )
    assert 20.5 < page <= 33.0


def test_a_slow_burn_never_pages() -> None:
    bad = regular(0.5, 1000, 10.0)[::30]
    page = first_page(
        judged([rule(factor=50)], EventTimes(regular(-2000, 1000), bad)), 0.0, 1000.0, EVERY_SECOND, rng()
    )
    assert page == float("inf")


def test_fewer_than_three_failures_do_not_page_with_few_events() -> None:
    few = EventTimes(regular(-2000, 0, 60.0), regular(0.5, 1000, 60.0))
    page = first_page(judged([rule()], few), 0.0, 1000.0, EVERY_SECOND, rng())
    assert 120 < page <= 123


def test_long_windows_are_recorded_less_often_than_alerts_are_evaluated() -> None:
    """Long windows every minute, which may delay a page; short ones every second."""
    delays = {}
    for long, short in ((600.0, 60.0), (7200.0, 60.0)):
        times = EventTimes(regular(-9000, 0), regular(0.5, 1000))
        pages = [
            first_page(judged([rule(1, long, short)], times), 0.0, 1000.0, EVERY_SECOND, np.random.default_rng(seed))
            for seed in range(40)
        ]
        delays[long] = max(pages) - min(pages)
    assert delays[600.0] <= 3.0
    assert 40.0 < delays[7200.0] <= 62.0


def test_failures_that_ended_minutes_ago_do_not_page() -> None:
    ended = EventTimes(regular(-4000, 1000), regular(-900, -400))
    page = first_page(judged([rule(long=2000.0, short=1000.0)], ended), 0.0, 1000.0, EVERY_SECOND, rng())
    assert page == float("inf")


def test_each_probe_is_judged_apart() -> None:
    """One event a minute fails beside sixty that succeed: merged they are 1.6 % errors, below 5 times 1 %."""
    many, few = (
        EventTimes(regular(-2000, 1000, 1.0), np.empty(0)),
        EventTimes(regular(-2000, 0, 60.0), regular(0.5, 1000, 60.0)),
    )
    merged = EventTimes(np.sort(np.concatenate((many.good, few.good))), few.bad)
    assert first_page(judged([rule()], merged), 0.0, 1000.0, EVERY_SECOND, rng()) == float("inf")
    assert 120 < first_page(judged([rule()], many, few), 0.0, 1000.0, EVERY_SECOND, rng()) <= 123
    assert count_pages(judged([rule()], merged), 0.0, 1000.0, EVERY_SECOND, rng()) == 0
    assert count_pages(judged([rule()], many, few), 0.0, 1000.0, EVERY_SECOND, rng()) == 1


@given(
    bad=st.lists(st.floats(0, 1000), max_size=30),
    good=st.lists(st.floats(0, 1000), max_size=30),
    phase=st.integers(0, 14_999),
    window=st.sampled_from((20, 60, 300, 2000)),
    now=st.integers(20_000, 1_100_000),
)
def test_increases_are_those_of_prometheus(
    bad: list[float], good: list[float], phase: int, window: int, now: int
) -> None:
    """As the oracle computes them, which is compared with Prometheus itself."""
    scrapes = np.arange(phase, 1_000_001, 15_000)
    times = EventTimes(np.sort(np.array(good)), np.sort(np.array(bad)))
    found = Counters(scrapes / 1000, times).increases(np.array([now / 1000]), float(window))
    expected = []
    for events_at in (times.bad, times.good):
        samples = [(int(at), float(np.count_nonzero(events_at <= at / 1000))) for at in scrapes]
        expected.append(increase(samples, now, window * 1000, version=3) or 0.0)
    assert [float(each[0]) for each in found] == pytest.approx([expected[0], sum(expected)], rel=1e-9, abs=1e-9)


def test_consecutive_failures_are_one_page() -> None:
    good = regular(0, 10_000)
    bad = np.sort(np.concatenate((regular(2000, 2200), regular(6000, 6200))))
    assert count_pages(judged([rule()], EventTimes(good, bad)), 0.0, 10_000.0, EVERY_SECOND, rng()) == 2


def test_the_reference_windows_allow_a_blip() -> None:
    """Twelve exchanges a minute at 99.9 %: one failure, then ten in one hour, do not page; eleven do."""
    rules = [
        Rule(condition=condition, objective=Decimal("0.999"))
        for condition in burn_conditions(REFERENCE_WINDOW, 15.0)[:1]
    ]
    pace = Intervals(scrape=15.0, evaluation=15.0)
    good = regular(0, 10_800, 5.0)
    for failures, pages in ((1, 0), (9, 0), (12, 1)):
        bad = regular(7200.0, 7200.0 + 5.0 * failures, 5.0)
        assert count_pages(judged(rules, EventTimes(good, bad)), 0.0, 10_800.0, pace, rng()) == pages


def test_the_first_failures_after_a_cold_start_do_not_page() -> None:
    rules = [
        Rule(condition=condition, objective=Decimal("0.999")) for condition in burn_conditions(REFERENCE_WINDOW, 15.0)
    ]
    pace = Intervals(scrape=15.0, evaluation=15.0)
    assert count_pages(judged(rules, EventTimes(regular(0, 3600, 5.0), regular(60, 70))), 0.0, 3600.0, pace, rng()) == 0


def test_a_probe_with_a_long_interval_is_judged_by_its_last_events() -> None:
    """A run every 20 minutes leaves windows of 5 minutes empty, and 3 runs do not always fit into an hour."""
    every_20_minutes = EventTimes(regular(-10_000, 0, 1200.0), regular(600, 9_000, 1200.0))
    pace = Intervals(scrape=15.0, evaluation=15.0)
    unadapted, adapted = (
        [
            Rule(condition=condition, objective=Decimal("0.99"))
            for condition in burn_conditions(REFERENCE_WINDOW, 15.0, gap)[:1]
        ]
        for gap in (0.0, 1200.0)
    )
    assert first_page(judged(adapted, every_20_minutes), 0.0, 9_000.0, pace, rng()) == pytest.approx(3000, abs=100)
    assert count_pages(judged(adapted, every_20_minutes), 0.0, 9_000.0, pace, rng()) == 1
    assert count_pages(judged(unadapted, every_20_minutes), 0.0, 9_000.0, pace, rng()) > 1


def test_a_spread_has_the_share_that_paged() -> None:
    assert Spread.of(np.array([1.0, 2.0, 3.0, np.inf])) == Spread(low=1.1, median=2.0, high=2.9, paged=0.75)
    assert Spread.of(np.array([np.inf])) is None


@pytest.mark.parametrize("seed", range(3))
def test_the_same_seed_gives_the_same_page(seed: int) -> None:
    pages = {
        first_page(
            judged(
                [rule()], simulate_events([EXCHANGES], -2000.0, 1000.0, lambda at: at >= 0, np.random.default_rng(seed))
            ),
            *(0.0, 1000.0),
            EVERY_SECOND,
            np.random.default_rng(seed),
        )
        for _ in range(3)
    }
    assert len(pages) == 1
