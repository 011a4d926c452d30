"""What a load test came to: counts and sketches, nothing that cannot be added up exactly."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from monitor.load.sketch import Sketch

SKETCHES: Final = ("connectTime", "handshake", "messages", "recovery", "wireRequest", "wireResponse")
"""The latencies that are kept apart, by their names in the JSON."""

WINDOW: Final = 10.0
"""Seconds between two snapshots."""


@dataclass(slots=True)
class Window:
    """One snapshot: the round trips that ended in the ten seconds after `at` seconds since the beginning."""

    at: float
    sketch: Sketch


@dataclass(slots=True)
class Hold:
    """What became of the connections that were held."""

    seconds: float = 0.0
    current: int = 0  # away when the hold ended
    peak: int = 0  # away at the worst moment
    reconnects: int = 0


def _sketches() -> dict[str, Sketch]:
    return {name: Sketch() for name in SKETCHES}


@dataclass(slots=True)
class Totals:
    """The account of a load test, or of one worker's part of it. Durations are seconds."""

    attempted: int = 0  # pairs, or bare connections, that came about or failed
    unfinished: int = 0  # and those that this program gave up before; they are among `aborted` too
    immediate: int = 0
    recovered: int = 0
    failed: int = 0
    retries: int = 0
    sent: int = 0  # exchanges begun: a request that asks for an answer
    received: int = 0  # and those that came to their end
    unheard: int = 0  # those that did not
    aborted: int = 0  # given up by this program: pairings, connects, exchanges; in no rate
    awaited: int = 0  # messages to absent wallets
    brought: int = 0  # and those that the new wallet got
    missed: int = 0  # and those that it did not
    disconnects: int = 0  # pairs that dropped at least once
    reconnects: int = 0  # times that a pair was whole again
    due_seconds: float = 0.0  # that pairs or connections should have stood, added up over them
    connected_seconds: float = 0.0  # and those that they did
    hold: Hold = field(default_factory=Hold)
    reasons: Counter[str] = field(default_factory=Counter)  # "step/reason"
    verdicts: Counter[str] = field(default_factory=Counter)
    sketches: dict[str, Sketch] = field(default_factory=_sketches)
    windows: list[Window] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def successful(self) -> int:
        """Pairs or connections that came about."""
        return self.immediate + self.recovered

    @property
    def exchanges(self) -> int:
        """What was tried and came to an end, good or bad: exchanges, recoveries."""
        return self.received + self.unheard + self.brought + self.missed

    @property
    def good(self) -> int:
        """Those of them that were good."""
        return self.received + self.brought

    @property
    def trend(self) -> tuple[float, float] | None:
        """The P99 of the first and of the last snapshot; None where there are no two to compare."""
        if len(self.windows) < 2:  # noqa: PLR2004 - a first and a last
            return None
        return self.windows[0].sketch.quantile(0.99), self.windows[-1].sketch.quantile(0.99)

    def window(self, at: float) -> Sketch:
        """The snapshot's sketch that a round trip which ended `at` seconds after the beginning belongs to."""
        start = at // WINDOW * WINDOW
        for window in reversed(self.windows):
            if window.at == start:
                return window.sketch
            if window.at < start:
                break
        made = Window(start, Sketch())
        self.windows.append(made)
        self.windows.sort(key=lambda window: window.at)
        return made.sketch

    def add(self, other: Totals) -> None:
        """Add another worker's part. The workers ran at the same time: their durations overlap, and so do snapshots."""
        for name in (
            "attempted", "unfinished", "immediate", "recovered", "failed", "retries", "sent", "received", "unheard",
            "aborted", "awaited", "brought", "missed", "disconnects", "reconnects", "due_seconds", "connected_seconds",
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
