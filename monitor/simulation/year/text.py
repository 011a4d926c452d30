"""The score of a simulated year as Markdown tables."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Final

from monitor.simulation.show import show_time
from monitor.simulation.year.kinds import MUST_AFTER, Due

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.simulation.year.score import Score

_DUE: Final = {Due.MUST: "must page", Due.MAY: "may page", Due.NEVER: "must not page"}
_GOALS: Final = (
    "recall of outages longer than 2 min: {recall:.1%} (goal 100 %)",
    "precision of pages: {precision:.1%} (goal 95 %)",
    "false pages a relay-year: {false:.2f} (goal 1)",
)


def lines(found: Score) -> Iterator[str]:
    """Yield a row for each kind of fault, the totals, and the false pages by alert."""
    yield "| fault | | faults | must page | missed | pages | false | time to page: median | 95 % | maximum |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for kind in sorted(found.kinds, key=lambda each: (list(_DUE).index(each.due), each.name)):
        times = " | ".join(_time(kind.time(share)) for share in (0.5, 0.95, 1.0))
        must = f"{kind.must} | {kind.missed}" if kind.must else "– | –"
        yield (
            f"| {kind.name} | {_DUE[kind.due]} | {kind.faults} | {must} | {kind.pages} | {kind.false_pages} | {times} |"
        )
    yield ""
    yield f"{found.pages} pages in {found.relay_years:.3g} relay-years:"
    yield ""
    for goal in _GOALS:
        figures = goal.format(recall=found.recall, precision=found.precision, false=found.false_pages_a_relay_year)
        yield f"- {figures}"
    yield ""
    yield f"An outage counts for each relay that it meets, if more than {MUST_AFTER:.0f} s are outside of maintenance."
    if found.false:
        yield ""
        yield "| false pages | alerts | beside |"
        yield "|---|---|---|"
        for (alerts, beside), number in Counter((each.alerts, each.beside) for each in found.false).most_common():
            yield f"| {number} | {', '.join(alerts)} | {beside or 'no fault'} |"


def _time(seconds: float) -> str:
    return "–" if math.isnan(seconds) else show_time(seconds)
