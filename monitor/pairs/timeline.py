"""The failed steps in the timeline of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.results import Mark
from monitor.vocabulary import Step

if TYPE_CHECKING:
    from monitor.errors import ProbeError
    from monitor.vocabulary import Reason

MAX_FAILED_MARKS: Final = 100
"""Marks of failed steps kept of one run."""

_MARKED_ALSO_IF_FAILED: Final = frozenset({Step.RESOLVE, Step.PROXY, Step.TCP, Step.TLS, Step.UPGRADE, Step.HANDSHAKE})
"""Steps whose end is in the timeline whether they succeeded or not."""


def mark_failed(marks: list[Mark], error: ProbeError, since: float | None, ended: float) -> None:
    """Mark the step of `error`: the one of `marks` that has just ended with it, or a new one.

    Times are seconds since the run began. Without `since`, the step began when the one before it on its side ended.
    """
    note = f"{error.reason}: {error.detail}" if error.detail else error.reason.value
    own = [number for number, mark in enumerate(marks) if _belongs_to(mark, error)]
    last = max(own, key=lambda number: marks[number].ended, default=None)
    if last is not None and marks[last].step is error.step and error.step in _MARKED_ALSO_IF_FAILED:
        marks[last] = marks[last]._replace(note=note, failed=True)
    elif sum(mark.failed for mark in marks) < MAX_FAILED_MARKS:
        started = max((marks[number].ended for number in own), default=0.0) if since is None else since
        side = "pair" if error.step is Step.HANDSHAKE else error.side or "pair"
        marks.append(Mark(side, error.step, max(0.0, min(started, ended)), ended, note, failed=True))


def _belongs_to(mark: Mark, error: ProbeError) -> bool:
    """Return whether a mark is of the side where an error occurred.

    The handshake, which encloses others, is of none, and neither are the findings of a diagnosis.
    """
    if mark.note and not mark.failed:
        return False
    if mark.step is Step.HANDSHAKE or error.step is Step.HANDSHAKE:
        return mark.step is error.step
    return error.side in {"", mark.side}


def refine_reason(marks: list[Mark], before: Reason, reason: Reason) -> None:
    """Replace the reason of the latest failed mark, which was `before`."""
    for number in reversed(range(len(marks))):
        if marks[number].failed:
            marks[number] = marks[number]._replace(note=f"{reason}{marks[number].note.removeprefix(before)}")
            return
