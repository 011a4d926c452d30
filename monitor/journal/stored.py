"""A run as the journal stores it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from monitor.journal.serialize import run_from_json, run_to_json
from monitor.journal.values import RunSummary
from monitor.results import LogLine
from monitor.vocabulary import Outcome

if TYPE_CHECKING:
    from monitor.results import Run

MAX_PARTS: Final = 200
"""Largest number of exchanges, of messages and of timeline marks stored for one run; failed exchanges come first."""

MAX_LOG_LINES: Final = 200
"""Largest number of log lines stored for one run, the first ones."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run, without `omitted` of its exchanges, messages and marks, and its lines of the log."""

    run: Run
    omitted: int = 0
    log: tuple[LogLine, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the run as JSON values."""
        return run_to_json(self.run, self.omitted)

    @property
    def at(self) -> datetime:
        """When it happened: when its fault was, or else when it began."""
        return self.run.failed_at or self.run.started_at

    @property
    def summary(self) -> RunSummary:
        """The run without its parts."""
        failure = self.run.failure
        return RunSummary(
            id=self.run.id,
            started_at=self.run.started_at,
            duration=self.run.duration,
            outcome=self.run.outcome,
            step=None if failure is None else failure.step,
            reason=None if failure is None else failure.reason,
            status="" if failure is None else failure.status,
            detail="" if failure is None else failure.detail,
            failed_at=self.run.failed_at,
        )


def stored_to_json(stored: StoredRun) -> dict[str, Any]:
    """Return a run with its lines of the log as JSON values."""
    data = stored.to_json()
    if stored.log:
        data["log"] = [[line.at.isoformat(), line.level, line.event, line.fields] for line in stored.log]
    return data


def stored_from_json(data: Any) -> StoredRun:
    """Return the run that `stored_to_json` converted; without lines of the log it may be of an earlier version.

    Raises `ValueError`, `KeyError`, `TypeError` or `OverflowError` for other data.
    """
    run, omitted = run_from_json(data)
    log = tuple(
        LogLine(
            at=datetime.fromisoformat(at).astimezone(UTC),
            level=str(level),
            event=str(event),
            fields={str(name): str(value) for name, value in dict(fields).items()},
        )
        for at, level, event, fields in data.get("log", ())
    )
    return StoredRun(run, omitted, log)


def truncate(run: Run, log: tuple[LogLine, ...] = ()) -> StoredRun:
    """Limit the size of a run: one of ten thousand connections would take the space of all others."""
    log = log[:MAX_LOG_LINES]
    omitted = sum(max(0, len(parts) - MAX_PARTS) for parts in (run.exchanges, run.messages, run.timeline))
    if not omitted:
        return StoredRun(run, 0, log)
    failed_first = sorted(run.exchanges, key=lambda exchange: exchange.outcome is not Outcome.FAILED)
    marks = sorted(run.timeline, key=lambda mark: not mark.failed)
    return StoredRun(
        run._replace(
            exchanges=tuple(failed_first[:MAX_PARTS]),
            messages=run.messages[:MAX_PARTS],
            timeline=tuple(marks[:MAX_PARTS]),
        ),
        omitted,
        log,
    )
