"""Dashboards as values: rows of panels, each panel a question and the queries that answer it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from monitor.slo.dashboards.palette import AMBER, BLUE, GREEN, ORANGE, RED, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH: Final = 24
"""Columns of Grafana's grid."""

NO_DATA: Final = "no data"
"""Text of a panel without a result, unless that is good news."""


OBJECTIVE_PREFIX: Final = "objective"
"""Prefix of the legends of objectives and thresholds."""


class Kind(StrEnum):
    """Panel types; the values are Grafana's names."""

    STAT = "stat"
    TIME_SERIES = "timeseries"
    HEATMAP = "heatmap"
    STATE_TIMELINE = "state-timeline"
    TABLE = "table"


class Legend(StrEnum):
    """Where a graph has its legend."""

    NONE = "none"
    BOTTOM = "bottom"
    RIGHT = "right"
    """A list at the right, which has room for long names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A value with its text and colour; of a column of labels the value is the label's."""

    value: float | str
    text: str
    colour: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """All values from `first` to `last` with one text and colour; None is no limit."""

    first: float | None = None
    last: float | None = None
    text: str
    colour: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One PromQL expression.

    `window` is the shortest `$__rate_interval` in seconds: a rate of a probe that runs once a minute needs several
    minutes, a P99 a hundred events. Bars (`promql.events`) need none. `empty_reason` says why the query has no result
    while nothing fails; "" means that it must have one. `colour` is that of all its series.

    In a table, all from `column` on belongs to the query's value: `empty_text` is shown where a row has none, in the
    colour of missing data if it is the default; `hidden` values only sort, `filled` cells have the background of their
    colour.
    """

    expr: str
    legend: str = ""
    window: float = 0.0
    exemplars: bool = False
    empty_reason: str = ""
    colour: str = ""
    column: str = ""
    unit: str = ""
    decimals: int | None = None
    steps: tuple[tuple[float, str], ...] = ()
    states: tuple[State | Between, ...] = ()
    empty_text: str = NO_DATA
    filled: bool = False
    hidden: bool = False
    width: int | None = None
    align: str = ""
    links: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table that shows a label; `states` map its values to texts and colours, `wrap` wraps it."""

    label: str
    title: str = ""
    width: int | None = None
    states: tuple[State, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    empty_text: str = ""
    hidden: bool = False
    wrap: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A panel; its description is a question and a sentence about the answer.

    `steps` colour values from a number on; lower values have the colour of missing data. `threshold_lines` are drawn
    across the graph, for numbers that do not come from the configuration. Series whose legend starts with `objective`
    are objectives and thresholds, and drawn dashed in one neutral colour. `colours` gives series whose legend matches a
    pattern their colour. `no_value` is the text of a panel without a result. `sparkline` draws the past behind a
    number, `named` writes its legend above it, `text` shows the legend instead, `quiet` colours the number and not its
    background, `size` is that of its text in pixels. `log` makes the axis logarithmic. `links` are titles and URLs with
    Grafana's variables; `labels` are the columns of a table that show labels, `sort` the titles of the columns that
    sort it, the highest value first where it starts with a minus.
    """

    kind: Kind
    title: str
    description: str
    queries: tuple[Query, ...]
    unit: str = "short"
    width: int = 12
    height: int = 8
    states: tuple[State | Between, ...] = ()
    steps: tuple[tuple[float, str], ...] = ()
    threshold_lines: tuple[tuple[float, str], ...] = ()
    colours: tuple[tuple[str, str], ...] = ()
    stacked: bool = False
    bars: bool = False
    minimum: float | None = None
    maximum: float | None = None
    soft_minimum: float | None = None
    soft_maximum: float | None = None
    decimals: int | None = None
    link: tuple[str, str] | None = None
    links: tuple[tuple[str, str], ...] = ()
    labels: tuple[str | Column, ...] = ()
    sort: tuple[str, ...] = ()
    no_value: str = NO_DATA
    sparkline: bool = False
    named: bool = False
    text: bool = False
    quiet: bool = False
    size: int | None = None
    log: bool = False
    legend: Legend = Legend.BOTTOM


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of panels with a heading; the panels fill the width of the grid, line by line."""

    title: str
    panels: tuple[Panel, ...]
    collapsed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A dashboard variable: the values of the label `name` in the series `source`; `value` is the first selected.

    A `hidden` one has its first value, which follows other variables.
    """

    name: str
    label: str
    source: str
    several: bool = True
    value: str = ""
    hidden: bool = False

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
    """A dashboard; the links of one about one relay lead to that relay's pages. `range` is the first time range."""

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
    range: str = "now-3h"

    @property
    def is_of_one_relay(self) -> bool:
        """Whether the variable `relay` has one value."""
        return any(variable.name == "relay" and not variable.several for variable in self.variables)

    @property
    def panels(self) -> Iterator[Panel]:
        """Every panel, those of collapsed rows included."""
        return (panel for row in self.rows for panel in row.panels)

    def panel_id(self, title: str) -> int:
        """Return the id of a panel or row.

        It is derived from the title alone: new panels do not change other ids, and two titles of one id are found when
        they are written, not with the name of some install.
        """
        return zlib.crc32(f"{self.file}/{title}".encode()) % 1_000_000 + 1


__all__ = [
    "AMBER", "BLUE", "GREEN", "NO_DATA", "OBJECTIVE_PREFIX", "ORANGE", "RED", "UNKNOWN", "WIDTH", "Annotation",
    "Between", "Column", "Dashboard", "Kind", "Legend", "Panel", "Query", "Row", "State", "Variable",
]  # fmt: skip
