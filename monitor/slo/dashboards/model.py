"""Dashboards as values: rows of panels, each panel a question and the queries that answer it."""

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
"""Colour of missing data, which is never green."""


class Kind(StrEnum):
    """Panel types; the values are Grafana's names."""

    STAT = "stat"
    TIME_SERIES = "timeseries"
    HEATMAP = "heatmap"
    STATE_TIMELINE = "state-timeline"
    TABLE = "table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One PromQL expression.

    `window` is the shortest `$__rate_interval` in seconds: a rate of a probe that runs once a minute needs several
    minutes, a P99 a hundred events. `empty_reason` says why the query has no result while nothing fails; "" means that
    it must have one. In a table, `column`, `unit` and `steps` belong to the query's value.
    """

    expr: str
    legend: str = ""
    window: float = 0.0
    exemplars: bool = False
    empty_reason: str = ""
    column: str = ""
    unit: str = ""
    steps: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A value with its text and colour."""

    value: int
    text: str
    colour: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A panel; its description is a question and a sentence about the answer.

    `steps` colour values from a number on; lower values have the colour of missing data. `threshold_lines` are drawn
    across the graph, for numbers that do not come from the configuration. Series whose legend starts with `objective`
    are objectives and thresholds, and drawn dashed. `link` is a title and a URL with Grafana's variables; `labels` are
    the columns of a table that show labels.
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
    threshold_lines: tuple[tuple[float, str], ...] = ()
    stacked: bool = False
    bars: bool = False
    minimum: float | None = None
    maximum: float | None = None
    decimals: int | None = None
    link: tuple[str, str] | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of panels with a heading; the panels fill the width of the grid, line by line."""

    title: str
    panels: tuple[Panel, ...]
    collapsed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A dashboard variable: the values of the label `name` in the series `source`; `value` is the first selected."""

    name: str
    label: str
    source: str
    several: bool = True
    value: str = ""

    @property
    def query(self) -> str:
        """The query in Grafana's syntax."""
        return f"label_values({self.source}, {self.name})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """An annotation, drawn on every graph where the expression has a result."""

    name: str
    expr: str
    title: str
    text: str
    colour: str
    empty_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """A dashboard."""

    uid: str
    file: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    annotations: tuple[Annotation, ...]
    rows: tuple[Row, ...]
    scrape_interval: float
    external_url: str
    runbook_base_url: str
    range: str = field(default="now-3h")

    @property
    def panels(self) -> Iterator[Panel]:
        """Every panel, those of collapsed rows included."""
        return (panel for row in self.rows for panel in row.panels)

    def panel_id(self, title: str) -> int:
        """Return the id of a panel or row. It is derived from the title, so that new panels do not change other ids."""
        return zlib.crc32(f"{self.uid}/{title}".encode()) % 1_000_000 + 1
