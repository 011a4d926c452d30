"""Heat maps of the buckets of a histogram."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tests.dashboards import colours
from tests.dashboards.markup import Box, Drawn, View, add, draw_marks, label, no_data, node, svg, text_width, time_axis
from tests.dashboards.units import fixed, formatted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from xml.etree.ElementTree import Element

    from tests.dashboards.frames import Frame, Response
    from tests.dashboards.markup import Size

KEY_HEIGHT = 40


def draw_heatmap(panel: dict[str, Any], responses: Sequence[Response], size: Size, view: View) -> Drawn:
    """Draw a panel's body."""
    width, height = size
    frames = sorted((frame for response in responses for frame in response.frames if "le" in frame.labels), key=_edge)
    cells = list(_cells(frames))
    if not cells:
        return no_data(panel)
    options = panel.get("options") or {}
    has_key = bool((options.get("legend") or {}).get("show"))
    unit = (options.get("yAxis") or {}).get("unit")
    names = ["+Inf" if math.isinf(_edge(frame)) else formatted(_edge(frame), unit) for frame in frames]
    left = max(text_width(name) for name in names) + 18
    box = Box(left, 4, width - left - 16, height - 26 - (KEY_HEIGHT if has_key else 0))
    row = box.height / len(frames)
    element = svg(Box(0, 0, width, height))
    time_axis(element, box, view.times)
    for index in range(0, len(names), max(1, math.ceil(20 / row))):
        label(element, names[index], left - 8, box.y + box.height - (index + 1) * row + 4, "end")
    most = max(count for _, _, count in cells)
    for at, index, count in cells:
        x1, x2 = (left + view.times.share(time) * box.width for time in (at - frames[0].step, at))
        shade = min(len(colours.HEAT) - 1, int(count / most * (len(colours.HEAT) - 0.001)))
        add(
            element, "rect", x=x1, width=max(1.0, x2 - x1 - 1), y=box.y + box.height - (index + 1) * row,
            height=max(1.0, row - 1), fill=colours.HEAT[shade],
        )  # fmt: skip
    draw_marks(element, box, view, shaded=False)
    if has_key:
        _key(element, left, height - KEY_HEIGHT, most)
    body = node("div")
    body.append(element)
    used = {index for _, index, _ in cells}
    return Drawn(
        body, complaints=[f"{len(used)} of {len(frames)} lines are used"] if 4 * len(used) < len(frames) else []
    )


def _edge(frame: Frame) -> float:
    return float(frame.labels["le"].replace("+Inf", "inf"))


def _cells(frames: Sequence[Frame]) -> Iterator[tuple[float, int, float]]:
    """Yield time, line and count of each cell that is not empty: a bucket less the one below it."""
    below: dict[float, float] = {}
    for index, frame in enumerate(frames):
        counts = {at: value or 0.0 for at, value in zip(frame.times, frame.values, strict=True)}
        for at, count in counts.items():
            if count - below.get(at, 0.0) > 1e-9:
                yield at, index, count - below.get(at, 0.0)
        below = counts


def _key(element: Element, left: float, y: float, most: float) -> None:
    for index, css in enumerate(colours.HEAT):
        add(element, "rect", x=left + index * 24, y=y + 8, width=24, height=8, fill=css)
    label(element, "0", left, y + 30)
    label(element, fixed(most, 1), left + len(colours.HEAT) * 24, y + 30, "end")
