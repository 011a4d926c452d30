"""A panel's field settings: unit, thresholds, mappings and overrides, and the text and colour of a value."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.dashboards import colours
from tests.dashboards.units import formatted

if TYPE_CHECKING:
    from tests.dashboards.frames import Frame

Cell = str | float | None


@dataclass(frozen=True, slots=True)
class Field:
    """The settings of one series or column, with its overrides applied."""

    settings: dict[str, Any]

    @classmethod
    def of(cls, panel: dict[str, Any], name: str, ref: str = "") -> Field:
        """Return the settings of a series or column of a panel."""
        config = panel.get("fieldConfig") or {}
        settings = copy.deepcopy(config.get("defaults") or {})
        for override in config.get("overrides", ()):
            if _matches(override["matcher"], name, ref):
                for item in override["properties"]:
                    inner = settings
                    *path, last = item["id"].split(".")
                    for key in path:
                        inner = inner.setdefault(key, {})
                    inner[last] = item.get("value")
        return cls(settings)

    @property
    def custom(self) -> dict[str, Any]:
        """The settings of the kind of panel."""
        return self.settings.get("custom") or {}

    @property
    def unit(self) -> str | None:
        """The unit."""
        return self.settings.get("unit")

    @property
    def decimals(self) -> int | None:
        """The decimals, None for automatic ones."""
        return self.settings.get("decimals")

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The thresholds, the lowest first; the first has no value."""
        return (self.settings.get("thresholds") or {}).get("steps") or []

    def threshold_colour(self, value: float | None) -> str | None:
        """Return the name of the colour of a value."""
        found = None
        for step in self.steps:
            if step.get("value") is None or (value is not None and value >= step["value"]):
                found = step["color"]
        return found

    def mapped(self, value: Cell) -> tuple[str | None, str | None]:
        """Return the text and the colour that a value mapping gives, None where it gives none."""
        for mapping in self.settings.get("mappings") or ():
            result = _mapping(mapping, value)
            if result is not None:
                return result.get("text"), result.get("color")
        return None, None

    def text(self, value: Cell, now: float = 0.0) -> str:
        """Return the text of a value."""
        text, _ = self.mapped(value)
        if text is not None:
            return text
        if value is None:
            return str(self.settings.get("noValue", ""))
        return value if isinstance(value, str) else formatted(value, self.unit, self.decimals, now)

    def colour(self, value: Cell) -> str | None:
        """Return the CSS colour that a mapping, the fixed colour, or a threshold gives to a value."""
        _, name = self.mapped(value)
        if name is None:
            mode = self.settings.get("color") or {}
            if mode.get("mode") == "fixed":
                name = mode.get("fixedColor")
            elif not isinstance(value, str):
                name = self.threshold_colour(value)
        return None if name is None else colours.colour(name)

    def series_colour(self, frame: Frame, index: int) -> str:
        """Return the CSS colour of a series."""
        mode = self.settings.get("color") or {}
        match mode.get("mode"):
            case "fixed" | "shades":
                return colours.colour(mode.get("fixedColor"))
            case "thresholds":
                return colours.colour(self.threshold_colour(frame.reduced("lastNotNull")))
            case "palette-classic-by-name":
                return colours.by_name(frame.name)
        return colours.by_position(index)


def _matches(matcher: dict[str, Any], name: str, ref: str) -> bool:
    option: Any = matcher.get("options")
    match matcher["id"]:
        case "byName":
            return bool(name == option)
        case "byRegexp":
            return re.search(re.sub(r"^/|/[a-z]*$", "", option), name) is not None
        case "byFrameRefID":
            return bool(ref == option)
        case "byNames":
            return name in option["names"]
    return False


def _mapping(mapping: dict[str, Any], value: Cell) -> dict[str, Any] | None:
    """Return the result of a value mapping, None if it does not apply."""
    options = mapping["options"]
    match mapping["type"]:
        case "value":
            key = f"{value:g}" if isinstance(value, float) else value
            found: dict[str, Any] | None = options.get(key) if key is not None else None
            return found
        case "range":
            if not isinstance(value, float):
                return None
            low, high = options.get("from"), options.get("to")
            inside = (low is None or value >= low) and (high is None or value <= high)
            return options["result"] if inside else None
        case "special":
            is_it = ("null" in options["match"] and value is None) or (options["match"] == "empty" and value == "")
            return options["result"] if is_it else None
        case "regex":
            is_it = isinstance(value, str) and re.search(options["pattern"].strip("/"), value) is not None
            return options["result"] if is_it else None
    return None
