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
def test_a_token_is_renewed_before_it_expires_and_never_at_once(ttl: Any, after: float) -> None:
    assert renewal({"expires": True, "ttl": ttl}, 100.0) == 100.0 + after


def test_an_infinite_ttl_is_limited() -> None:
    assert renewal({"expires": True, "ttl": float("inf")}, 0.0) == MAX_TTL - RENEWAL_MARGIN


@pytest.mark.parametrize("ttl", ["nan", "soon", None, []])
def test_a_ttl_that_is_not_a_number_is_rejected(ttl: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        renewal({"expires": True, "ttl": ttl}, 0.0)


def test_a_token_without_expiry_is_not_renewed() -> None:
    assert renewal({"ttl": 5}, 0.0) is None
