"""The score of a simulated year as tables."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Final

from monitor.simulation.show import show_time
from monitor.simulation.year.kinds import MUST_AFTER, Due
from monitor.text_table import Column, paragraph, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.simulation.year.score import Score

_COLUMNS: Final = (
    Column("fault"),
    Column("faults", right=True),
    Column("must\npage", right=True),
    Column("missed", right=True),
    Column("pages", right=True),
    Column("false", right=True),
    Column("to page:\nmedian", right=True),
    Column("95 %", right=True),
    Column("maximum", right=True),
)
_FALSE: Final = Column("false pages", right=True), Column("alerts"), Column("beside")
_DUE: Final = {Due.MUST: "must page", Due.MAY: "may page", Due.NEVER: "must not page"}
_GOALS: Final = (
    "recall of outages longer than 2 min: {recall:.1%} (goal 100 %)",
    "precision of pages: {precision:.1%} (goal 95 %)",
    "false pages a relay-year: {false:.2f} (goal 1)",
)


def lines(found: Score, *, width: int | None = None) -> Iterator[str]:
    """Yield a row for each kind of fault, the totals, and the false pages by alert, for a terminal of `width`."""
    yield from table(_COLUMNS, list(_rows(found)), width=width)
    yield ""
    yield f"{found.pages} pages in {found.relay_years:.3g} relay-years:"
    for goal in _GOALS:
        figures = goal.format(recall=found.recall, precision=found.precision, false=found.false_pages_a_relay_year)
        yield f"- {figures}"
    yield from paragraph(
        f"An outage counts for each relay that it meets, if more than {MUST_AFTER:.0f} s are outside of maintenance.",
        width=width,
    )
    if found.false:
        counted = Counter((each.alerts, each.beside) for each in found.false).most_common()
        rows = [(f"{number}", ", ".join(alerts), beside or "no fault") for (alerts, beside), number in counted]
        yield ""
        yield from table(_FALSE, rows, width=width)


def _rows(found: Score) -> Iterator[tuple[str, ...] | str]:
    heading = None
    for kind in sorted(found.kinds, key=lambda each: (list(_DUE).index(each.due), each.name)):
        if kind.due is not heading:
            heading = kind.due
            yield f"{_DUE[kind.due]}:"
        must = (f"{kind.must}", f"{kind.missed}") if kind.must else ("–", "–")
        times = (_time(kind.time(share)) for share in (0.5, 0.95, 1.0))
        yield kind.name, f"{kind.faults}", *must, f"{kind.pages}", f"{kind.false_pages}", *times


def _time(seconds: float) -> str:
    return "–" if math.isnan(seconds) else show_time(seconds)
