"""Colours: Grafana's names, its palettes, and the colours of the dark theme."""

from __future__ import annotations

from typing import Final

BACKGROUND: Final = "#111217"
PANEL: Final = "#181b1f"
BORDER: Final = "#2b2d33"
TEXT: Final = "#ccccdc"
WEAK: Final = "#9a9ba7"
LINK: Final = "#6e9fff"
GRID: Final = "rgba(204,204,220,0.09)"

_HUES: Final = {
    "green": ("#C8F2C2", "#96D98D", "#73BF69", "#56A64B", "#37872D"),
    "yellow": ("#FFF899", "#FFEE52", "#FADE2A", "#F2CC0C", "#E0B400"),
    "red": ("#FFA6B0", "#FF7383", "#F2495C", "#E02F44", "#C4162A"),
    "blue": ("#C0D8FF", "#8AB8FF", "#5794F2", "#3274D9", "#1F60C4"),
    "orange": ("#FFCB7D", "#FFB357", "#FF9830", "#FF780A", "#FA6400"),
    "purple": ("#DEB6F2", "#CA95E5", "#B877D9", "#A352CC", "#8F3BB8"),
}
_SHADES: Final = ("super-light-", "light-", "", "semi-dark-", "dark-")
_NAMED: Final = {
    f"{shade}{hue}": colour for hue, colours in _HUES.items() for shade, colour in zip(_SHADES, colours, strict=True)
} | {"text": TEXT, "transparent": "rgba(0,0,0,0)", "gray": "#808080", "white": "#ffffff", "black": "#000000"}

PALETTE: Final = (
    "green", "semi-dark-yellow", "light-blue", "semi-dark-orange", "red", "blue", "purple", "#705DA0", "dark-green",
    "yellow", "#447EBC", "#C15C17", "#890F02", "#0A437C", "#6D1F62", "#584477", "#B7DBAB", "#F4D598", "#70DBED",
    "#F9BA8F", "#F29191", "#82B5D8", "#E5A8E2", "#AEA2E0", "#629E51", "#E5AC0E", "#64B0C8", "#E0752D", "#BF1B00",
    "#0A50A1", "#962D82", "#614D93",
)  # fmt: skip
"""Colours of series by their position."""

HEAT: Final = (
    "#7f2704", "#a63603", "#d94801", "#f16913", "#fd8d3c", "#fdae6b", "#fdd0a2", "#fee6ce", "#fff5eb",
)  # fmt: skip
"""The scheme Oranges on a dark background, from few to many."""

_MIN_CONTRAST: Final = 3.0


def colour(name: str | None) -> str:
    """Return the CSS colour of one of Grafana's names; other texts are CSS colours already."""
    return _NAMED.get(name, name) if name else "#808080"


def luminance(css: str) -> float:
    """Return the relative luminance of a colour such as #73BF69 (WCAG 2); 0 for other notations."""
    if not css.startswith("#"):
        return 0.0
    parts = (int(css[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def readable_on(css: str) -> str:
    """Return the colour of text on a coloured background."""
    return "#202226" if luminance(css) > 0.45 else "#ffffff"


def by_position(index: int) -> str:
    """Return the colour of the series at a position."""
    return colour(PALETTE[index % len(PALETTE)])


def by_name(name: str) -> str:
    """Return the colour of a series with a name, among those that are visible on a panel."""
    dark = luminance(PANEL) + 0.05
    visible = [item for item in map(colour, PALETTE) if (luminance(item) + 0.05) / dark >= _MIN_CONTRAST]
    return visible[_hash(name) % len(visible)]


def _hash(text: str) -> int:
    value = 5381
    for letter in reversed(text):
        value = ((value * 33) & 0xFFFFFFFF) ^ ord(letter)
    return value
