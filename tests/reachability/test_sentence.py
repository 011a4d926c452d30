"""Conditions in words, as the page, the status and the log say them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitor.reachability.sentence import describe
from monitor.results import Cause, RelayStatus
from monitor.vocabulary import Condition, Reason, Step

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
BAD_GATEWAY = Cause(step=Step.UPGRADE, reason=Reason.HTTP_STATUS, status="502")
UNAVAILABLE = Cause(step=Step.UPGRADE, reason=Reason.HTTP_STATUS, status="503")
REFUSED = Cause(step=Step.TCP, reason=Reason.REFUSED, endpoint="n2:8000")


def sentence(condition: Condition, up: bool | None = None, **fields: Any) -> str:
    status = RelayStatus(relay="demo", condition=condition, since=SINCE, up=up, accepting=None, **fields)
    return describe(status, SINCE + timedelta(seconds=125))


@pytest.mark.parametrize(
    ("condition", "fields", "expected"),
    [
        (Condition.UP, {"up": True}, "up for 2 min 05 s"),
        (
            Condition.DOWN,
            {"up": False, "cause": BAD_GATEWAY, "attempts": 9, "failed": 9},
            "down for 2 min 05 s: upgrade 502, 9 of 9 attempts failed",
        ),
        (
            Condition.DOWN,
            {"up": True, "cause": REFUSED, "attempts": 9, "failed": 8},
            "down for 2 min 05 s: tcp refused at n2:8000, 8 of 9 attempts failed, messages cross again",
        ),
        (
            Condition.NOT_ACCEPTING,
            {"up": True, "cause": BAD_GATEWAY, "attempts": 12, "failed": 12},
            "new connections fail (upgrade 502, 12 of 12); existing ones deliver",
        ),
        (
            Condition.NOT_ACCEPTING,  # as at Centrifugo's connection limit: no word of backends
            {"up": True, "cause": UNAVAILABLE, "attempts": 12, "failed": 12},
            "new connections fail (upgrade 503, 12 of 12); existing ones deliver",
        ),
        (
            Condition.DEGRADED,
            {"up": True, "cause": REFUSED, "attempts": 28, "failed": 3},
            "degraded for 2 min 05 s: 3 of 28 exchanges failed, tcp refused at n2:8000",
        ),
        (
            Condition.DEGRADED,
            {"up": True, "attempts": 28, "slow": 5},
            "degraded for 2 min 05 s: 5 of 28 exchanges over the latency threshold",
        ),
        (
            Condition.DEGRADED,  # the last slow exchange has left the window
            {"up": True, "attempts": 28},
            "degraded for 2 min 05 s: too many exchanges over the latency threshold",
        ),
        (
            Condition.UNKNOWN,
            {"cause": REFUSED, "reason_unknown": "first attempt 10:16:30 UTC"},
            "unknown for 2 min 05 s: first attempt 10:16:30 UTC, so far tcp refused at n2:8000",
        ),
        (
            Condition.UNKNOWN,
            {"up": True, "reason_unknown": "the monitor is unhealthy; before that: up"},
            "unknown for 2 min 05 s: the monitor is unhealthy; before that: up",
        ),
    ],
)
def test_a_condition_in_one_sentence(condition: Condition, fields: dict[str, Any], expected: str) -> None:
    assert sentence(condition, **fields) == expected
