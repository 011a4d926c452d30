"""Tables, with the widths, colours and links of their cells."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from tests.dashboards import colours
from tests.dashboards.fields import Field
from tests.dashboards.markup import Drawn, View, add, no_data, node, text_width
from tests.dashboards.transformations import table_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from xml.etree.ElementTree import Element

    from tests.dashboards.fields import Cell
    from tests.dashboards.frames import Response
    from tests.dashboards.markup import Size

HEAD: Final = 36
ROW_HEIGHTS: Final = {"sm": 36, "md": 42, "lg": 60}
MIN_WIDTH: Final = 150
"""Pixels of a column whose width is not set, unless all of them fit into less."""

LINE, PADDING = 19, 14
"""Pixels of a line of wrapped text, and around all lines of a cell."""

_CELL: Final = (
    f"padding:0 8px;border-bottom:1px solid {colours.BORDER};white-space:nowrap;overflow:hidden;"
    "text-overflow:ellipsis;font-weight:400;box-sizing:border-box;"
)


def draw_table(panel: dict[str, Any], responses: Sequence[Response], size: Size, view: View) -> Drawn:
    """Draw a panel's body."""
    width, height = size
    table = table_of(panel, responses)
    if not table.rows:
        return no_data(panel)
    fields = {column: Field.of(panel, table.heading(column)) for column in table.columns}
    columns = [column for column in table.columns if not fields[column].custom.get("hidden")]
    widths = _widths(columns, fields, width - 16)
    body = node("div", style="position:absolute;inset:0 8px;overflow:hidden")
    total = sum(widths.values())
    element = add(
        body, "table",
        style=f"table-layout:fixed;border-spacing:0;font-size:13.5px;width:{total:.0f}px",
    )  # fmt: skip
    row_height = ROW_HEIGHTS.get((panel.get("options") or {}).get("cellHeight", "sm"), 36)
    numeric = {column for column in columns if any(isinstance(row.get(column), float) for row in table.rows)}
    head = add(element, "tr", style=f"height:{HEAD}px")
    for column in columns:
        name = fields[column].settings.get("displayName") or table.heading(column)
        align = "right" if column in numeric else "left"
        add(head, "th", name, style=f"{_CELL}width:{widths[column]:.0f}px;text-align:{align};color:{colours.LINK}")
    cut = set()
    for row in table.rows:
        line = add(element, "tr", style=f"height:{row_height}px")
        for column in columns:
            text = _cell(line, fields[column], row.get(column), view, is_number=column in numeric)
            if text_width(text, 13.5) > widths[column] - 10 and not _is_wrapped(fields[column]):
                cut.add(table.heading(column))
    heights = [_height(row, fields, widths, row_height, view) for row in table.rows]
    hidden = sum(bottom > height - HEAD for bottom in accumulate(heights))
    if hidden:
        _scroll_bar(body, height, (height - HEAD) / sum(heights))
    complaints = [f"{hidden} of {len(table.rows)} rows are scrolled out"] if hidden else []
    complaints += [f"{total - width + 16:.0f} px are off screen"] if total > width - 15 else []
    complaints += [f"cells of {', '.join(sorted(cut))} are cut"] if cut else []
    complaints += [f"unknown transformation {name}" for name in table.unknown]
    return Drawn(body, complaints=complaints)


def _widths(columns: Sequence[str], fields: dict[str, Field], width: float) -> dict[str, float]:
    """Return the widths of the columns: those that are set, and equal parts of the remaining."""
    given = {column: fields[column].custom.get("width") for column in columns}
    free = [column for column in columns if not given[column]]
    remaining = (width - sum(value or 0 for value in given.values())) / max(1, len(free))
    least = max((fields[column].custom.get("minWidth") or MIN_WIDTH for column in free), default=0)
    return {column: float(given[column] or max(remaining, min(least, MIN_WIDTH))) for column in columns}


def _cell(line: Element, field: Field, value: Cell, view: View, *, is_number: bool) -> str:
    """Draw a cell, and return its text."""
    text = field.text("" if value is None and not is_number else value, view.now)
    options = field.custom.get("cellOptions") or {}
    css = field.colour(value)
    style = f"text-align:{field.custom.get('align') or ('right' if is_number else 'left')};"
    if css is not None and options.get("type") == "color-text":
        style += f"color:{css};"
    if css is not None and options.get("type") == "color-background":
        style += f"background:{css};color:{colours.readable_on(css)};"
    if _is_wrapped(field):
        style += "white-space:normal;overflow-wrap:anywhere;padding:6px 8px;"
    cell = add(line, "td", style=_CELL + style)
    if field.settings.get("links"):
        add(cell, "a", text, style=f"color:inherit;text-decoration:underline;text-decoration-color:{colours.WEAK}")
    else:
        cell.text = text
    return text


def _height(
    row: Mapping[str, Cell], fields: Mapping[str, Field], widths: Mapping[str, float], least: float, view: View
) -> float:
    """Return the height of a row, which wrapped texts make larger."""
    texts = [
        (fields[column].text(row.get(column) or "", view.now), width)
        for column, width in widths.items()
        if _is_wrapped(fields[column])
    ]
    lines = max((-(-text_width(text, 13.5) // (width - 16)) for text, width in texts), default=1)
    return max(least, lines * LINE + PADDING)


def _is_wrapped(field: Field) -> bool:
    return bool((field.custom.get("cellOptions") or {}).get("wrapText"))


def _scroll_bar(body: Element, height: float, share: float) -> None:
    add(
        body, "div",
        style=f"position:absolute;right:2px;top:{HEAD}px;width:6px;height:{(height - HEAD) * share:.0f}px;"
        f"background:{colours.WEAK};opacity:0.5;border-radius:3px",
    )  # fmt: skip
