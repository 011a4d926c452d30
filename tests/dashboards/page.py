"""A dashboard as one HTML page: its bar, its variables, and its panels on the grid."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from xml.etree.ElementTree import Element, tostring

from tests.dashboards import colours
from tests.dashboards.frames import Response, Source, marks
from tests.dashboards.heatmaps import draw_heatmap
from tests.dashboards.markup import Drawn, View, add, no_data, node, text_width
from tests.dashboards.plots import draw_time_series
from tests.dashboards.stats import draw_stat
from tests.dashboards.tables import draw_table
from tests.dashboards.time_range import TimeRange
from tests.dashboards.timelines import draw_timeline
from tests.dashboards.variables import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.dashboards.markup import Size
    from tests.dashboards.prometheus import Prometheus

COLUMNS: Final = 24
GRID: Final = 38
"""Pixels of a row of the grid, with the gap of eight below it."""

GAP: Final = 8
MARGIN: Final = 16
TOP: Final = 104
"""Pixels of the bar and the variables."""

HEADING: Final = 36
"""Pixels of a panel's title."""

KINDS: Final[Mapping[str, Callable[[dict[str, Any], Sequence[Response], Size, View], Drawn]]] = {
    "timeseries": draw_time_series,
    "stat": draw_stat,
    "table": draw_table,
    "state-timeline": draw_timeline,
    "status-history": draw_timeline,
    "heatmap": draw_heatmap,
}

_FONT: Final = 'Inter,"DejaVu Sans Condensed","Liberation Sans",Arial,sans-serif'


@dataclass(frozen=True, slots=True)
class DrawnPanel:
    """What became of a panel: its queries' responses, and what one would complain of."""

    title: str
    kind: str
    responses: tuple[Response, ...]
    empty: bool
    complaints: tuple[str, ...]
    bottom: float


