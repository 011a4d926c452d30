"""Repeated failures: the first is logged whole, then one summary a minute, until the relay is up again."""

from __future__ import annotations

from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from monitor.log_repetitions import INTERVAL, MAX_CAUSES, MEMORY, Repetitions


class SetClock:
    """A clock set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


class Log:
    """Repetitions on a clock set by hand. `lines` has what they let pass and their summaries."""

    def __init__(self, *, enabled: bool = True) -> None:
        self.clock = SetClock()
        self.repetitions = Repetitions(self.clock)
        self.repetitions.enabled = enabled

    def passes(self, event: str = "run failed", *, repeats: bool = True, **fields: Any) -> bool:
        line = {"event": event, "relay": "demo", "step": "tcp", "reason": "refused", "repeats": repeats} | fields
        try:
            passed = self.repetitions(None, "warning", line)
        except structlog.DropEvent:
            return False
        assert "repeats" not in passed
        return True

    def summaries(self, seconds: float = INTERVAL) -> list[dict[str, Any]]:
        self.clock.now += seconds
        with capture_logs() as lines:
            self.repetitions.summarize()
        return [dict(line) for line in lines]


def test_the_first_failure_is_logged_whole_and_the_others_are_counted() -> None:
    log = Log()
    assert [log.passes(run_id=f"r{number}") for number in range(5)] == [True, False, False, False, False]
    assert log.summaries() == [
        {
            "event": "failures continue",
            "log_level": "warning",
            "relay": "demo",
            "seconds": 60,
            "lines": 4,
            "events": {"run failed": 4},
            "causes": {"tcp refused": 4},
            "last_run_id": "r4",
        }
    ]


def test_an_hour_of_failures_is_one_line_a_minute() -> None:
    log = Log()
    passed = 0
    written: list[dict[str, Any]] = []
    for second in range(3600):
        passed += log.passes() + log.passes("pairing failed", probe=f"p{second % 3}")
        written += log.summaries(1.0)
    assert passed == 2  # the first of each event
    assert len(written) == 60
    assert sum(line["lines"] for line in written) == 2 * 3600 - 2


def test_another_cause_another_event_and_another_relay_are_logged_whole() -> None:
    log = Log()
    log.passes()
    assert log.passes(step="upgrade", reason="http_status", status="502")
    assert log.passes("attempt failed")
    assert log.passes(relay="other")
    assert log.passes("accept failed", relay=None)
    assert not log.passes(detail="another address")


def test_lines_without_the_mark_always_pass() -> None:
    log = Log()
    assert all(log.passes("relay is down", repeats=False) for _ in range(3))
    assert log.summaries() == []


def test_at_debug_every_line_passes() -> None:
    log = Log(enabled=False)
    assert all(log.passes() for _ in range(3))
    assert log.summaries() == []


def test_a_relay_that_was_up_again_fails_anew() -> None:
    log = Log()
    log.passes()
    log.passes()
    with capture_logs() as lines:
        log.repetitions.forget("demo")
    assert [(line["event"], line["lines"]) for line in lines] == [("failures continue", 1)]
    assert log.passes()


def test_a_cause_that_does_not_occur_for_long_is_forgotten() -> None:
    log = Log()
    log.passes()
    assert log.summaries(MEMORY - 1) == []
    assert not log.passes()
    assert len(log.summaries(INTERVAL)) == 1
    assert log.summaries(MEMORY) == []
    assert log.passes()


def test_a_relay_with_ever_new_causes_is_bounded() -> None:
    log = Log()
    passed = [log.passes(status=str(number)) for number in range(100)]
    assert sum(passed) == MAX_CAUSES
    (summary,) = log.summaries()
    assert len(summary["causes"]) <= MAX_CAUSES + 1
    assert sum(summary["causes"].values()) == summary["lines"] == 100 - MAX_CAUSES


@pytest.mark.parametrize(("method", "level"), [("info", "info"), ("error", "warning")])
def test_a_summary_warns_if_a_line_did(method: str, level: str) -> None:
    log = Log()
    log.passes()
    line = {"event": "run failed", "relay": "demo", "step": "tcp", "reason": "refused", "repeats": True}
    with pytest.raises(structlog.DropEvent):
        log.repetitions(None, method, line)
    assert [item["log_level"] for item in log.summaries()] == [level]
