"""What ran: the last runs of each probe, and more of the failed ones; in memory, and in a file if one is wanted.

The file is JSON lines, readable by its owner alone, rotated by size. It is a convenience: one that cannot be read or
written is said so in the log, and stops nothing.
"""

from __future__ import annotations

import json
import os
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Final

import structlog

from monitor.catalogue import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.probes.run import Failure, Run

_log = structlog.get_logger(__name__)

KEPT: Final = 50
"""Runs kept of each probe at each relay."""

FAILED_KEPT: Final = 50
"""Failed runs kept of each, beside those."""

MAX_PROBES: Final = 2_000
BATCH: Final = 20
"""Runs written to the file at once."""

MAX_BYTES: Final = 8 << 20
"""Size at which the file is put aside as `.1` and begun anew."""

FILE: Final = "runs.jsonl"


def run_to_json(run: Run) -> dict[str, Any]:
    """A run as JSON: seconds, UTC, camelCase keys as in the rest of the API."""
    return {
        "id": run.id,
        "relay": run.relay,
        "probe": run.probe,
        "scenario": run.scenario.value,
        "startedAt": run.started_at.isoformat(),
        "durationSeconds": round(run.duration, 6),
        "outcome": run.outcome.value,
        "failure": _failure(run.failure),
        "pair": run.pair,
        "pairing": None
        if run.pairing is None
        else {
            "outcome": run.pairing.outcome.value,
            "seconds": run.pairing.seconds,
            "failure": _failure(run.pairing.failure),
        },
        "exchanges": [
            {
                "outcome": item.outcome.value,
                "failure": _failure(item.failure),
                "roundTripSeconds": item.round_trip,
                "wireRequestSeconds": item.wire_request,
                "wireResponseSeconds": item.wire_response,
                "recoverySeconds": item.recovery,
            }
            for item in run.exchanges
        ],
        "timeline": [
            {"side": mark.side, "step": mark.step.value, "from": mark.started, "to": mark.ended, "note": mark.note}
            for mark in sorted(run.timeline, key=lambda mark: (mark.started, mark.ended))
        ],
        "messages": [
            {
                "direction": fate.direction,
                "sequence": fate.sequence,
                "verdict": fate.verdict.value if fate.verdict is not None else None,
                "legSeconds": fate.leg,
                "wireSeconds": fate.wire,
                "note": fate.note,
            }
            for fate in run.messages
        ],
    }


def _failure(failure: Failure | None) -> dict[str, str] | None:
    if failure is None:
        return None
    return {"step": failure.step.value, "reason": failure.reason.value, "detail": failure.detail}


class Journal:
    """The runs that are remembered. Not thread-safe: for the event loop's thread alone."""

    def __init__(self, state_dir: Path | None = None) -> None:
        self._path = state_dir / FILE if state_dir is not None else None
        self._runs: OrderedDict[tuple[str, str, bool], deque[dict[str, Any]]] = OrderedDict()
        self._by_id: dict[str, dict[str, Any]] = {}
        self._unwritten: list[dict[str, Any]] = []
        self._complained = False
        if self._path is not None:
            self._load(self._path)

    def add(self, run: Run) -> None:
        """Remember a run."""
        entry = run_to_json(run)
        self._remember(entry)
        if self._path is not None:
            self._unwritten.append(entry)
            if len(self._unwritten) >= BATCH or run.outcome is Outcome.FAILED:
                self.flush()

    def runs(
        self, *, relay: str | None = None, probe: str | None = None, outcome: str | None = None, limit: int = 50
    ) -> list[dict[str, Any]]:
        """The newest runs first, of those that match."""
        found = [
            entry
            for (its_relay, its_probe, _), entries in self._runs.items()
            if relay in {None, its_relay} and probe in {None, its_probe}
            for entry in entries
            if outcome in {None, entry["outcome"]}
        ]
        # A run's id begins with its time.
        return sorted(found, key=lambda entry: entry["id"], reverse=True)[:limit]

    def run(self, run_id: str) -> dict[str, Any] | None:
        """One run, if it is still remembered."""
        return self._by_id.get(run_id)

    def last(self, relay: str, probe: str) -> dict[str, Any] | None:
        """The newest run of a probe at a relay."""
        return next(iter(self.runs(relay=relay, probe=probe, limit=1)), None)

    def flush(self) -> None:
        """Write what is not written yet."""
        if self._path is None or not self._unwritten:
            return
        lines = "".join(json.dumps(entry, separators=(",", ":")) + "\n" for entry in self._unwritten)
        self._unwritten.clear()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists() and self._path.stat().st_size > MAX_BYTES:
                self._path.replace(self._path.with_suffix(".jsonl.1"))
            with os.fdopen(
                os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8"
            ) as file:
                file.write(lines)
        except OSError as error:
            if not self._complained:
                _log.warning("the run journal cannot be written", path=str(self._path), why=error.strerror)
            self._complained = True
        else:
            self._complained = False

    def close(self) -> None:
        """Write the rest."""
        self.flush()

    def _remember(self, entry: dict[str, Any]) -> None:
        failed = entry["outcome"] == Outcome.FAILED.value
        key = (str(entry["relay"]), str(entry["probe"]), failed)
        entries = self._runs.get(key)
        if entries is None:
            entries = self._runs[key] = deque()
            if len(self._runs) > MAX_PROBES:
                _, gone = self._runs.popitem(last=False)
                for old in gone:
                    self._by_id.pop(old["id"], None)
        entries.append(entry)
        self._by_id[entry["id"]] = entry
        if len(entries) > (FAILED_KEPT if failed else KEPT):
            self._by_id.pop(entries.popleft()["id"], None)

    def _load(self, path: Path) -> None:
        bad = 0
        try:
            if not path.exists():
                return
            with path.open(encoding="utf-8", errors="replace") as file:
                for line in file:
                    try:
                        entry = json.loads(line)
                        if not isinstance(entry["timeline"], list) or not isinstance(entry["id"], str):
                            raise TypeError("not a run")  # noqa: TRY301 - counted with the other bad lines
                        self._remember(entry)
                    except (ValueError, TypeError, KeyError):
                        bad += 1
        except OSError as error:
            _log.warning("the run journal cannot be read", path=str(path), why=error.strerror)
        if bad:
            _log.warning("the run journal has lines that are no runs", path=str(path), lines=bad)
