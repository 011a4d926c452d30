from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from monitor.config.crontab import Crontab
from monitor.schedule.slots import MAX_BACKLOG, CronSlots, Due, EverySlots, stagger

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC).timestamp()


def test_the_stagger_of_an_identity_never_changes() -> None:
    # A literal: it must be the same in every process, on every machine, in every release.
    assert stagger(60.0, ("fra", "demo", "session")) == stagger(3600.0, ("fra", "demo", "session")) == STAGGER


STAGGER = 2.529867


def test_the_stagger_tells_locations_relays_and_probes_apart() -> None:
    places = {stagger(60.0, (a, b, c)) for a in ("fra", "nyc") for b in ("x", "y") for c in ("p", "q")}
    assert len(places) == 8
    assert stagger(60.0, ("a", "bc")) != stagger(60.0, ("ab", "c"))


@given(period=st.floats(0.001, 1e6), names=st.tuples(st.text(), st.text(), st.text()))
def test_the_stagger_is_below_the_period_and_five_seconds(period: float, names: tuple[str, ...]) -> None:
    assert 0 <= stagger(period, names) < min(period, 5.0) + 1e-6


def test_a_grid_does_not_drift() -> None:
    slots = EverySlots(first=0.1, period=0.1)
    wall = NOON
    for index in range(100_000):
        # Not `pytest.approx`, which costs more than all the rest a hundred thousand times.
        assert abs(slots.upcoming(0.0, wall) - wall - 0.1 * (index + 1)) <= 1e-6
        assert slots.consume(0.1 + index * 0.1, wall) == Due(0, 1, wall)


def test_a_grid_ignores_the_wall_clock() -> None:
    slots = EverySlots(first=10.0, period=10.0)
    assert slots.consume(10.0, NOON) == Due(0, 1, NOON)
    assert slots.consume(19.9, NOON + 1e9) == Due(0, 0, None)
    assert slots.consume(20.5, NOON - 1e9) == Due(0, 1, NOON - 1e9 - 0.5)


def test_a_backlog_on_a_grid_is_counted_without_walking_it() -> None:
    slots = EverySlots(first=0.0, period=0.001)
    assert slots.consume(3.2e8, NOON).overdue == MAX_BACKLOG
    assert slots.consume(3.2e8, NOON) == Due(0, 0, None)


@given(period=st.floats(0.01, 1000), first=st.floats(0, 5), pauses=st.lists(st.floats(0, 5000), max_size=20))
def test_a_grid_gives_each_slot_once_whenever_it_is_asked(period: float, first: float, pauses: list[float]) -> None:
    slots = EverySlots(first, period)
    consumed, now = 0, 0.0
    for pause in pauses:
        now += min(pause, 1000 * period)
        due = slots.consume(now, NOON)
        consumed += due.overdue + due.startable
        assert (due.newest is None) == (due.startable == 0)
        assert due.newest is None or NOON - 1.0 <= due.newest <= NOON
        assert first + consumed * period > now
        assert consumed == 0 or first + (consumed - 1) * period <= now


def test_cron_slots_jumped_over_by_a_step_forward_are_late() -> None:
    slots = CronSlots(Crontab("* * * * *"), NOON)
    assert slots.consume(0.0, NOON + 3600.5) == Due(59, 1, NOON + 3600)
    assert slots.consume(0.0, NOON + 3600.6) == Due(0, 0, None)


def test_ten_years_of_minutes_are_counted_up_to_the_limit() -> None:
    slots = CronSlots(Crontab("* * * * *"), NOON)
    ten_years = 3653 * 86400
    assert slots.consume(0.0, NOON + ten_years + 30) == Due(MAX_BACKLOG, 0, None)
    assert slots.upcoming(0.0, NOON + ten_years + 30) == NOON + ten_years + 60


def test_a_small_correction_back_repeats_no_cron_slot() -> None:
    slots = CronSlots(Crontab("* * * * *"), NOON - 1)
    assert slots.consume(0.0, NOON + 0.001) == Due(0, 1, NOON)
    assert slots.upcoming(0.0, NOON - 30) == NOON + 60
    assert slots.consume(0.0, NOON + 0.001) == Due(0, 0, None)


def test_after_a_step_back_cron_slots_come_again() -> None:
    slots = CronSlots(Crontab("* * * * *"), NOON - 1)
    assert slots.consume(0.0, NOON) == Due(0, 1, NOON)
    assert slots.upcoming(0.0, NOON - 3600) == NOON - 3540
    assert slots.consume(0.0, NOON - 3540) == Due(0, 1, NOON - 3540)
