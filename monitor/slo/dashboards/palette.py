"""The colours of all dashboards: one colour for one meaning.

Names are those of Grafana, which adapts them to its light and its dark theme.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.vocabulary import Condition, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GREEN: Final = "green"
"""Up, good, met."""

AMBER: Final = "semi-dark-yellow"
"""Degraded, a warning, an error budget that runs low: act today."""

ORANGE: Final = "semi-dark-orange"
"""Not accepting new connections; not recovered."""

RED: Final = "red"
"""Down, failed, lost, exhausted, critical."""

DARK_RED: Final = "dark-red"
"""Corrupted: worse than lost."""

BLUE: Final = "blue"
"""Maintenance, and what it excludes."""

UNKNOWN: Final = "purple"
"""Unknown, and missing data, which is never green."""

NEUTRAL: Final = "#8e8e99"
"""Objectives, thresholds, and what is neither good nor bad."""

DEPLOY: Final = "super-light-blue"
"""Deploys and changes of the configuration."""

TEXT: Final = "text"
"""A number without a judgement."""

CONDITIONS: Final[Mapping[Condition, str]] = {
    Condition.UP: GREEN,
    Condition.DEGRADED: AMBER,
    Condition.UNKNOWN: UNKNOWN,
    Condition.NOT_ACCEPTING: ORANGE,
    Condition.DOWN: RED,
}

SEVERITIES: Final[Mapping[str, str]] = {"critical": RED, "warning": AMBER, "info": NEUTRAL, "none": NEUTRAL}

OUTCOMES: Final[Mapping[str, str]] = {
    Outcome.OK: GREEN,
    Outcome.FAILED: RED,
    Outcome.ABORTED: NEUTRAL,
    Outcome.EXCLUDED: BLUE,
}

VERDICTS: Final[Mapping[str, str]] = {
    Verdict.DELIVERED: GREEN,
    Verdict.LATE: AMBER,
    Verdict.LOST: RED,
    Verdict.UNRECOVERED: ORANGE,
    Verdict.DUPLICATED: "light-blue",
    Verdict.REORDERED: "light-orange",
    Verdict.CORRUPTED: DARK_RED,
    Verdict.MISROUTED: "#e0559b",
}

RUNS: Final[Mapping[str, str]] = {"started": GREEN, "missed": RED, "skipped": AMBER}

QUANTILES: Final[Mapping[float, str]] = {0.5: "#7fcdbb", 0.9: "#41b6c4", 0.99: "#2c7fb8"}
"""One hue, darker for slower exchanges."""

DIRECTIONS: Final[Mapping[str, str]] = {"request": "#41b6c4", "response": "#c49c41"}

_LOCATIONS: Final = (
    "#5794f2", "#e0a458", "#59b5a3", "#c377e0", "#9fb84f", "#e07a8b", "#8aa0c8", "#b58863",
)  # fmt: skip


def of_locations(names: Sequence[str]) -> dict[str, str]:
    """Return the colour of each location; the order of the configuration decides, and after eight they repeat."""
    return {name: _LOCATIONS[index % len(_LOCATIONS)] for index, name in enumerate(names)}


def by_word(colours: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return `Panel.colours` for series whose legend begins with one of these words."""
    return tuple((rf"^{word}\b", colour) for word, colour in colours.items())
