"""The waterfall of a run: the lanes of dApp and wallet with a row for each step, and the messages between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.vocabulary import Step
from monitor.web.axis import Axis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.results import Mark, MessageFate, Run
    from monitor.web.axis import Interval, Segment

MAX_ROWS: Final = 80
"""Largest number of rows in a waterfall; failed steps come first."""

MAX_ARROWS: Final = 60
"""Largest number of messages drawn."""

LABEL_DISTANCE: Final = 4.0
"""Least distance between the labels of two messages, in percent."""

WORD_DISTANCE: Final = 16.0
"""Least distance to the next label of one that has the verdict as a word, in percent."""

TICK_DISTANCE: Final = 12.0
"""Least distance between two ticks of the axis, in percent."""

LANES: Final = (("dapp", "dApp"), ("wallet", "Wallet"), ("pair", "Both"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One step. `good` is its duration in the last good run, None if that has no such step."""

    step: Step
    started: float
    seconds: float
    segments: tuple[Segment, ...]
    good: float | None
    note: str
    failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """One message from `left` to `right` percent; `right` is None if it did not arrive within the run.

    from_dapp: the dApp sent it. label: its number, empty if another label is too close. word: its verdict, if there is
    room. title: all that is known of it.
    """

    left: float
    right: float | None
    from_dapp: bool
    verdict: str
    label: str
    word: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """The rows of one side."""

    side: str
    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waterfall:
    """A drawn run. `ticks` are a place in percent and a time in seconds; `omitted` is the number of rows left out."""

    lanes: tuple[Lane, ...]
    arrows: tuple[Arrow, ...]
    folds: tuple[Interval, ...]
    ticks: tuple[tuple[float, float], ...]
    omitted: int


def waterfall(run: Run, good: Run | None) -> Waterfall:
    """Draw a run; `good` is the last good run of the same probe, whose steps are shown beside."""
    steps = [mark for mark in run.timeline if not is_finding(mark)]
    shown = sorted(steps, key=lambda mark: not mark.failed)[:MAX_ROWS]
    drawn = [fate for fate in run.messages if fate.sent is not None][:MAX_ARROWS]
    axis = Axis(_under_way(shown, drawn), (run.duration, *(fate.sent or 0.0 for fate in drawn)))
    before = _durations(good)
    counted: dict[tuple[str, Step], int] = {}
    rows: dict[str, list[Row]] = {side: [] for side, _ in LANES}
    for mark in sorted(shown, key=lambda mark: (mark.started, mark.ended)):
        key = mark.side, mark.step
        number = counted[key] = counted.get(key, -1) + 1
        durations = before.get(key, [])
        rows.setdefault(mark.side, []).append(
            Row(
                step=mark.step,
                started=mark.started,
                seconds=mark.ended - mark.started,
                segments=axis.segments(mark.started, mark.ended),
                good=durations[min(number, len(durations) - 1)] if durations else None,
                note=mark.note,
                failed=mark.failed,
            )
        )
    titles = dict(LANES)
    return Waterfall(
        lanes=tuple(
            Lane(side=side, title=titles.get(side, side), rows=tuple(found)) for side, found in rows.items() if found
        ),
        arrows=tuple(_arrows(drawn, axis)),
        folds=axis.folds,
        ticks=tuple(_ticks(axis)),
        omitted=len(steps) - len(shown),
    )


def is_finding(mark: Mark) -> bool:
    """Return whether a mark is what a diagnosis found, and no step of the run."""
    return mark.step is Step.HISTORY and bool(mark.note) and not mark.failed and mark.started == mark.ended


def _under_way(marks: list[Mark], fates: list[MessageFate]) -> list[tuple[float, float]]:
    """Return from when to when steps and messages are under way; a good handshake encloses pauses, and is none."""
    steps = [(mark.started, mark.ended) for mark in marks if mark.step is not Step.HANDSHAKE or mark.failed]
    return steps + [(fate.sent or 0.0, arrived) for fate in fates if (arrived := arrival(fate)) is not None]


def arrival(fate: MessageFate) -> float | None:
    """Return when a message arrived, in seconds since its run began; None if that is not known."""
    return None if fate.sent is None or fate.latency is None else fate.sent + fate.latency


def _durations(good: Run | None) -> dict[tuple[str, Step], list[float]]:
    """Return the durations of each step of a run by side and step, in their order."""
    found: dict[tuple[str, Step], list[float]] = {}
    if good is not None:
        for mark in sorted(good.timeline, key=lambda mark: (mark.started, mark.ended)):
            found.setdefault((mark.side, mark.step), []).append(mark.ended - mark.started)
    return found


def _arrows(fates: list[MessageFate], axis: Axis) -> Iterator[Arrow]:
    positions = [axis.at(fate.sent or 0.0) for fate in fates]
    labelled = -100.0
    for number, (fate, left) in enumerate(zip(fates, positions, strict=True)):
        arrived = arrival(fate)
        verdict = fate.verdict.value if fate.verdict is not None else "none"
        fits = left - labelled >= LABEL_DISTANCE
        following = min((position for position in positions[number + 1 :] if position > left), default=100.0)
        if fits:
            labelled = left
        yield Arrow(
            left=left,
            right=None if arrived is None else axis.at(arrived),
            from_dapp=fate.direction != "response",
            verdict=verdict,
            label=str(fate.sequence) if fits else "",
            word=verdict.replace("none", "not arrived") if fits and following - left >= WORD_DISTANCE else "",
            title=f"{fate.direction} {fate.sequence}: {verdict.replace('none', 'no verdict')}",
        )


def _ticks(axis: Axis) -> Iterator[tuple[float, float]]:
    """Yield places of the axis to be labelled, far enough apart: its start, ends of its parts, its end."""
    latest = 0.0
    yield 0.0, 0.0
    for interval in axis.intervals[:-1]:
        if interval.right - latest >= TICK_DISTANCE and interval.right <= 100 - TICK_DISTANCE:
            latest = interval.right
            yield round(interval.right, 3), interval.end
    yield 100.0, axis.intervals[-1].end
