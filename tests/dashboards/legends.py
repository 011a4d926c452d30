"""Legends of time series: below the plot or to its right, as a list or a table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.dashboards import colours
from tests.dashboards.markup import add, node, swatch, text_width
from tests.dashboards.units import formatted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

    from tests.dashboards.fields import Field
    from tests.dashboards.frames import Frame

LINE: Final = 20
"""Pixels of a line of a legend."""

MAX_SHARE: Final = 0.35
"""Share of the panel that a legend may have; the rest is scrolled."""

MANY: Final = 12
"""Entries from which on nobody reads a legend."""

_HEADINGS: Final = {"lastNotNull": "Last *", "mean": "Mean", "max": "Max", "min": "Min", "sum": "Total"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One series, its settings and its colour."""

    frame: Frame
    field: Field
    css: str

    @property
    def shown(self) -> bool:
        """Whether the legend has it."""
        return not (self.field.custom.get("hideFrom") or {}).get("legend")

    def calculated(self, calculation: str) -> str:
        """Return the text of a calculation over the series."""
        return formatted(self.frame.reduced(calculation), self.field.unit, self.field.decimals)


@dataclass(frozen=True, slots=True)
class Legend:
    """A legend's element, and the pixels that it takes at the right or at the bottom."""

    element: Element
    right: float = 0.0
    bottom: float = 0.0
    hidden: int = 0


def legend(panel: dict[str, Any], entries: Sequence[Entry], width: float, height: float) -> Legend:
    """Return the legend of a panel's body of this size."""
    options = (panel.get("options") or {}).get("legend") or {}
    entries = [entry for entry in entries if entry.shown]
    if options.get("showLegend") is False or options.get("displayMode") == "hidden" or not entries:
        return Legend(node("div"))
    calculations = options.get("calcs") or []
    is_right = options.get("placement") == "right"
    if options.get("displayMode") == "table":
        content = _table(entries, calculations)
        need = 22.0 * (len(entries) + 1)
        room = height if is_right else min(need, height * MAX_SHARE)
        hidden = max(0, math.ceil((need - room) / 22))
        wide = min(options.get("width") or width * MAX_SHARE, width * 0.5)
    else:
        wide = width * 0.3
        content, lines = _list(entries, calculations, wide if is_right else width - 24)
        need = (lines[-1] + 1) * LINE + 4.0
        room = height if is_right else min(need, max(LINE + 4.0, height * MAX_SHARE))
        hidden = sum(line >= max(1, int(room // LINE)) for line in lines)
    position = f"right:8px;top:0;width:{wide:.0f}px" if is_right else "left:12px;right:12px;bottom:2px"
    content.set("style", f"position:absolute;{position};height:{room:.0f}px;overflow:hidden;font-size:12px")
    return Legend(content, wide + 10 if is_right else 0.0, 0.0 if is_right else room, hidden)


def _table(entries: Sequence[Entry], calculations: Sequence[str]) -> Element:
    content = node("div")
    table = add(content, "table", style="font-size:12px;border-spacing:0;width:100%")
    head = add(table, "tr")
    add(head, "td")
    for calculation in calculations:
        add(head, "td", _HEADINGS.get(calculation, calculation), style=f"text-align:right;color:{colours.LINK}")
    for entry in entries:
        row = add(table, "tr")
        cell = add(row, "td", style="white-space:nowrap")
        swatch(cell, entry.css)
        add(cell, "span", entry.frame.name)
        for calculation in calculations:
            add(row, "td", entry.calculated(calculation), style="text-align:right;padding-left:10px")
    return content


def _list(entries: Sequence[Entry], calculations: Sequence[str], width: float) -> tuple[Element, list[int]]:
    """Return the list, and the number of the line in which each entry is."""
    content = node("div")
    x, line = 0.0, 0
    lines = []
    for entry in entries:
        more = [f"{_HEADINGS.get(item, item)}: {entry.calculated(item)}" for item in calculations]
        wide = text_width(" ".join([entry.frame.name, *more])) + 32
        if x and x + wide > width:
            x, line = 0.0, line + 1
        x += wide
        lines.append(line)
        item = add(
            content, "span", style=f"white-space:nowrap;margin-right:12px;display:inline-block;line-height:{LINE}px"
        )
        swatch(item, entry.css)
        add(item, "span", entry.frame.name)
        if more:
            add(item, "span", " " + " ".join(more), style=f"color:{colours.WEAK}")
    return content, lines
