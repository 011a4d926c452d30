"""Single numbers, with a sparkline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.dashboards import colours
from tests.dashboards.fields import Field
from tests.dashboards.frames import Frame
from tests.dashboards.markup import Drawn, View, add, node, text_width

if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

    from tests.dashboards.frames import Response
    from tests.dashboards.markup import Size

SPARKLINE_SHARE = 0.35
"""Share of the height that a sparkline has."""

MIN_TEXT = 14
"""Pixels of a text below which a number is not large."""


def draw_stat(panel: dict[str, Any], responses: Sequence[Response], size: Size, view: View) -> Drawn:
    """Draw a panel's body."""
    width, height = size
    frames = [frame for response in responses for frame in response.frames]
    options = panel.get("options") or {}
    calculation = ((options.get("reduceOptions") or {}).get("calcs") or ["lastNotNull"])[0]
    empty = not any(frame.numbers for frame in frames)
    frames = frames or [Frame("", {}, (), ())]
    orientation = options.get("orientation", "auto")
    is_vertical = orientation == "horizontal" or (orientation == "auto" and height > width)
    direction = "column" if is_vertical else "row"
    body = node("div", style=f"position:absolute;inset:0;display:flex;flex-direction:{direction}")
    wide, high = (width, height / len(frames)) if is_vertical else (width / len(frames), height)
    complaints = []
    for frame in frames:
        field = Field.of(panel, frame.name, frame.ref)
        height_of_text = _number(
            body, field, frame, frame.reduced(calculation), (wide, high, len(frames)), options, view
        )
        if height_of_text < MIN_TEXT:
            complaints.append(f"text of {height_of_text:.0f} px")
    return Drawn(body, empty, complaints)


def _number(
    body: Element,
    field: Field,
    frame: Frame,
    value: float | None,
    cell: tuple[float, float, int],
    options: dict[str, Any],
    view: View,
) -> float:
    """Draw one number, and return the size of its text."""
    wide, high, count = cell
    text = field.text(value, view.now) or "No data"
    css = field.colour(value) or colours.TEXT
    mode = options.get("textMode", "auto")
    name = frame.name if mode in {"value_and_name", "name"} or (mode == "auto" and count > 1) else ""
    if mode == "name":
        text, name = name, ""
    is_filled = str(options.get("colorMode", "value")).startswith("background")
    css_text = colours.readable_on(css) if is_filled else css if options.get("colorMode") == "value" else colours.TEXT
    has_sparkline = options.get("graphMode") == "area" and len(frame.numbers) > 1
    room = high * (1 - SPARKLINE_SHARE if has_sparkline else 1.0)
    fitting = min((wide - 24) / max(1.0, text_width(text, 1.0)), room * (0.55 if name else 0.75), 76.0)
    size = float((options.get("text") or {}).get("valueSize") or fitting)
    cell_style = (
        f"position:relative;width:{wide:.0f}px;height:{high:.0f}px;display:flex;flex-direction:column;"
        f"align-items:center;justify-content:center;color:{css_text}"
    )
    box = add(body, "div", style=f"{cell_style};background:{css}" if is_filled else cell_style)
    if has_sparkline:
        _sparkline(box, frame, wide, high, css_text if is_filled else css, view)
    if name:
        add(box, "div", name, style=f"font-size:{max(12.0, size * 0.3):.0f}px;font-weight:500")
    add(
        box, "div", text, style=f"font-size:{size:.0f}px;font-weight:500;line-height:1.1;white-space:nowrap;z-index:1"
        + (f";margin-bottom:{high * SPARKLINE_SHARE:.0f}px" if has_sparkline else "")
    )  # fmt: skip
    return size


def _sparkline(box: Element, frame: Frame, wide: float, high: float, css: str, view: View) -> None:
    low, top = min(frame.numbers), max(frame.numbers)
    height = high * SPARKLINE_SHARE
    points = [
        (view.times.share(at) * wide, high - 2 - (value - low) / ((top - low) or 1.0) * (height - 4))
        for at, value in zip(frame.times, frame.values, strict=True)
        if value is not None
    ]
    element = add(box, "svg", width=wide, height=high, style="position:absolute;left:0;top:0")
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    area = f"M{points[0][0]:.1f} {high:.1f}L{line}L{points[-1][0]:.1f} {high:.1f}Z"
    add(element, "path", d=area, fill=css, opacity="0.2")
    add(element, "path", d=f"M{line}", fill="none", stroke=css, opacity="0.8")
