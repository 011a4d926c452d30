"""What is put into the journal, and what of it is written: the entries of the queue, sorted into `Pending`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from monitor.journal.schema import MINUTE
from monitor.journal.store import Judgement, Pending
from monitor.journal.values import StoredEvent
from monitor.results import ATTEMPT
from monitor.vocabulary import Outcome

if TYPE_CHECKING:
    from monitor.incidents import Incident
    from monitor.journal.stored import StoredRun
    from monitor.results import Report
    from monitor.sli import CountedSlo

MAX_SAMPLED: Final = 50_000
"""Probes at relays, by outcome, of which it is remembered that a run of this minute is stored."""


class AddedRun(NamedTuple):
    """A run that was recorded at the Unix time `now`."""

    stored: StoredRun
    slos: tuple[CountedSlo, ...]
    now: float


class LastRun(NamedTuple):
    """A run that was counted before, and is to be stored as the last one of its probe."""

    stored: StoredRun


class AddedReport(NamedTuple):
    """A report that was recorded at the Unix time `now`."""

    report: Report
    slos: tuple[CountedSlo, ...]
    now: float


Entry: TypeAlias = "AddedRun | LastRun | AddedReport | Judgement | Incident | StoredEvent"


@dataclass(slots=True)
class Collector:
    """Sorts entries. Every failed run is stored; of the others the first one a minute of each probe and outcome."""

    _sampled: dict[tuple[str, str, Outcome], int] = field(default_factory=dict)  # minute of the last stored run

    def add(self, pending: Pending, entry: Entry) -> None:
        """Add an entry to what is pending."""
        match entry:
            case AddedRun(stored, slos, now):
                self.add_run(pending, stored, slos, now)
            case AddedReport(report, slos, now):
                pending.increments.add_report(report, slos, now)
            case Judgement():
                pending.add_judgement(entry)
            case LastRun(stored):
                pending.add_run(stored)
            case StoredEvent():
                pending.events.append(entry)
            case _:
                pending.add_incident(entry)

    def add_run(self, pending: Pending, stored: StoredRun, slos: tuple[CountedSlo, ...], now: float) -> None:
        """Add a run: to the sums, unless it is an attempt, and to the stored runs if it is one of these."""
        run, at = stored.run, stored.at.timestamp()
        is_stored = run.outcome is Outcome.FAILED or self._is_first(stored, at)
        if is_stored:
            pending.add_run(stored)
        if run.probe != ATTEMPT:
            pending.increments.add_run(run, at, slos, now, stored=is_stored)

    def _is_first(self, stored: StoredRun, at: float) -> bool:
        key, minute = (stored.run.relay, stored.run.probe, stored.run.outcome), int(at // MINUTE)
        if self._sampled.get(key) == minute:
            return False
        if len(self._sampled) >= MAX_SAMPLED:
            self._sampled.clear()
        self._sampled[key] = minute
        return True
