from __future__ import annotations

import pytest

from tests.dashboards.time_range import Steps, TimeRange, duration, rounded, seconds

HOUR = TimeRange(1_790_000_000.0, 1_790_003_600.0)


@pytest.mark.parametrize(("text", "length"), [("15s", 15), ("1h30m", 5400), ("500ms", 0.5), ("30d", 2_592_000)])
def test_durations_are_those_of_prometheus(text: str, length: float) -> None:
    assert seconds(text) == length


@pytest.mark.parametrize("text", ["", "15", "s", "15s later"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        seconds(text)


def test_macros_are_whole_seconds_or_milliseconds() -> None:
    assert [duration(15.0), duration(90.0), duration(0.25), duration(1.5)] == ["15s", "90s", "250ms", "1500ms"]


@pytest.mark.parametrize(("interval", "round_one"), [(2.3, 2), (4.5, 5), (13.5, 15), (38.0, 30), (3600.0, 3600)])
def test_intervals_are_rounded_as_grafana_does(interval: float, round_one: float) -> None:
    assert rounded(interval) == round_one


def test_a_range_is_relative_to_now() -> None:
    assert TimeRange.parse("now-1h", "now", 7200.0) == TimeRange(3600.0, 7200.0)
    assert TimeRange.parse("100", "200.5", 0.0) == TimeRange(100.0, 200.5)


def test_a_time_outside_the_range_is_drawn_at_its_edge() -> None:
    assert [HOUR.share(HOUR.start - 5), HOUR.share(HOUR.start + 900), HOUR.share(HOUR.end + 5)] == [0.0, 0.25, 1.0]


def test_marks_are_round_times() -> None:
    texts = [text for _, text in TimeRange(1_790_000_010.0, 1_790_003_610.0).marks(4)]
    assert texts == ["14:15", "14:30", "14:45", "15:00"]


def test_a_step_is_never_shorter_than_a_scrape() -> None:
    assert Steps.of(HOUR, 1600, 15.0, None).step == 15.0
    assert Steps.of(HOUR, 1600, 15.0, 60.0).step == 60.0
    assert Steps.of(HOUR, 120, 15.0, None).step == 30.0


def test_a_rate_spans_four_scrapes() -> None:
    assert Steps.of(HOUR, 1600, 15.0, None).rate == 60.0
    assert Steps.of(TimeRange(0.0, 86_400.0), 400, 15.0, None).rate == 300.0 + 15.0


def test_steps_lie_on_multiples_of_their_length() -> None:
    steps = Steps.of(TimeRange(1007.0, 4607.0), 1600, 15.0, None)
    assert (steps.start % 15, steps.end % 15) == (0.0, 0.0)
    assert (steps.start, steps.end) == (1005.0, 4605.0)
