"""Write docs/faults.md from the fault table and the vocabulary; with --check, compare only."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from monitor.generated_files import write_or_check
from monitor.vocabulary import Finding, Outcome, Reason, Step
from monitor.web.meanings import meanings
from tests.faults.table import TABLE
from tests.relays import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from enum import StrEnum

    from tests.faults.rows import Row

PAGE: Final = ROOT / "docs" / "faults.md"

HEAD: Final = """\
# Faults and how they appear

For engineers on call. A failed run has a *step* (where in the protocol it was) and a *reason* (what went wrong there).
Both are on the on-call page, in `/api/v1/runs`, in the log and in `relay_probe_failures_total{step,reason}`. Look up
the reason here, then open the page of the run. The monitor itself serves these explanations at `/faults`.

The project's tests cause every fault in the last table, against the program named there, and check that the monitor
reports exactly this step, reason and verdicts within the given time. This page is generated from those tests
(`make docs`).

"""


def page() -> str:
    """Return the page."""
    return HEAD + "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    known = meanings()
    yield "## Steps"
    yield ""
    yield "In the order of a run. The steps before a failed one have succeeded."
    yield ""
    yield from _meanings(Step, known.steps)
    yield ""
    yield "## Diagnosis of a lost message"
    yield ""
    yield "On the page of a failed run, and in the last entries of its timeline in the API. The"
    yield "channel's history was read over the connection that should have delivered the message, over a new one, and"
    yield "over another endpoint if there is one. If the relay's last diagnosis began less than 20 s before, it was"
    yield "read over the first alone."
    yield ""
    yield from _meanings(Finding, known.findings)
    yield ""
    yield "## Reasons"
    for reason in Reason:
        meaning = known.reasons[reason.value]
        steps = sorted({row.step.value for row in TABLE if row.reason is reason and row.step is not None}, key=_index)
        yield ""
        yield f"### {reason.value}"
        yield ""
        yield meaning.means
        yield ""
        yield f"Look first: {meaning.look_first}"
        if steps:
            yield ""
            yield f"Occurs at: {', '.join(f'`{step}`' for step in steps)}."
    yield ""
    yield "## Table of faults"
    yield ""
    yield f"{len(TABLE)} faults. The column *messages* has the verdicts on the run's messages."
    yield ""
    yield "| fault | caused by | step | reason | messages | reported within |"
    yield "|---|---|---|---|---|---|"
    for row in TABLE:
        yield _row(row)


def _meanings(kind: type[StrEnum], known: Mapping[str, str]) -> Iterator[str]:
    yield f"| {kind.__name__.lower()} | |"
    yield "|---|---|"
    for item in kind:
        yield f"| `{item.value}` | {known[item.value]} |"


def _row(row: Row) -> str:
    shown = ("–", "none: the run is `ok`") if row.outcome is Outcome.OK else (f"`{row.step}`", f"`{row.reason}`")
    verdicts = ", ".join(verdict.value for verdict in row.verdicts) or "–"
    return f"| {row.fault} | {row.caused_by} | {shown[0]} | {shown[1]} | {verdicts} | {row.within:g} s |"


def _index(step: str) -> int:
    return list(Step).index(Step(step))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or only compare it with `--check`. Returns the exit status."""
    return write_or_check({PAGE: page()}, arguments)


if __name__ == "__main__":
    sys.exit(main())
