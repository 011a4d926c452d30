"""HTML and SVG as elements, which escape every text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from xml.etree.ElementTree import Element, SubElement

from tests.dashboards import colours

if TYPE_CHECKING:
    from tests.dashboards.frames import Mark
    from tests.dashboards.time_range import TimeRange

AXIS_HEIGHT: Final = 22
"""Pixels below a plot for the labels of its time axis."""

MARK_GAP: Final = 90
"""Pixels between two labels of a time axis."""

CENTRED: Final = "position:absolute;inset:0;display:flex;align-items:center;justify-content:center;font-size:14px;"


@dataclass(frozen=True, slots=True)
class View:
    """What all panels of a page share."""

    times: TimeRange
    marks: list[Mark]

    @property
    def now(self) -> float:
        """The end of the time range, in seconds since the epoch."""
        return self.times.end


@dataclass(slots=True)
class Drawn:
    """The element of a panel, whether it is empty, and what one would complain of."""

    element: Element
    empty: bool = False
    complaints: list[str] = field(default_factory=list)


Size = tuple[float, float]
"""Width and height in pixels."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels."""

    x: float
    y: float
    width: float
    height: float


def node(name: str, text: str = "", /, **attributes: str | float) -> Element:
    """Return an element; underscores in attributes' names become hyphens, numbers have one decimal."""
    element = Element(name, _texts(attributes))
    element.text = text
    return element


def add(parent: Element, name: str, text: str = "", /, **attributes: str | float) -> Element:
    """Add an element to another one, and return it."""
    element = SubElement(parent, name, _texts(attributes))
    element.text = text
    return element


def _texts(attributes: dict[str, str | float]) -> dict[str, str]:
    return {
        name.rstrip("_").replace("_", "-"): value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
        for name, value in attributes.items()
    }


def text_width(text: str, size: float = 12.0) -> float:
    """Return about how many pixels wide a text is."""
    narrow, wide = "iljt.,:;|'!· ", "mwMW@%"
    units = sum(
        0.33 if letter in narrow else 0.86 if letter in wide else 0.62 if letter.isupper() else 0.55 for letter in text
    )
    return units * size


def no_data(panel: dict[str, object], text: str = "") -> Drawn:
    """Return what is shown instead of a plot without data."""
    config = panel.get("fieldConfig")
    defaults = config.get("defaults") if isinstance(config, dict) else None
    shown = text or (defaults or {}).get("noValue") or "No data"
    return Drawn(node("div", str(shown), style=f"{CENTRED}color:{colours.WEAK}"), empty=True)


def svg(box: Box) -> Element:
    """Return an SVG element at the top left of a panel's body."""
    return node("svg", width=box.width, height=box.height, style=f"position:absolute;left:{box.x}px;top:{box.y}px")


def label(parent: Element, text: str, x: float, y: float, anchor: str = "start", fill: str = colours.TEXT) -> None:
    """Add a text to an SVG element."""
    add(parent, "text", text, x=x, y=y, fill=fill, font_size=12, text_anchor=anchor)


def time_axis(parent: Element, plot: Box, times: TimeRange) -> None:
    """Draw the time axis below a plot, and its grid."""
    for at, text in times.marks(plot.width / MARK_GAP):
        x = plot.x + times.share(at) * plot.width
        add(parent, "line", x1=x, x2=x, y1=plot.y, y2=plot.y + plot.height, stroke=colours.GRID)
        label(parent, text, x, plot.y + plot.height + 15, "middle")


def draw_marks(parent: Element, plot: Box, view: View, *, shaded: bool) -> None:
    """Draw the annotations of a page; Grafana shades their regions on time series only."""
    bottom = plot.y + plot.height
    for mark in view.marks:
        css = colours.colour(mark.colour)
        for start, end in mark.regions:
            left, right = (plot.x + view.times.share(at) * plot.width for at in (start, end))
            for x in {left, right}:
                add(parent, "line", x1=x, x2=x, y1=plot.y, y2=bottom, stroke=css, stroke_dasharray="4 4")
            if end > start:
                if shaded:
                    add(
                        parent, "rect", x=left, width=max(1.0, right - left), y=plot.y, height=plot.height, fill=css,
                        opacity="0.10",
                    )  # fmt: skip
                add(parent, "rect", x=left, width=max(1.0, right - left), y=bottom, height=4, fill=css)
            else:
                add(parent, "path", d=f"M{left - 4:.1f} {bottom + 5:.1f}h8l-4 -5Z", fill=css)


def swatch(parent: Element, css: str) -> None:
    """Add the coloured dash of a legend's entry."""
    add(
        parent, "span",
        style=f"display:inline-block;width:14px;height:4px;border-radius:2px;background:{css};margin-right:6px;"
        "vertical-align:middle",
    )  # fmt: skip
