"""The runs that are remembered, in memory, and in a file where there is a `state_dir`."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog

from monitor.journal.file import JournalFile
from monitor.journal.serialize import run_from_json, run_to_json
from monitor.vocabulary import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.results import Run

_log = structlog.get_logger(__name__)

KEPT: Final = 50
"""Runs kept of each probe at each relay."""

FAILED_KEPT: Final = 50
"""Failed runs kept of each, beside those: they are older, and what one asks for."""

MAX_RUNS: Final = 5_000
"""Runs kept in all: some 10 MB."""

MAX_AGE: Final = timedelta(days=7)
"""How much older than the newest run a run may be."""

MAX_PARTS: Final = 200
"""Exchanges, messages and marks kept of one run, of each; failed exchanges before others."""

CLOSE_WAIT: Final = 1.0
"""Seconds that the file has for the rest when the journal closes."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A run as it is remembered: `omitted` of its exchanges, messages and marks are not."""

    run: Run
    omitted: int = 0

    def to_json(self) -> dict[str, Any]:
        """The run as JSON."""
        return run_to_json(self.run, self.omitted)


class Journal:
    """The runs that are remembered. For one thread alone; what it gives out is frozen, and any thread's to use."""

    def __init__(self, state_dir: Path | None = None) -> None:
        self._runs: dict[tuple[str, str, bool], deque[Kept]] = {}
        self._by_id: dict[str, Kept] = {}  # in the order they came, as each deque is
        self._file = JournalFile(state_dir, Kept.to_json) if state_dir is not None else None
        if self._file is not None:
            self._load(self._file)

    def add(self, run: Run) -> None:
        """Remember a run. Never waits for the disk."""
        kept = _cut(run)
        self._remember(kept)
        if self._file is not None:
            self._file.append(kept)

    def runs(
        self, *, relay: str | None = None, probe: str | None = None, outcome: str | None = None, limit: int = 50
    ) -> list[Kept]:
        """The newest runs first, of those that match."""
        found = [
            kept
            for (its_relay, its_probe, _), entries in self._runs.items()
            if relay in {None, its_relay} and probe in {None, its_probe}
            for kept in entries
            if outcome in {None, kept.run.outcome.value}
        ]
        found.sort(key=lambda kept: (kept.run.started_at, kept.run.id), reverse=True)
        return found[:limit]

    def run(self, run_id: str) -> Kept | None:
        """One run, if it is still remembered."""
        return self._by_id.get(run_id)

    def last(self, relay: str, probe: str) -> Kept | None:
        """The newest run of a probe at a relay."""
        newest = [entries[-1] for failed in (False, True) if (entries := self._runs.get((relay, probe, failed)))]
        return max(newest, key=lambda kept: (kept.run.started_at, kept.run.id), default=None)

    def close(self) -> None:
        """Write the rest."""
        if self._file is not None:
            self._file.close(CLOSE_WAIT)

    def _remember(self, kept: Kept) -> None:
        run = kept.run
        if run.id in self._by_id:
            return
        failed = run.outcome is Outcome.FAILED
        entries = self._runs.setdefault((run.relay, run.probe, failed), deque())
        entries.append(kept)
        self._by_id[run.id] = kept
        if len(entries) > (FAILED_KEPT if failed else KEPT):
            self._forget(entries[0])
        while kept is not (oldest := next(iter(self._by_id.values()))) and (
            len(self._by_id) > MAX_RUNS or run.started_at - oldest.run.started_at > MAX_AGE
        ):
            self._forget(oldest)

    def _forget(self, kept: Kept) -> None:
        """Forget a run that is the oldest of its probe's."""
        run = kept.run
        key = (run.relay, run.probe, run.outcome is Outcome.FAILED)
        entries = self._runs[key]
        entries.popleft()
        if not entries:
            del self._runs[key]
        del self._by_id[run.id]

    def _load(self, file: JournalFile) -> None:
        bad = 0
        for data in file.read():
            try:
                self._remember(Kept(*run_from_json(data)))
            except (ValueError, TypeError, KeyError, OverflowError):
                bad += 1
        if bad:
            _log.warning("the run journal has lines that are no runs", path=str(file.path), lines=bad)


def _cut(run: Run) -> Kept:
    """A run of bounded size: that of ten thousand connections would push out all others."""
    omitted = sum(_excess(parts) for parts in (run.exchanges, run.messages, run.timeline))
    if not omitted:
        return Kept(run)
    failed_first = sorted(run.exchanges, key=lambda exchange: exchange.outcome is not Outcome.FAILED)
    return Kept(
        run._replace(
            exchanges=tuple(failed_first[:MAX_PARTS]),
            messages=run.messages[:MAX_PARTS],
            timeline=run.timeline[:MAX_PARTS],
        ),
        omitted,
    )


def _excess(parts: tuple[object, ...]) -> int:
    return max(0, len(parts) - MAX_PARTS)
