"""The totals of a load test: counts and sketches, all of which can be added up exactly over workers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from monitor.load.sketch import Sketch

SKETCHES: Final = ("connectTime", "handshake", "messages", "recovery", "wireRequest", "wireResponse")
"""The latencies that have a sketch each, by their names in the JSON."""

WINDOW_SECONDS: Final = 10.0


@dataclass(slots=True)
class Window:
    """The round trips that ended in the ten seconds from `at` on (seconds since the test began)."""

    at: float
    sketch: Sketch


@dataclass(slots=True)
class HoldTotals:
    """How many of the held connections were away."""

    seconds: float = 0.0  # that the hold lasted
    current: int = 0  # away when the hold ended
    peak: int = 0  # most away at a time
    reconnects: int = 0


def _sketches() -> dict[str, Sketch]:
    return {name: Sketch() for name in SKETCHES}


@dataclass(slots=True)
class Totals:
    """Counts and latencies of a load test, or of one worker's part. Durations are seconds."""

    attempted: int = 0  # pairs, or bare connections, that connected or failed
    unfinished: int = 0  # aborted before they connected; also counted in `aborted`
    immediate: int = 0  # connected at the first attempt
    recovered: int = 0  # connected after retries
    failed: int = 0
    retries: int = 0
    sent: int = 0  # exchanges begun
    received: int = 0  # exchanges completed
    unanswered: int = 0  # exchanges not completed
    aborted: int = 0  # pairings, connects and exchanges aborted by this program; in no rate
    recoveries_attempted: int = 0  # messages to absent wallets
    recoveries_received: int = 0  # of these, received by the new wallet
    recoveries_failed: int = 0
    disconnects: int = 0  # pairs that dropped at least once
    reconnects: int = 0  # times that a pair was connected again
    due_seconds: float = 0.0  # that pairs or connections should have been connected, summed over them
    connected_seconds: float = 0.0  # that they were
    hold: HoldTotals = field(default_factory=HoldTotals)
    reasons: Counter[str] = field(default_factory=Counter)  # failures by "step/reason"
    verdicts: Counter[str] = field(default_factory=Counter)  # messages by verdict
    sketches: dict[str, Sketch] = field(default_factory=_sketches)
    windows: list[Window] = field(default_factory=list)
    seconds: float = 0.0  # that the test lasted

    @property
    def successful(self) -> int:
        """Pairs or connections that connected."""
        return self.immediate + self.recovered

    @property
    def exchanges(self) -> int:
        """Exchanges and recoveries that succeeded or failed."""
        return self.received + self.unanswered + self.recoveries_received + self.recoveries_failed

    @property
    def good(self) -> int:
        """Exchanges and recoveries that succeeded."""
        return self.received + self.recoveries_received

    @property
    def trend(self) -> tuple[float, float] | None:
        """The P99 of the first and of the last window in seconds; None if there are fewer than two windows."""
        if len(self.windows) < 2:  # noqa: PLR2004 - a first and a last
            return None
        return self.windows[0].sketch.quantile(0.99), self.windows[-1].sketch.quantile(0.99)

    def window(self, at: float) -> Sketch:
        """Return the sketch of the window that a round trip belongs to which ended `at` seconds after the beginning."""
        start = at // WINDOW_SECONDS * WINDOW_SECONDS
        for window in reversed(self.windows):
            if window.at == start:
                return window.sketch
            if window.at < start:
                break
        created = Window(start, Sketch())
        self.windows.append(created)
        self.windows.sort(key=lambda window: window.at)
        return created.sketch

    def add(self, other: Totals) -> None:
        """Add another worker's totals. The workers ran at the same time: durations and windows overlap."""
        for name in (
            "attempted", "unfinished", "immediate", "recovered", "failed", "retries", "sent", "received", "unanswered",
            "aborted", "recoveries_attempted", "recoveries_received", "recoveries_failed", "disconnects", "reconnects",
            "due_seconds", "connected_seconds",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.hold.seconds = max(self.hold.seconds, other.hold.seconds)
        self.hold.current += other.hold.current
        self.hold.peak += other.hold.peak
        self.hold.reconnects += other.hold.reconnects
        self.reasons.update(other.reasons)
        self.verdicts.update(other.verdicts)
        self.seconds = max(self.seconds, other.seconds)
        for name, sketch in other.sketches.items():
            self.sketches[name].add(sketch)
        for window in other.windows:
            self.window(window.at).add(window.sketch)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedTest:
    """How a load test, or a worker's part of one, ended."""

    totals: Totals
    interrupted: bool
    began: float
    """Seconds since the epoch."""
    cost: dict[str, float] = field(default_factory=dict)
    """CPU seconds and peak memory, as `host.cost` measures them."""
    included_workers: tuple[int, ...] = ()
    """Workers whose results it contains; empty for one worker's own part."""
    missing_workers: tuple[int, ...] = ()
    """Workers whose results are missing."""
    version: str = ""
    """Version of the program that ran the merged parts; empty for a test of this process."""
