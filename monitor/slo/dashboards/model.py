"""What a dashboard says, as values: questions, the queries that answer them, and how an answer is drawn."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH: Final = 24
"""Columns of Grafana's grid."""

GREEN: Final = "green"
AMBER: Final = "orange"
RED: Final = "red"
BLUE: Final = "blue"
UNKNOWN: Final = "purple"
"""The colour of silence, which is never green."""


class Kind(StrEnum):
    """How an answer is drawn; the values are the names of Grafana's panels."""

    STAT = "stat"
    LINES = "timeseries"
    HEATMAP = "heatmap"
    STATES = "state-timeline"
    TABLE = "table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One PromQL expression.

    `window`, in seconds, is the least that `$__rate_interval` may be: probes that run once a minute need some minutes
    for a rate, and a P99 needs a hundred events. `quiet` says why it gives nothing while all is well; empty: it must
    give something. In a table, `column`, `unit` and `steps` are those of its value.
    """

    expr: str
    legend: str = ""
    window: float = 0.0
    exemplars: bool = False
    quiet: str = ""
    column: str = ""
    unit: str = ""
    steps: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a value means: its word and its colour."""

    value: int
    word: str
    colour: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A question, which is the description, and its answer.

    `steps` colour values from a number on; below the first it is the colour of silence. `rules` are lines drawn
    across, at numbers that are the method's and not the configuration's. Series whose legend begins with `limit`
    are objectives and thresholds, and drawn dashed. `link` is a URL with Grafana's variables; `labels` are the columns
    of a table that come from labels.
    """

    kind: Kind
    title: str
    description: str
    queries: tuple[Query, ...]
    unit: str = "short"
    width: int = 12
    height: int = 8
    states: tuple[State, ...] = ()
    steps: tuple[tuple[float, str], ...] = ()
    rules: tuple[tuple[float, str], ...] = ()
    stacked: bool = False
    bars: bool = False
    least: float | None = None
    most: float | None = None
    decimals: int | None = None
    link: tuple[str, str] | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of panels under one heading; their widths fill the grid, line by line."""

    title: str
    panels: tuple[Panel, ...]
    collapsed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A choice at the top, out of the values that a label has in `source`."""

    name: str
    label: str
    source: str
    several: bool = True

    @property
    def query(self) -> str:
        """The query, as Grafana writes it."""
        return f"label_values({self.source}, {self.name})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A mark on every graph, wherever the expression gives something."""

    name: str
    expr: str
    title: str
    text: str
    colour: str
    quiet: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A dashboard."""

    uid: str
    file: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    events: tuple[Event, ...]
    rows: tuple[Row, ...]
    scrape_interval: float
    external_url: str
    runbook_base_url: str
    range: str = field(default="now-3h")

    @property
    def panels(self) -> Iterator[Panel]:
        """Every panel, also those of collapsed rows."""
        return (panel for row in self.rows for panel in row.panels)

    def number(self, title: str) -> int:
        """The id of a panel or row: it follows from the title, so that another one beside it does not change it."""
        return zlib.crc32(f"{self.uid}/{title}".encode()) % 1_000_000 + 1
