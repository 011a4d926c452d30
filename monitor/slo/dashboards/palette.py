"""The colours of all dashboards: one colour for one meaning.

Names are those of Grafana, which adapts them to its light and its dark theme.
"""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING, Final

from monitor.vocabulary import Condition, Outcome, Reason, Step, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

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

_NAMES: Final = ("#70b7e0", "#e0a458", "#59b5a3", "#d68fd6", "#b7b84f", "#e0a0a8", "#8f9fd0", "#b58863")
"""Colours without a meaning of their own, for relays, locations and probes."""

MAX_NAMES: Final = 24
"""Most names that have a colour of their own; Grafana derives those of more names from the names."""


def of_names(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return `Panel.colours` for series whose legend begins with a name, by the order of the configuration."""
    if len(names) > MAX_NAMES:
        return ()
    return tuple((f"^{name.replace('.', '[.]')}( |$)", _NAMES[index % len(_NAMES)]) for index, name in enumerate(names))


_STEP_HUES: Final[Mapping[Step, int]] = {
    Step.RESOLVE: 68, Step.PROXY: 40, Step.TCP: 28, Step.TLS: 345, Step.UPGRADE: 4, Step.HELLO: 320,
    Step.SUBSCRIBE: 295, Step.HISTORY: 52, Step.PUBLISH: 240, Step.DELIVER: 208, Step.ANSWER: 262,
    Step.HANDSHAKE: 168, Step.RESUME: 226, Step.RECOVER: 196, Step.HOLD: 182, Step.CLOSE: 15,
}  # fmt: skip
"""Degrees; connecting is warm, messaging is cold, and nothing is as green as success."""

_SHADES: Final[Sequence[tuple[Reason | None, float, Collection[Step]]]] = (
    (None, 0.6, tuple(Step)),
    (Reason.TIMEOUT, 0.78, tuple(Step)),
    (Reason.SILENT, 0.42, tuple(Step)),
    (Reason.UNRECOVERED, 0.7, (Step.DELIVER, Step.ANSWER, Step.RECOVER)),
    (Reason.DISCONNECTED, 0.52, (Step.DELIVER, Step.ANSWER, Step.HELLO)),
)
"""Lightness of a reason, None: of all others, at the steps where several reasons are common."""


def failures() -> tuple[tuple[str, str], ...]:
    """Return `Panel.colours` for failures by step and reason: a hue for each step, and shades of it for reasons."""
    return tuple(
        (rf"^{step} {reason}$" if reason else rf"^{step}\b", _hex(_STEP_HUES[step] / 360, lightness))
        for reason, lightness, steps in _SHADES
        for step in steps
    )


def _hex(hue: float, lightness: float) -> str:
    parts = colorsys.hls_to_rgb(hue, lightness, 0.7)
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts)


def by_word(colours: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return `Panel.colours` for series whose legend begins with one of these words."""
    return tuple((rf"^{word}\b", colour) for word, colour in colours.items())
