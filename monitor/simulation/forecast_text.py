"""A forecast as tables and as a plot."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from monitor.simulation.forecast import UP
from monitor.simulation.show import show_time
from monitor.text_table import Column, paragraph, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from monitor.config.attempts import AttemptCost
    from monitor.simulation.forecast import Forecast, Noise, Row
    from monitor.simulation.nodes import BadNodeOdds


@dataclass(frozen=True, slots=True)
class _Style:
    """How the plot shows a severity; `offset` keeps both of one fault apart."""

    name: str
    colour: str
    marker: str
    offset: float


_STYLES: Final = {
    "critical": _Style("page", "#c0392b", "o", -0.14),
    "warning": _Style("warning", "#d68910", "s", 0.14),
}


def lines(found: Forecast, bad_node: Mapping[str, BadNodeOdds], *, width: int | None = None) -> Iterator[str]:
    """Yield the forecast line by line, for a terminal of `width`.

    `bad_node` has the odds of hitting a bad node for each relay, or is empty.
    """
    yield "Time from a fault to its notification: median (5–95 %)"
    for relay in dict.fromkeys(row.relay for row in found.rows):
        yield ""
        yield from table(_columns(relay), list(_times(found, relay)), width=width)
    yield ""
    yield from paragraph(
        f"{UP}: all events of the SLO fail while confirmation attempts succeed. If those fail too, RelayDown pages, "
        "and error budgets and lost messages do not, during the outage and for its failures after it. An SLO pages "
        "when any of its probes does.",
        width=width,
    )
    yield ""
    yield "False notifications a month, while events fail by chance"
    yield ""
    yield from _false_pages(found.noise, width)
    yield ""
    for cost in found.attempts:
        yield from paragraph(_rhythm(cost), width=width)
    if bad_node:
        columns = (
            Column("relay"),
            Column("nodes,\none bad", right=True),
            Column("probability of\nhitting it at once", right=True),
            Column("50 %\nwithin", right=True),
            Column("95 %\nwithin", right=True),
        )
        odds = [
            (relay, f"{item.nodes}", f"{item.at_once:.0%}", show_time(item.half), show_time(item.nearly))
            for relay, item in bad_node.items()
        ]
        yield ""
        yield from table(columns, odds, width=width)


def _columns(relay: str) -> tuple[Column, ...]:
    return Column(f"{relay}: fault"), Column("page after"), Column("warning after")


def _times(found: Forecast, relay: str) -> Iterator[tuple[str, ...] | str]:
    """Yield a row for each fault, with page and warning side by side, under its SLO and alert."""
    heading = ""
    rows = [row for row in found.rows if row.relay == relay]
    for (slo, fault), group in groupby(sorted(rows, key=_order(rows)), lambda row: (row.slo, row.fault)):
        by_severity = {row.severity: row for row in group}
        alert = next(iter(by_severity.values())).alert
        title = f"SLO {slo}: {alert}" if slo else alert.replace("–", "no alert")
        if title != heading:
            heading = title
            yield heading
        times = [_time(by_severity.get(severity)) for severity in ("critical", "warning")]
        yield f"  {fault}", *times


def _order(rows: Sequence[Row]) -> Callable[[Row], int]:
    """Return the order of rows: SLOs and their faults as they are forecast, the severities of one beside each other."""
    keys = list(dict.fromkeys((row.slo, row.fault) for row in rows))
    return lambda row: keys.index((row.slo, row.fault))


def _time(row: Row | None) -> str:
    if row is None:
        return "–"
    if row.spread is None:
        return "never"
    low, high = show_time(row.spread.low), show_time(row.spread.high)
    if low.partition(" ")[2] == high.partition(" ")[2]:
        low = low.partition(" ")[0]
    share = "" if row.spread.paged >= 1 else f" in {row.spread.paged:.0%}"
    return f"{show_time(row.spread.median)} ({low}–{high}){share}"


def _false_pages(noise: Sequence[Noise], width: int | None) -> Iterator[str]:
    """Yield a row for each SLO, with pages and warnings of each ratio of failures."""
    ratios = sorted({item.ratio for item in noise if item.ratio})
    columns = [Column("relay"), Column("SLO")]
    for ratio in ratios:
        columns += [Column(f"{_percent(ratio)} fail:\npages", right=True), Column("\nwarnings", right=True)]
    columns.append(Column("none fail:\nwarnings", right=True))
    found = {(item.relay, item.slo, item.severity, item.ratio): f"{item.pages_a_month:.2g}" for item in noise}
    wanted = [(severity, ratio) for ratio in ratios for severity in ("critical", "warning")] + [("warning", 0.0)]
    rows = [
        (relay, slo, *(found.get((relay, slo, *each), "–") for each in wanted))
        for relay, slo in dict.fromkeys((item.relay, item.slo) for item in noise)
    ]
    yield from table(columns, rows, width=width)


def _percent(ratio: float) -> str:
    return f"{ratio * 100:g} %"


def _rhythm(cost: AttemptCost) -> str:
    """What the attempts guarantee while nothing has failed yet."""
    if math.isinf(cost.every):
        return f"{cost.relay}: no attempts fit into `limits`: new clients refused are found by new sessions only."
    return (
        f"{cost.relay}: while nothing fails, an attempt starts every {show_time(cost.every)} at each location: a relay "
        f"that refuses only new clients is found by then, and pages at most {show_time(cost.refused)} after it began."
    )


def draw(found: Forecast, path: Path) -> None:
    """Plot the times to page on a logarithmic scale: a row for each fault, a line from the 5th to the 95th percentile.

    Raises `OSError` if the file cannot be written, and `ValueError` for a suffix that matplotlib does not know.
    """
    import matplotlib as mpl  # noqa: PLC0415 - slow to import, and only here

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "relay-monitor"  # the same figures give the same bytes
    from matplotlib import pyplot as plt  # noqa: PLC0415

    rows = [row for row in found.rows if row.spread is not None]
    relays = {row.relay for row in rows}
    names = [_label(row, named=len(relays) > 1) for row in rows]
    labels = list(dict.fromkeys(names))
    figure, axes = plt.subplots(figsize=(9, 1.0 + 0.3 * len(labels)), layout="constrained")
    for row, name in zip(rows, names, strict=True):
        spread, style = row.spread, _STYLES[row.severity]
        assert spread is not None
        y = labels.index(name) + style.offset
        axes.plot([spread.low, spread.high], [y, y], color=style.colour, linewidth=3, solid_capstyle="round")
        axes.plot([spread.median], [y], style.marker, color=style.colour, markersize=5)
    for style in _STYLES.values():
        axes.plot([], [], f"{style.marker}-", color=style.colour, linewidth=3, markersize=5, label=style.name)
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xscale("log")
    ticks = [10.0, 60.0, 600.0, 3600.0, 21_600.0, 86_400.0, 259_200.0]
    axes.set_xticks(ticks, ["10 s", "1 min", "10 min", "1 h", "6 h", "1 d", "3 d"])
    axes.minorticks_off()
    axes.grid(axis="x", alpha=0.3)
    axes.set_title("Time from the fault to the notification: median, 5–95 %", fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="upper right")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def _label(row: Row, *, named: bool) -> str:
    return " · ".join(part for part in (row.relay if named else "", row.slo, row.fault) if part)
