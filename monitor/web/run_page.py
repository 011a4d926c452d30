"""The pages `/runs/ID`, one run, and `/faults`, what steps and reasons mean."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.exceptions import HTTPException

from monitor.results import ATTEMPT
from monitor.vocabulary import Finding, Outcome, Reason, Step
from monitor.web import run_sentences
from monitor.web.meanings import meanings
from monitor.web.rendering import html
from monitor.web.waterfall import waterfall

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from monitor.journal import Journal, StoredRun
    from monitor.results import Run
    from monitor.web.state import WebState

ATTEMPTS_AFTER: Final = timedelta(seconds=15)
"""Time after a failure within which fresh attempts belong to its round."""

MAX_ATTEMPTS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A run with what is shown beside it.

    before, after: ids of the previous and the next run of the same probe. good: its last good run before this one.
    attempts: the fresh attempts that followed, if it failed, oldest first.
    """

    stored: StoredRun
    before: str | None
    after: str | None
    good: Run | None
    attempts: tuple[Run, ...]


def find(journal: Journal, run_id: str) -> Found | None:
    """Read a run and what is shown beside it; None if it is not stored. May block."""
    stored = journal.run(run_id)
    if stored is None:
        return None
    run = stored.run
    before, after = journal.neighbours(run_id)
    good = journal.last_good(run.relay, run.probe, run.started_at)
    attempts: list[StoredRun] = []
    if run.outcome is Outcome.FAILED and run.probe != ATTEMPT:
        at = run.failed_at or run.started_at
        attempts = journal.runs(relay=run.relay, probe=ATTEMPT, since=at, until=at + ATTEMPTS_AFTER, limit=MAX_ATTEMPTS)
    return Found(
        stored=stored,
        before=before,
        after=after,
        good=None if good is None else good.run,
        attempts=tuple(item.run for item in reversed(attempts)),
    )


def values(journal: Journal, run_id: str) -> dict[str, Any] | None:
    """Return what the page of a run shows, but for its relay; None if the run is not stored. May block."""
    found = find(journal, run_id)
    if found is None:
        return None
    run, now = found.stored.run, datetime.now(UTC)
    drawn = waterfall(run, found.good)
    failed_rows = [row for lane in drawn.lanes for row in lane.rows if row.failed]
    return {
        "run": run,
        "found": found,
        "omitted": found.stored.omitted,
        "log": found.stored.log,
        "drawn": drawn,
        "good_step": failed_rows[0].good if failed_rows else None,
        "own": run_sentences.own_failure(run),
        "expected": run_sentences.EXPECTED,
        "observed": None if run.failure is None else run_sentences.observed(run.failure),
        "findings": run_sentences.findings(run),
        "attempts": run_sentences.attempts(run, found.attempts),
        "verdicts": [run_sentences.verdict(fate, run, now) for fate in run.messages],
        "meaning": None if run.failure is None else meanings().reasons[run.failure.reason.value],
    }


class RunPage:
    """The page of one run, and that of the faults."""

    def __init__(self, state: WebState) -> None:
        self._state = state
        self._meanings = meanings()

    async def page(self, request: Request) -> Response:
        """Serve the page of one run."""
        run_id = request.path_params["id"]
        shown = await self._state.journal.read(partial(values, self._state.journal, run_id))
        if shown is None:
            raise HTTPException(404, "Run not found: it expired, or another monitor or shard made it")
        name = shown["run"].relay
        status = await self._state.status()
        relay = next((item for item in status.relays if item.name == name), None)
        failure, url_of = shown["run"].failure, self._state.runbooks
        runbook = None
        if failure is not None and url_of is not None:
            alert = run_sentences.runbook(failure)
            runbook = alert, url_of(alert, name)
        return await html("run.html", relay=relay, runbook=runbook, **shown)

    async def faults(self, _: Request) -> Response:
        """Serve what steps, findings and reasons mean."""
        return await html(
            "faults.html", known=self._meanings, steps=list(Step), findings=list(Finding), reasons=list(Reason)
        )
