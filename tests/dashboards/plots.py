"""Time series: lines, bars and points, stacked or not, with thresholds, exemplars and annotations."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.dashboards import colours
from tests.dashboards.axes import Axis
from tests.dashboards.fields import Field
from tests.dashboards.legends import MANY, Entry, legend
from tests.dashboards.markup import (
    AXIS_HEIGHT,
    Box,
    Drawn,
    View,
    add,
    draw_marks,
    label,
    no_data,
    node,
    svg,
    text_width,
    time_axis,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from xml.etree.ElementTree import Element

    from tests.dashboards.frames import Response
    from tests.dashboards.markup import Size

BAR_SHARE: Final = 0.6
"""Share of its step that a bar is wide."""

DENSE: Final = 10
"""Pixels between two points below which points are not drawn."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a series: its time, and from where to where it is drawn."""

    at: float
    base: float
    value: float


@dataclass(frozen=True, slots=True)
class Plot:
    """A series with its points, which lie above those of the series that it is stacked on."""

    entry: Entry
    points: tuple[Point, ...]

    def pieces(self) -> Iterator[list[Point]]:
        """Yield the parts of a line, which has gaps where points are missing."""
        step, spans = self.entry.frame.step, self.entry.field.custom.get("spanNulls")
        piece: list[Point] = []
        for point in self.points:
            if piece and point.at - piece[-1].at > step * 1.5 and not spans:
                yield piece
                piece = []
            piece.append(point)
        if piece:
            yield piece


@dataclass(frozen=True, slots=True)
class Canvas:
    """Where values are on the plot."""

    element: Element
    box: Box
    axis: Axis
    view: View

    def x(self, at: float) -> float:
        """Return the pixel of a time."""
        return self.box.x + self.view.times.share(at) * self.box.width

    def y(self, value: float) -> float:
        """Return the pixel of a value."""
        return self.box.y + (1 - self.axis.share(value)) * self.box.height


def draw_time_series(panel: dict[str, Any], responses: Sequence[Response], size: Size, view: View) -> Drawn:
    """Draw a panel's body."""
    width, height = size
    plots = list(_plots(panel, responses))
    exemplars = [item for response in responses for item in response.exemplars]
    values = [value for plot in plots for point in plot.points for value in (point.value, point.base)]
    if not any(plot.points for plot in plots):
        return no_data(panel)
    if not any(_stacked(plot.entry.field) or _style(plot.entry.field) == "bars" for plot in plots):
        values = [point.value for plot in plots for point in plot.points]
    defaults = (panel.get("fieldConfig") or {}).get("defaults") or {}
    if defaults.get("max") is None:
        values += [value for _, value in exemplars]
    key = legend(panel, [plot.entry for plot in plots], width, height)
    body_box = Box(0, 0, width - key.right, height - key.bottom - 4)
    axis = Axis.of(defaults, values, body_box.height)
    title = (defaults.get("custom") or {}).get("axisLabel")
    left = max(text_width(text) for _, text in axis.marks) + (34 if title else 18)
    box = Box(left, 6, body_box.width - left - 16, body_box.height - 6 - AXIS_HEIGHT)
    element = svg(body_box)
    _grid(element, box, axis, title)
    time_axis(element, box, view.times)
    clip = f"clip{zlib.crc32(str(panel['id']).encode())}"
    add(add(element, "clipPath", id=clip), "rect", x=box.x, y=box.y - 2, width=box.width, height=box.height + 4)
    canvas = Canvas(add(element, "g", clip_path=f"url(#{clip})"), box, axis, view)
    _thresholds(canvas, defaults)
    for plot in plots:
        if _style(plot.entry.field) == "bars":
            _bars(canvas, plot)
        else:
            _line(canvas, plot)
    for at, value in exemplars:
        if axis.low <= value <= axis.high:
            add(
                canvas.element, "rect", x="-3.5", y="-3.5", width=7, height=7, fill="#5794F2",
                transform=f"translate({canvas.x(at):.1f} {canvas.y(value):.1f}) rotate(45)",
            )  # fmt: skip
    draw_marks(element, box, view, shaded=True)
    body = node("div")
    body.extend([element, key.element])
    return Drawn(body, complaints=list(_complaints(plots, axis, key.hidden)))


def _plots(panel: dict[str, Any], responses: Sequence[Response]) -> Iterator[Plot]:
    base: dict[tuple[str, float], float] = {}
    index = 0
    for response in responses:
        for frame in response.frames:
            field = Field.of(panel, frame.name, frame.ref)
            entry = Entry(frame, field, field.series_colour(frame, index))
            index += 1
            group = str((field.custom.get("stacking") or {}).get("group", "A"))
            points = []
            for at, value in zip(frame.times, frame.values, strict=True):
                if value is None or math.isinf(value):
                    continue
                below = base.get((group, at), 0.0) if _stacked(field) else 0.0
                points.append(Point(at, below, below + value))
                if _stacked(field):
                    base[group, at] = below + value
            yield Plot(entry, tuple(points))


def _stacked(field: Field) -> bool:
    return bool((field.custom.get("stacking") or {}).get("mode") == "normal")


def _style(field: Field) -> str:
    return str(field.custom.get("drawStyle") or "line")


