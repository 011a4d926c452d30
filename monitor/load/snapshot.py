"""Where a test stands right now: a small value that workers send each second and progress is drawn from."""

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
    """Counts since the beginning, and the latencies of the last few seconds as a sketch's counts."""

    started: int = 0
    connected: int = 0
    failed: int = 0
    active: int = 0
    good: int = 0
    bad: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    recent: dict[int, int] = field(default_factory=dict)

    @property
    def latencies(self) -> Sketch:
        """The latencies of the last few seconds."""
        sketch = Sketch()
        sketch.counts.update(self.recent)
        sketch.least, sketch.greatest = 0.0, float("inf")
        return sketch

    def to_json(self) -> dict[str, Any]:
        """A form that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Snapshot:
        """What `to_json` gave, JSON's way with keys undone."""
        return cls(**{**fields, "recent": {int(value): count for value, count in fields["recent"].items()}})


def live_of(tally: LoadStatistics) -> Snapshot:
    """Where one process stands."""
    totals = tally.totals
    return Snapshot(
        started=tally.begun,
        connected=totals.successful,
        failed=totals.failed,
        active=tally.active,
        good=totals.good,
        bad=totals.exchanges - totals.good,
        reasons=dict(totals.reasons),
        recent=dict(tally.recent().counts),
    )


def together(parts: Iterable[Snapshot]) -> Snapshot:
    """Where several processes stand together."""
    sums: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    recent: Counter[int] = Counter()
    for part in parts:
        sums.update({name: getattr(part, name) for name in ("started", "connected", "failed", "active", "good", "bad")})
        reasons.update(part.reasons)
        recent.update(part.recent)
    return Snapshot(**sums, reasons=dict(reasons), recent=dict(recent))
