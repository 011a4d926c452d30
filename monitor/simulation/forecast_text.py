"""A forecast as Markdown tables and as a plot."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from monitor.simulation.forecast import UP
from monitor.simulation.show import show_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from monitor.config.attempts import AttemptCost
    from monitor.simulation.forecast import Forecast, Row
    from monitor.simulation.nodes import BadNodeOdds


def lines(found: Forecast, bad_node: Mapping[str, BadNodeOdds]) -> Iterator[str]:
    """Yield the forecast line by line; `bad_node` has the odds of hitting a bad node for each relay, or is empty."""
    yield "| relay | SLO | alert | severity | fault | median time to page | 5–95 % | paged |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in found.rows:
        times = "never | – | 0 %"
        if row.spread is not None:
            spread = row.spread
            times = (
                f"{show_time(spread.median)} | {show_time(spread.low)} – {show_time(spread.high)} | {spread.paged:.0%}"
            )
        yield f"| {row.relay} | {row.slo or '–'} | {row.alert} | {row.severity} | {row.fault} | {times} |"
    yield ""
    yield f"*{UP}*: all events of this SLO fail while confirmation attempts succeed. If those fail too, `RelayDown`"
    yield "pages, and error budgets and lost messages do not, during the outage and for its failures after it. An SLO"
    yield "pages when any of its probes does."
    yield ""
    yield "| relay | SLO | severity | events that fail by chance | false pages a month |"
    yield "|---|---|---|---|---|"
    for item in found.noise:
        yield f"| {item.relay} | {item.slo} | {item.severity} | {item.ratio:.4%} | {item.pages_a_month:.2g} |"
    yield ""
    yield from (_rhythm(cost) for cost in found.attempts)
    if bad_node:
        yield ""
        yield "| relay | nodes, one of them bad | probability of hitting it at once | 50 % within | 95 % within |"
        yield "|---|---|---|---|---|"
    for relay, odds in bad_node.items():
        yield f"| {relay} | {odds.nodes} | {odds.at_once:.0%} | {show_time(odds.half)} | {show_time(odds.nearly)} |"


def _rhythm(cost: AttemptCost) -> str:
    """What the attempts guarantee while nothing has failed yet."""
    if math.isinf(cost.every):
        return f"{cost.relay}: no attempts fit into `limits`: new clients refused are found by new sessions only."
    return (
        f"{cost.relay}: while nothing fails, an attempt starts every {show_time(cost.every)} at each location: a relay "
        f"that refuses only new clients is found by then, and pages at most {show_time(cost.refused)} after it began."
    )


def draw(found: Forecast, path: Path) -> None:
    """Plot the times to page on a logarithmic scale, each alert and fault a line from its 5th to its 95th percentile.

    Raises `OSError` if the file cannot be written, and `ValueError` for a suffix that matplotlib does not know.
    """
    import matplotlib as mpl  # noqa: PLC0415 - slow to import, and only here

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "relay-monitor"  # the same figures give the same bytes
    from matplotlib import pyplot as plt  # noqa: PLC0415

    rows = [row for row in found.rows if row.spread is not None]
    figure, axes = plt.subplots(figsize=(9, 0.8 + 0.26 * len(rows)), layout="constrained")
    for y, row in enumerate(reversed(rows)):
        spread = row.spread
        assert spread is not None
        colour = "#c0392b" if row.severity == "critical" else "#d68910"
        axes.plot([spread.low, spread.high], [y, y], color=colour, linewidth=3, solid_capstyle="round")
        axes.plot([spread.median], [y], "o", color=colour, markersize=5)
    axes.set_yticks(range(len(rows)), [_label(row) for row in reversed(rows)], fontsize=8)
    axes.set_xscale("log")
    ticks = [10.0, 60.0, 600.0, 3600.0, 21_600.0, 86_400.0, 259_200.0]
    axes.set_xticks(ticks, [show_time(tick) for tick in ticks])
    axes.minorticks_off()
    axes.grid(axis="x", alpha=0.3)
    axes.set_title("Time from the fault to the notification: median, 5–95 %; red pages, amber warns", fontsize=10)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def _label(row: Row) -> str:
    return " · ".join(part for part in (row.relay, row.slo, row.fault) if part)