def _grid(element: Element, box: Box, axis: Axis, title: str | None) -> None:
    for value, text in axis.marks:
        y = box.y + (1 - axis.share(value)) * box.height
        add(element, "line", x1=box.x, x2=box.x + box.width, y1=y, y2=y, stroke=colours.GRID)
        label(element, text, box.x - 8, y + 4, "end")
    if title:
        turned = add(element, "g", transform=f"translate(12 {box.y + box.height / 2:.1f}) rotate(-90)")
        label(turned, title, 0, 0, "middle")


def _thresholds(canvas: Canvas, defaults: dict[str, Any]) -> None:
    mode = ((defaults.get("custom") or {}).get("thresholdsStyle") or {}).get("mode", "off")
    steps = (defaults.get("thresholds") or {}).get("steps") or []
    box, axis = canvas.box, canvas.axis
    for index, step in enumerate(steps if mode != "off" else ()):
        css, value = colours.colour(step["color"]), step.get("value")
        if "area" in mode:
            bottom = axis.low if value is None else max(value, axis.low)
            top = steps[index + 1]["value"] if index + 1 < len(steps) else axis.high
            if min(top, axis.high) > bottom:
                upper, lower = canvas.y(min(top, axis.high)), canvas.y(bottom)
                add(
                    canvas.element, "rect", x=box.x, width=box.width, y=upper, height=lower - upper, fill=css,
                    opacity="0.12",
                )  # fmt: skip
        if mode != "area" and value is not None and axis.low <= value <= axis.high:
            y = canvas.y(value)
            dashes = {"stroke_dasharray": "10 10"} if "dash" in mode else {}
            add(
                canvas.element, "line", x1=box.x, x2=box.x + box.width, y1=y, y2=y, stroke=css, stroke_width=2, **dashes
            )


def _bars(canvas: Canvas, plot: Plot) -> None:
    entry = plot.entry
    opacity = (entry.field.custom.get("fillOpacity") or 0) / 100
    width = max(1.0, entry.frame.step / canvas.view.times.length * canvas.box.width * BAR_SHARE)
    # -1: the bar ends at its time.
    shift = {-1: -width, 1: 0.0}.get(entry.field.custom.get("barAlignment") or 0, -width / 2)
    stroke = {"stroke": entry.css} if entry.field.custom.get("lineWidth", 1) else {}
    for point in plot.points:
        if point.value != point.base:
            top, bottom = canvas.y(point.value), canvas.y(point.base)
            add(
                canvas.element, "rect", x=canvas.x(point.at) + shift, width=width, y=top,
                height=max(0.0, bottom - top), fill=entry.css, fill_opacity=f"{opacity:g}", **stroke,
            )  # fmt: skip


def _line(canvas: Canvas, plot: Plot) -> None:
    entry = plot.entry
    custom = entry.field.custom
    wide, opacity = custom.get("lineWidth", 1), (custom.get("fillOpacity") or 0) / 100
    dash = (custom.get("lineStyle") or {}).get("dash")
    point_gap = canvas.box.width / max(1.0, canvas.view.times.length / max(entry.frame.step, 1e-9))
    points = custom.get("showPoints", "auto")
    for piece in plot.pieces():
        if _style(entry.field) == "line" and len(piece) > 1:
            path = _path(canvas, piece, stepped=str(custom.get("lineInterpolation", "")).startswith("step"))
            if opacity:
                back = "".join(
                    f"L{canvas.x(point.at):.1f} {canvas.y(max(point.base, canvas.axis.low)):.1f}"
                    for point in reversed(piece)
                )
                add(canvas.element, "path", d=f"{path}{back}Z", fill=entry.css, opacity=f"{opacity:g}")
            if wide:
                dashes = {"stroke_dasharray": " ".join(map(str, dash))} if dash else {}
                add(canvas.element, "path", d=path, fill="none", stroke=entry.css, stroke_width=wide, **dashes)
        is_alone = len(piece) == 1 or point_gap >= DENSE
        if points == "always" or _style(entry.field) == "points" or (points == "auto" and is_alone):
            for point in piece:
                add(
                    canvas.element, "circle", cx=canvas.x(point.at), cy=canvas.y(point.value),
                    r=custom.get("pointSize", 5) / 2, fill=entry.css,
                )  # fmt: skip


def _path(canvas: Canvas, piece: list[Point], *, stepped: bool) -> str:
    places = [(canvas.x(point.at), canvas.y(point.value)) for point in piece]
    first = f"M{places[0][0]:.1f} {places[0][1]:.1f}"
    return first + "".join(f"H{x:.1f}V{y:.1f}" if stepped else f"L{x:.1f} {y:.1f}" for x, y in places[1:])


def _complaints(plots: list[Plot], axis: Axis, hidden: int) -> Iterator[str]:
    names = [plot.entry.frame.name for plot in plots]
    if len(names) > MANY:
        yield f"{len(names)} series"
    if hidden:
        yield f"{hidden} entries of the legend are scrolled out"
    if double := sorted({name for name in names if names.count(name) > 1}):
        yield f"several series have the name {', '.join(double)}"
    texts = [text for _, text in axis.marks]
    if len(set(texts)) < len(texts):
        yield f"the axis has equal labels: {', '.join(texts)}"
