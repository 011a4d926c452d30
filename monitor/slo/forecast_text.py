"""A forecast for people: as Markdown tables, so that it can be put into a document as it is, and as a picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from monitor.slo.forecast import UP

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from monitor.slo.forecast import Forecast, Row
    from monitor.slo.nodes import Odds

_UNITS: Final = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"))


def lines(found: Forecast, chances: Mapping[str, Odds]) -> Iterator[str]:
    """The forecast, line by line."""
    yield "| relay | SLO | alert | severity | fault | median | 5–95 % | pages |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in found.rows:
        told = "never | – | 0 %"
        if row.spread is not None:
            spread = row.spread
            told = f"{_time(spread.median)} | {_time(spread.low)} – {_time(spread.high)} | {spread.paged:.0%}"
        yield f"| {row.relay} | {row.slo or '–'} | {row.alert} | {row.severity} | {row.fault} | {told} |"
    yield ""
    yield f"*{UP}*: of this SLO, while fresh attempts cross the relay. Where none does, `RelayDown` pages, and budgets"
    yield "and losses do not page beside it, nor for what it left behind. An SLO pages when any of its probes does."
    yield ""
    yield "| relay | SLO | severity | events that fail by chance | pages in vain a month |"
    yield "|---|---|---|---|---|"
    for item in found.noise:
        yield f"| {item.relay} | {item.slo} | {item.severity} | {item.ratio:.4%} | {item.pages_a_month:.2g} |"
    if chances:
        yield ""
        yield "| relay | nodes, one of them bad | met at once | met with 50 % within | with 95 % within |"
        yield "|---|---|---|---|---|"
    for relay, met in chances.items():
        yield f"| {relay} | {met.nodes} | {met.at_once:.0%} | {_time(met.half)} | {_time(met.nearly)} |"


def draw(found: Forecast, path: Path) -> None:
    """The times to page, each alert and fault a line from its 5th to its 95th percentile, on a logarithmic scale.

    Raises `OSError` or `ValueError` where it cannot be written in the form that the suffix asks for.
    """
    import matplotlib as mpl  # noqa: PLC0415 - slow to import, and only here

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "relay-monitor"  # the same figures, the same bytes
    from matplotlib import pyplot as plt  # noqa: PLC0415

    rows = [row for row in found.rows if row.spread is not None]
    figure, axes = plt.subplots(figsize=(9, 0.8 + 0.26 * len(rows)), layout="constrained")
    for place, row in enumerate(reversed(rows)):
        spread = row.spread
        assert spread is not None
        colour = "#c0392b" if row.severity == "critical" else "#d68910"
        axes.plot([spread.low, spread.high], [place, place], color=colour, linewidth=3, solid_capstyle="round")
        axes.plot([spread.median], [place], "o", color=colour, markersize=5)
    axes.set_yticks(range(len(rows)), [_name(row) for row in reversed(rows)], fontsize=8)
    axes.set_xscale("log")
    marks = [10.0, 60.0, 600.0, 3600.0, 21_600.0, 86_400.0, 259_200.0]
    axes.set_xticks(marks, [_time(mark) for mark in marks])
    axes.minorticks_off()
    axes.grid(axis="x", alpha=0.3)
    axes.set_title("Time from the fault to the notification: median, 5–95 %; red pages, amber warns", fontsize=10)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def _name(row: Row) -> str:
    return " · ".join(part for part in (row.relay, row.slo, row.fault) if part)


def _time(seconds: float) -> str:
    if math.isinf(seconds):
        return "never"
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s"
