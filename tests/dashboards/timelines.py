"""State timelines: a line of coloured bars for each series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.dashboards import colours
from tests.dashboards.fields import Field
from tests.dashboards.markup import (
    Box,
    Drawn,
    View,
    add,
    draw_marks,
    label,
    no_data,
    node,
    svg,
    swatch,
    text_width,
    time_axis,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from xml.etree.ElementTree import Element

    from tests.dashboards.frames import Frame, Response
    from tests.dashboards.markup import Size

MIN_ROW: Final = 11
"""Pixels of a line below which its name cannot be read."""

Period = tuple[float, float, float | None]


def periods(frame: Frame) -> Iterator[Period]:
    """Yield start, end and value of each time in which the value stays the same; gaps end it."""
    start: float | None = None
    last, value = 0.0, None
    for at, new in zip(frame.times, frame.values, strict=True):
        is_near = start is not None and at - last <= frame.step * 1.5
        if start is not None and (new != value or not is_near):
            yield start, at if is_near else last + frame.step, value
            start = None
        if start is None:
            start, value = at, new
        last = at
    if start is not None:
        yield start, last + frame.step, value


def draw_timeline(panel: dict[str, Any], responses: Sequence[Response], size: Size, view: View) -> Drawn:
    """Draw a panel's body."""
    width, height = size
    frames = [frame for response in responses for frame in response.frames]
    if not frames:
        return no_data(panel)
    options = panel.get("options") or {}
    page = options.get("perPage") or len(frames)
    shown = frames[:page]
    has_legend = bool((options.get("legend") or {}).get("showLegend"))
    below = 24 + (26 if has_legend else 0) + (28 if len(frames) > page else 0)
    left = min(max(text_width(frame.name) for frame in shown) + 14, width * 0.4)
    box = Box(left, 2, width - left - 16, height - below)
    row = box.height / len(shown)
    element = svg(Box(0, 0, width, height - (26 if has_legend else 0)))
    time_axis(element, box, view.times)
    key: dict[str, str] = {}
    for index, frame in enumerate(shown):
        key |= _row(
            element, Field.of(panel, frame.name, frame.ref), frame, _band(box, row, index, options), view, options
        )
    if len(frames) > page:
        label(element, f"1 … {page} of {len(frames)}", width / 2, height - below + 46, "middle")
    draw_marks(element, box, view, shaded=False)
    body = node("div")
    body.append(element)
    if has_legend:
        legend = add(body, "div", style="position:absolute;left:12px;bottom:4px;font-size:12px")
        for text, css in key.items():
            item = add(legend, "span", style="margin-right:14px")
            swatch(item, css)
            add(item, "span", text)
    complaints = [f"lines are {row:.0f} px high"] if row < MIN_ROW else []
    if any(text_width(frame.name) + 14 > width * 0.4 for frame in shown):
        complaints.append("names are cut")
    return Drawn(body, complaints=complaints)


def _band(box: Box, row: float, index: int, options: dict[str, Any]) -> Box:
    """Return the band of a line's bars, whose share of the line's height is set."""
    high = row * options.get("rowHeight", 0.9)
    return Box(box.x, box.y + index * row + (row - high) / 2, box.width, high)


def _row(parent: Element, field: Field, frame: Frame, band: Box, view: View, options: dict[str, Any]) -> dict[str, str]:
    """Draw a line, and return the colours of its texts."""
    key = {}
    middle = band.y + band.height / 2 + 4
    label(parent, frame.name, band.x - 8, middle, "end")
    opacity = field.custom.get("fillOpacity", 70) / 100
    for start, end, value in periods(frame):
        css = field.colour(value) or colours.WEAK
        text = field.text(value)
        key[text] = css
        left, right = (band.x + view.times.share(at) * band.width for at in (start, end))
        add(
            parent, "rect", x=left, width=max(1.0, right - left), y=band.y, height=band.height, fill=css,
            fill_opacity=f"{opacity:g}",
        )  # fmt: skip
        if (
            options.get("showValue", "auto") != "never"
            and text_width(text) + 6 < right - left
            and band.height > MIN_ROW
        ):
            label(parent, text, left + 4, middle, fill=colours.readable_on(css))
    return key
