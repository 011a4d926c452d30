"""Exponential backoff with jitter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays between retries: `minimum` seconds, doubling up to `maximum`, with half of the delay as jitter.

    The defaults are those of the wallet protocol's clients.
    """

    minimum: float = 0.1
    maximum: float = 30.0

    def delay(self, failures: int, rng: random.Random) -> float:
        """Return the delay in seconds after `failures` consecutive failures; 0 after an established connection."""
        full = min(self.maximum, self.minimum * 2.0 ** min(failures, 32))
        return max(self.minimum, full * (0.5 + 0.5 * rng.random()))
