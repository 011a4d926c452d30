"""The state of a running test: a small value that workers send each second and progress is drawn from."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from monitor.load.sketch import Sketch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from monitor.load.statistics import LoadStatistics


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Counts since the beginning; `recent` has the latencies of the last few seconds, as the counts of a sketch."""

    started: int = 0
    connected: int = 0
    failed: int = 0
    active: int = 0
    good: int = 0
    bad: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    recent: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, statistics: LoadStatistics) -> Snapshot:
        """Return the state of one process."""
        totals = statistics.totals
        return cls(
            started=statistics.started,
            connected=totals.successful,
            failed=totals.failed,
            active=statistics.active,
            good=totals.good,
            bad=totals.exchanges - totals.good,
            reasons=dict(totals.reasons),
            recent=dict(statistics.recent().counts),
        )

    @classmethod
    def merge(cls, parts: Iterable[Snapshot]) -> Snapshot:
        """Add up the states of several processes."""
        sums: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        recent: Counter[int] = Counter()
        for part in parts:
            sums.update(
                {name: getattr(part, name) for name in ("started", "connected", "failed", "active", "good", "bad")}
            )
            reasons.update(part.reasons)
            recent.update(part.recent)
        return cls(**sums, reasons=dict(reasons), recent=dict(recent))

    @property
    def latencies(self) -> Sketch:
        """The latencies of the last few seconds."""
        sketch = Sketch()
        sketch.counts.update(self.recent)
        sketch.minimum, sketch.maximum = 0.0, float("inf")
        return sketch

    def to_json(self) -> dict[str, Any]:
        """Return JSON that `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Snapshot:
        """Read what `to_json` returned, with JSON's string keys converted back to numbers."""
        return cls(**{**fields, "recent": {int(value): count for value, count in fields["recent"].items()}})
