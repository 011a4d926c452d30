"""When to try again: exponential back-off with jitter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays in seconds between tries: at least `shortest`, at most `longest`, doubling, with jitter.

    The defaults are those of the wallet protocol's clients. The jitter is half of the delay, so that clients that
    dropped together come back apart, while a single one still comes back soon.
    """

    shortest: float = 0.1
    longest: float = 30.0

    def delay(self, failures: int, rng: random.Random) -> float:
        """The wait after `failures` failed tries in a row (0: after a connection that had worked)."""
        full = min(self.longest, self.shortest * 2.0 ** min(failures, 32))
        return max(self.shortest, full * (0.5 + 0.5 * rng.random()))