@dataclass(slots=True)
class Page:
    """The page, its size, its panels, and problems of the dashboard itself."""

    html: str
    width: int
    height: int
    panels: list[DrawnPanel] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Settings:
    """How a dashboard is opened.

    Without a value in `variables`, All or the first one is selected; without a `start`, the range is the dashboard's
    own. `scrape` is the data source's interval in seconds, `width` the browser's in pixels. `closed` leaves collapsed
    rows closed.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    start: str = ""
    end: str = "now"
    scrape: float = 15.0
    width: int = 1600
    closed: bool = False


def draw(dashboard: dict[str, Any], prometheus: Prometheus, settings: Settings) -> Page:
    """Draw a dashboard over the data of a Prometheus."""
    start = settings.start or dashboard.get("time", {}).get("from", "now-3h")
    times = TimeRange.parse(start, settings.end, time.time())
    variables = resolve(dashboard["templating"]["list"], settings.variables, prometheus, times)
    source = Source(prometheus, settings.scrape, times, variables)
    view = View(times, marks(source, dashboard.get("annotations", {}).get("list", [])))
    body = node("div", style=f"position:relative;width:{settings.width}px")
    _bar(body, dashboard, source, view)
    page = Page("", settings.width, 0, problems=list(variables.problems))
    for panel, grid in placed(dashboard["panels"], closed=settings.closed):
        element, drawn = _panel(panel, grid, source, view, settings.width)
        body.append(element)
        page.height = max(page.height, TOP + (grid["y"] + grid["h"]) * GRID)
        if drawn is not None:
            page.panels.append(drawn)
    page.height += 16
    body.set("style", f"{body.get('style')};height:{page.height}px")
    page.html = _document(dashboard["title"], body)
    return page


def placed(panels: Sequence[dict[str, Any]], *, closed: bool) -> Iterator[tuple[dict[str, Any], dict[str, int]]]:
    """Yield each panel with its position on the grid; collapsed rows are opened unless `closed`."""
    down = 0
    for panel in sorted(panels, key=lambda item: (item["gridPos"]["y"], item["gridPos"]["x"])):
        grid = panel["gridPos"] | {"y": panel["gridPos"]["y"] + down}
        yield panel, grid
        inner = panel.get("panels") or []
        if closed or not inner:
            continue
        top = min(item["gridPos"]["y"] for item in inner)
        for item in inner:
            yield item, item["gridPos"] | {"y": item["gridPos"]["y"] - top + grid["y"] + 1}
        down += max(item["gridPos"]["y"] + item["gridPos"]["h"] for item in inner) - top


def _panel(
    panel: dict[str, Any], grid: dict[str, int], source: Source, view: View, page_width: int
) -> tuple[Element, DrawnPanel | None]:
    column = (page_width - 2 * MARGIN + GAP) / COLUMNS
    left, top = MARGIN + grid["x"] * column, TOP + grid["y"] * GRID
    width, height = grid["w"] * column - GAP, grid["h"] * GRID - GAP
    title = source.variables.put_into(panel.get("title") or "")
    position = f"position:absolute;left:{left:.0f}px;top:{top}px;width:{width:.0f}px;height:{height}px;"
    if panel["type"] == "row":
        text = f"{'▸' if panel.get('collapsed') else '▾'}  {title}"
        return node(
            "div", text, style=f"{position}font-size:18px;font-weight:500;line-height:30px;white-space:pre"
        ), None
    frame = node(
        "div",
        style=f"{position}background:{colours.PANEL};border:1px solid {colours.BORDER};border-radius:2px;"
        "box-sizing:border-box;overflow:hidden",
    )
    heading = HEADING if title else 0
    if title:
        _heading(frame, title, has_description=bool(panel.get("description")))
    responses = source.responses(panel, width) if panel["type"] != "text" else []
    inner = (width - 2, height - heading - 4)
    drawn = _body(panel, responses, inner, source, view)
    body = add(
        frame, "div",
        style=f"position:absolute;left:0;top:{heading}px;width:{inner[0]:.0f}px;height:{inner[1]:.0f}px",
    )  # fmt: skip
    body.append(drawn.element)
    complaints = [*drawn.complaints]
    if text_width(title, 14) * 1.04 > width - 44:
        complaints.append("the title is cut")
    complaints += [
        f"query {response.target.get('refId')}: {response.error}" for response in responses if response.error
    ]
    return frame, DrawnPanel(
        title, panel["type"], tuple(responses), drawn.empty, tuple(complaints), float(top + height)
    )


def _body(panel: dict[str, Any], responses: Sequence[Response], size: Size, source: Source, view: View) -> Drawn:
    if any(response.error for response in responses):
        return no_data(panel, "query error")
    if panel["type"] == "text":
        content = source.variables.put_into(panel["options"]["content"])
        return Drawn(node("div", content, style="position:absolute;inset:0 12px;white-space:pre-wrap;line-height:1.5"))
    if panel["type"] not in KINDS:
        return no_data(panel, f"cannot draw {panel['type']}")
    return KINDS[panel["type"]](panel, responses, size, view)


def _heading(frame: Element, title: str, *, has_description: bool) -> None:
    head = add(
        frame, "div",
        style=f"height:{HEADING}px;display:flex;align-items:center;padding:0 8px;font-size:14px;font-weight:500",
    )  # fmt: skip
    add(head, "span", title, style="white-space:nowrap;overflow:hidden;text-overflow:ellipsis")
    if has_description:
        add(
            head, "span", "i",
            style=f"display:inline-flex;flex:none;width:14px;height:14px;border:1px solid {colours.WEAK};"
            f"border-radius:50%;font-size:10px;align-items:center;justify-content:center;margin-left:6px;"
            f"color:{colours.WEAK}",
        )  # fmt: skip


def _bar(body: Element, dashboard: dict[str, Any], source: Source, view: View) -> None:
    """Draw the title with the time range, and the line of variables, annotations and links."""
    bar = add(
        body, "div",
        style=f"position:absolute;left:0;top:0;right:0;height:44px;background:{colours.PANEL};padding:0 16px;"
        f"border-bottom:1px solid {colours.BORDER};display:flex;align-items:center;justify-content:space-between",
    )  # fmt: skip
    add(bar, "b", f"Dashboards / {dashboard['title']}")
    pattern = "%Y-%m-%d %H:%M:%S"
    times = [datetime.fromtimestamp(at, UTC).strftime(pattern) for at in (source.times.start, source.times.end)]
    add(bar, "span", f"{times[0]} to {times[1]} UTC", style="font-size:13px")
    line = add(body, "div", style="position:absolute;left:16px;right:16px;top:54px;font-size:13px;display:flex;gap:8px")
    border = f"border:1px solid {colours.BORDER};padding:5px 8px;white-space:nowrap"
    for chosen in source.variables.chosen.values():
        if not chosen.hidden:
            box = add(line, "span", style="display:inline-flex")
            add(box, "span", chosen.label, style=f"background:{colours.PANEL};{border}")
            add(box, "span", f"{chosen.shown} ▾", style=border)
    for mark in view.marks:
        add(line, "span", f"● {mark.name}", style=f"color:{colours.colour(mark.colour)};padding:5px 0")
    links = add(line, "span", style="margin-left:auto;display:inline-flex;gap:8px")
    for link in dashboard.get("links", ()):
        add(links, "span", f"↗ {link.get('title', '')}", style=f"background:{colours.PANEL};{border}")


def _document(title: str, body: Element) -> str:
    html = node("html")
    head = add(html, "head")
    add(head, "meta", charset="utf-8")
    add(head, "title", title)
    add(
        head, "style",
        f"body{{margin:0;background:{colours.BACKGROUND};color:{colours.TEXT};font-family:{_FONT};font-size:14px}}",
    )  # fmt: skip
    add(html, "body").append(body)
    return "<!doctype html>" + tostring(html, encoding="unicode", method="html")
