"""`wire.backoff`: delays between connects."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from monitor.wire.backoff import Backoff


@given(failures=st.integers(0, 10_000), seed=st.integers())
def test_every_delay_is_within_the_bounds(failures: int, seed: int) -> None:
    assert 0.1 <= Backoff().delay(failures, random.Random(seed)) <= 30.0
