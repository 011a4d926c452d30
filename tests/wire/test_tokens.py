from __future__ import annotations

from typing import Any

import pytest

from monitor.wire.tokens import MAX_TTL, MIN_TTL, RENEWAL_MARGIN, renewal


@pytest.mark.parametrize(
    ("ttl", "after"),
    [
        (60, 60 - RENEWAL_MARGIN),
        (12, 6),
        (0, MIN_TTL / 2),
        (-5, MIN_TTL / 2),
        (0.001, MIN_TTL / 2),
        ("3600", 3600 - RENEWAL_MARGIN),
    ],
)
def test_a_token_is_renewed_before_it_runs_out_and_never_at_once(ttl: Any, after: float) -> None:
    assert renewal({"expires": True, "ttl": ttl}, 100.0) == 100.0 + after


def test_a_life_past_all_numbers_is_a_long_one() -> None:
    assert renewal({"expires": True, "ttl": float("inf")}, 0.0) == MAX_TTL - RENEWAL_MARGIN


@pytest.mark.parametrize("ttl", ["nan", "soon", None, []])
def test_a_life_that_is_no_number_is_refused(ttl: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        renewal({"expires": True, "ttl": ttl}, 0.0)


def test_a_token_that_does_not_expire_is_left_alone() -> None:
    assert renewal({"ttl": 5}, 0.0) is None
