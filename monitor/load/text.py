"""The summary of a result as text, in the relay team's colours."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from monitor.errors import printable
from monitor.load.facts import QUANTILES, Fact, Grade, facts, heading, latencies, obstacles, parameters, shown
from monitor.load.verdict import Judged, passed
from monitor.text_table import Column, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.load.plan import Plan
    from monitor.load.totals import FinishedTest

GREEN, YELLOW, RED, PLAIN = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"
COLOURS: Final = {Grade.GOOD: GREEN, Grade.FAIR: YELLOW, Grade.BAD: RED}
INDENT: Final = 14
"""Characters of the name of a fact."""

_LATENCIES: Final = (
    Column("ms"),
    *(Column(name, right=True) for name in ("count", "min", *QUANTILES, "max")),
)
_OBJECTIVES: Final = Column(""), Column("objective"), Column("measured", right=True), Column("required")


class Summary:
    """The summary of a test; with `colour` for a terminal of `width`."""

    def __init__(
        self,
        plan: Plan,
        finished: FinishedTest,
        judged: Sequence[Judged],
        *,
        colour: bool = False,
        width: int | None = None,
    ) -> None:
        self._plan, self._finished, self._judged = plan, finished, judged
        self._colour, self._width = colour, width

    def lines(self) -> Iterator[str]:
        """Return the lines, from the number of connections to the verdict."""
        yield printable(heading(self._plan, self._finished))
        yield ""
        for fact in facts(self._plan, self._finished):
            yield from self._fact(fact)
        settings = ", ".join(
            f"{name} {value}" for name, value in parameters(self._plan)[2:]
        )  # those of the heading apart
        yield from self._fact(Fact(name="Settings", text=settings))
        if rows := latencies(self._finished):
            yield ""
            yield from table(_LATENCIES, rows, width=self._width)
        if self._judged:
            yield ""
            yield from self._objectives()
        yield ""
        for text in obstacles(self._plan, self._finished):
            yield f"{self._tint('FAIL', Grade.BAD)}  {text}"
        good = passed(self._plan.scenario, self._finished, self._judged)
        verdict = self._word(good)
        yield f"{verdict} (interrupted; only what was measured until then)" if self._finished.interrupted else verdict

    def _fact(self, fact: Fact) -> Iterator[str]:
        share = f"{fact.share}  " if fact.share else ""
        line = f"{fact.name:<{INDENT}}{share}{printable(fact.text)}"
        if self._width is None:
            lines = [line]
        else:
            lines = textwrap.wrap(line, self._width, subsequent_indent=" " * INDENT, break_on_hyphens=False)
        if fact.grade is not None:  # once the lines are broken, since a terminal shows no width of a colour
            lines[0] = lines[0].replace(fact.share, self._tint(fact.share, fact.grade), 1)
        yield from lines

    def _objectives(self) -> Iterator[str]:
        rows = [("PASS" if item.passed else "FAIL", item.objective.name, *shown(item)) for item in self._judged]
        for line in table(_OBJECTIVES, rows, width=self._width):
            word = line[:4]
            yield f"{self._word(word == 'PASS')}{line[4:]}" if word in {"PASS", "FAIL"} else line

    def _word(self, good: bool) -> str:  # noqa: FBT001 - what it says
        return self._tint("PASS", Grade.GOOD) if good else self._tint("FAIL", Grade.BAD)

    def _tint(self, text: str, grade: Grade) -> str:
        return f"{COLOURS[grade]}{text}{PLAIN}" if self._colour else text
