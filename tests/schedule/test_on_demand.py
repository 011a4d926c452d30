"""Windows on demand always expire, whatever the wall clock does."""

from __future__ import annotations

import pytest

from monitor.errors import RequestError
from monitor.schedule import Maintenance, OnDemandWindows, Window
from monitor.schedule.on_demand import MAX_ENDED, MAX_OPEN, MAX_SECONDS, MAX_TEXT


class SetClock:
    """Two clocks set by hand."""

    def __init__(self, wall: float = 1_700_000_000.0) -> None:
        self.wall, self.ticks = wall, 500.0

    def monotonic(self) -> float:
        return self.ticks

    def time(self) -> float:
        return self.wall

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.ticks += seconds


def started(seconds: float = 600.0, *relays: str) -> tuple[SetClock, OnDemandWindows, Window]:
    clock = SetClock()
    windows = OnDemandWindows(clock)
    return clock, windows, windows.start(relays or ("demo",), seconds, "deploy", "ops")


def test_a_window_is_open_from_its_start_until_its_length_has_passed() -> None:
    clock, windows, window = started(600.0)
    maintenance = Maintenance([], clock, windows)
    assert maintenance.active("demo") == "deploy"
    assert maintenance.active("other") is None
    assert maintenance.window("demo") == window
    clock.advance(599.9)
    assert maintenance.active("demo") == "deploy"
    clock.advance(0.1)
    assert maintenance.active("demo") is None
    assert windows.list() == ()


@pytest.mark.parametrize("step", [-86_400.0, 86_400.0])
def test_a_step_of_the_wall_clock_neither_prolongs_nor_ends_a_window(step: float) -> None:
    clock, windows, _ = started(600.0)
    clock.wall += step
    maintenance = Maintenance([], clock, windows)
    assert maintenance.active("demo") == "deploy"
    clock.advance(600.0)
    assert maintenance.active("demo") is None
    assert maintenance.overlaps("demo", clock.wall - 1, clock.wall)


def test_a_window_that_ended_early_is_remembered_for_the_time_it_was_open() -> None:
    clock, windows, window = started(600.0)
    clock.advance(60.0)
    ended = windows.end(window.id)
    assert ended is not None
    assert (ended.end - ended.start).total_seconds() == 60
    clock.advance(60.0)
    now = clock.time()
    assert [windows.overlaps("demo", now - 90, now), windows.overlaps("demo", now - 59, now)] == [True, False]
    assert windows.end(window.id) is None


def test_what_expired_is_returned_once() -> None:
    clock, windows, window = started(600.0)
    assert windows.expire() == []
    clock.advance(605.0)
    assert [(item.id, item.end) for item in windows.expire()] == [(window.id, window.end)]
    assert windows.expire() == []
    assert windows.end(window.id) is None


def test_of_two_windows_the_one_that_ends_last_is_shown() -> None:
    clock, windows, _ = started(600.0)
    longer = windows.start(["demo", "other"], 900.0, "second", "ops")
    assert Maintenance([], clock, windows).window("demo") == longer
    assert [window.reason for window in windows.list()] == ["deploy", "second"]


@pytest.mark.parametrize(
    ("seconds", "relays", "reason", "by", "message"),
    [
        (MAX_SECONDS + 1, ["demo"], "deploy", "ops", "1s–4h"),
        (0.0, ["demo"], "deploy", "ops", "1s–4h"),
        (float("nan"), ["demo"], "deploy", "ops", "1s–4h"),
        (60.0, [], "deploy", "ops", "needs a relay"),
        (60.0, ["demo"], "", "ops", "reason must be"),
        (60.0, ["demo"], "two\nlines", "ops", "reason must be"),
        (60.0, ["demo"], "deploy", "\x1b[31m", "by must be"),
        (60.0, ["demo"], "x" * (MAX_TEXT + 1), "ops", "reason must be"),
    ],
)
def test_a_window_that_is_not_allowed_is_refused(
    seconds: float, relays: list[str], reason: str, by: str, message: str
) -> None:
    windows = OnDemandWindows(SetClock())
    with pytest.raises(RequestError, match=message):
        windows.start(relays, seconds, reason, by)
    assert windows.list() == ()


def test_open_and_ended_windows_are_bounded() -> None:
    _, windows, first = started()
    for _ in range(MAX_OPEN - 1):
        windows.start(["demo"], 60.0, "deploy", "ops")
    with pytest.raises(RequestError, match="end one first"):
        windows.start(["demo"], 60.0, "deploy", "ops")
    assert windows.end(first.id) is not None
    for _ in range(MAX_ENDED + 10):
        windows.end(windows.start(["demo"], 60.0, "deploy", "ops").id)
    assert len(windows._ended) == MAX_ENDED


def test_a_restored_window_keeps_its_end_and_never_lasts_longer_than_it_was() -> None:
    _, _, window = started(600.0)
    clock = SetClock(window.start.timestamp() + 200)
    clock.ticks = 3.0  # a new process, on a host that has just started
    windows = OnDemandWindows(clock)
    windows.restore([window])
    assert windows.list() == (window,)
    assert windows.overlaps("demo", clock.time() - 100, clock.time() - 90)  # before this process began
    clock.advance(400.0)
    assert windows.list() == ()

    stepped = SetClock(window.start.timestamp() - 86_400)  # the wall clock was set back between the processes
    windows = OnDemandWindows(stepped)
    windows.restore([window])
    stepped.advance(600.0)
    assert windows.list() == ()


def test_an_ended_window_is_not_restored() -> None:
    _, _, window = started(600.0)
    windows = OnDemandWindows(SetClock(window.end.timestamp()))
    windows.restore([window])
    assert windows.list() == ()
