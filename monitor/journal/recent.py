"""The last runs of each probe, whole and in memory: what the database does not have, or not yet.

They are found at once and without the disk, also those that the database only counts.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from monitor.vocabulary import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from monitor.journal.stored import StoredRun

    Key = tuple[str, str]  # relay, probe

RUNS_PER_PROBE: Final = 50
"""Runs that did not fail, kept for each probe at each relay."""

FAILED_RUNS_PER_PROBE: Final = 50
"""Failed runs kept for each probe at each relay, in addition."""

MAX_RUNS: Final = 5_000
"""Runs kept in all, about 10 MB."""

MAX_AGE: Final = timedelta(days=7)
"""Largest difference in age to the newest run."""

MAX_DELAY: Final = timedelta(minutes=10)
"""Longest time after which a run arrives: it may be held until it is known whether it counts."""

MAX_PROBES: Final = 20_000
"""Probes at relays of which the last run is known; a configuration may have more, but not with useful intervals."""


@dataclass(slots=True)
class RecentRuns:
    """The stored runs. Belongs to one thread; what it returns is frozen."""

    _runs: dict[tuple[str, str, bool], deque[StoredRun]] = field(default_factory=dict)  # the last: whether it failed
    _by_id: dict[str, StoredRun] = field(default_factory=dict)  # in order of arrival, like each deque
    _last: dict[Key, StoredRun] = field(default_factory=dict)
    _last_good: dict[Key, StoredRun] = field(default_factory=dict)

    def add(self, stored: StoredRun) -> None:
        """Add a run, unless its id is known."""
        run = stored.run
        if run.id in self._by_id:
            return
        failed = run.outcome is Outcome.FAILED
        entries = self._runs.setdefault((run.relay, run.probe, failed), deque())
        entries.append(stored)
        self._by_id[run.id] = stored
        self._note(stored)
        if len(entries) > (FAILED_RUNS_PER_PROBE if failed else RUNS_PER_PROBE):
            self._evict(entries[0])
        while stored is not (oldest := next(iter(self._by_id.values()))) and (
            len(self._by_id) > MAX_RUNS or run.started_at - oldest.run.started_at > MAX_AGE
        ):
            self._evict(oldest)

    def _note(self, stored: StoredRun) -> None:
        """Note a run that may be the last one of its probe, or its last good one."""
        key = (stored.run.relay, stored.run.probe)
        known_last = (self._last, self._last_good) if stored.run.outcome is Outcome.OK else (self._last,)
        for last in known_last:
            known = last.get(key)
            if known is None or stored.run.started_at >= known.run.started_at or _is_ahead(known, stored):
                last.pop(key, None)
                last[key] = stored
                if len(last) > MAX_PROBES:
                    del last[next(iter(last))]

    def load(self, stored: StoredRun) -> None:
        """Note a run of an earlier process, unless its probe has had one in this process. Callable in any thread."""
        key = (stored.run.relay, stored.run.probe)
        self._last.setdefault(key, stored)
        if stored.run.outcome is Outcome.OK:
            self._last_good.setdefault(key, stored)

    def replace(self, old: StoredRun, new: StoredRun) -> None:
        """Replace a run by another state of it."""
        key = (old.run.relay, old.run.probe)
        if old.run.id in self._by_id:
            self._by_id[old.run.id] = new
            entries = self._runs[*key, old.run.outcome is Outcome.FAILED]
            entries[entries.index(old)] = new
        for last in (self._last, self._last_good):
            if last.get(key) is old:
                last[key] = new

    def get(self, run_id: str) -> StoredRun | None:
        """Return a run by its id, or None."""
        found = self._by_id.get(run_id)
        if found is None:  # the last run of a probe stays when its others are gone
            found = next((stored for stored in self.last_runs() if stored.run.id == run_id), None)
        return found

    def last_runs(self) -> Iterator[StoredRun]:
        """Yield the last run of each probe and the last good one, which may be the same."""
        yield from list(self._last.values())
        yield from list(self._last_good.values())

    def last(self, relay: str, probe: str) -> StoredRun | None:
        """Return the last run of a probe, or None."""
        return self._last.get((relay, probe))

    def last_all(self) -> dict[Key, StoredRun]:
        """Return the last run of each probe."""
        return dict(self._last)

    def last_good_all(self) -> dict[Key, StoredRun]:
        """Return the last good run of each probe."""
        return dict(self._last_good)

    def matching(
        self, relay: str | None, probe: str | None, outcome: str | None, since: datetime, until: datetime
    ) -> list[StoredRun]:
        """Return the matching runs that began in [since, until), in no order; None matches all."""
        return [
            stored
            for (its_relay, its_probe, _), entries in list(self._runs.items())
            if relay in {None, its_relay} and probe in {None, its_probe}
            for stored in list(entries)
            if outcome in {None, stored.run.outcome.value} and since <= stored.run.started_at < until
        ]

    def _evict(self, stored: StoredRun) -> None:
        """Remove a run, which must be the first of its deque."""
        run = stored.run
        key = (run.relay, run.probe, run.outcome is Outcome.FAILED)
        entries = self._runs[key]
        entries.popleft()
        if not entries:
            del self._runs[key]
        del self._by_id[run.id]


def _is_ahead(known: StoredRun, stored: StoredRun) -> bool:
    """Return whether the clock was stepped back between two runs; a held one arrives less than ten minutes later."""
    return known.run.started_at - stored.run.started_at > MAX_DELAY
