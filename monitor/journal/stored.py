"""A run as the journal stores it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from monitor.journal.serialize import run_to_json
from monitor.vocabulary import Outcome

if TYPE_CHECKING:
    from monitor.results import Run

MAX_PARTS: Final = 200
"""Largest number of exchanges, of messages and of timeline marks stored for one run; failed exchanges come first."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run, without `omitted` of its exchanges, messages and marks."""

    run: Run
    omitted: int = 0
    log: tuple[Any, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the run as JSON values."""
        return run_to_json(self.run, self.omitted)


def truncate(run: Run) -> StoredRun:
    """Limit the size of a run: one of ten thousand connections would take the space of all others."""
    omitted = sum(max(0, len(parts) - MAX_PARTS) for parts in (run.exchanges, run.messages, run.timeline))
    if not omitted:
        return StoredRun(run)
    failed_first = sorted(run.exchanges, key=lambda exchange: exchange.outcome is not Outcome.FAILED)
    return StoredRun(
        run._replace(
            exchanges=tuple(failed_first[:MAX_PARTS]),
            messages=run.messages[:MAX_PARTS],
            timeline=run.timeline[:MAX_PARTS],
        ),
        omitted,
    )
