"""The persistent pairs of one relay, by probe and number."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.pairs.pair import Pair


class PersistentPairs:
    """The registry in which a continuous probe enters its pairs, so that a failure of one is confirmed over it."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[str, int], Pair] = {}

    def add(self, probe: str, number: int, pair: Pair) -> None:
        """Register the pair of this number, in place of the one before it."""
        self._pairs[probe, number] = pair

    def remove(self, probe: str, number: int, pair: Pair) -> None:
        """Remove a pair, unless another one has its number by now."""
        if self._pairs.get((probe, number)) is pair:
            del self._pairs[probe, number]

    def find(self, probe: str, number: int) -> Pair | None:
        """Return the pair of this number, or None."""
        return self._pairs.get((probe, number))
