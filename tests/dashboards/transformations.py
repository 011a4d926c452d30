"""The rows of a table, from the results of its queries and the panel's transformations."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.dashboards.fields import Cell
    from tests.dashboards.frames import Response

Row = dict[str, "Cell"]


@dataclass(slots=True)
class Table:
    """Columns by their name in the result, their headings, and rows; `unknown` are transformations that are ignored."""

    columns: list[str] = field(default_factory=list)
    headings: dict[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def heading(self, column: str) -> str:
        """Return the heading of a column."""
        return self.headings.get(column, column)

    def column(self, name: str) -> str | None:
        """Return the column with this name or heading."""
        return next((column for column in self.columns if name in (column, self.heading(column))), None)


def table_of(panel: dict[str, Any], responses: Sequence[Response]) -> Table:
    """Return the table of a panel."""
    tables = [_of_response(response, several=len(panel["targets"]) > 1) for response in responses]
    table = tables[0] if tables else Table()
    for item in panel.get("transformations") or ():
        options = item.get("options") or {}
        match item["id"]:
            case "merge" | "joinByField" | "seriesToColumns":
                table = merged(tables)
            case "organize":
                _organize(table, options)
            case "filterFieldsByName":
                _filter(table, options.get("include") or {})
            case "sortBy":
                for order in reversed(options.get("sort", ())):
                    _sort(table, order["field"], descending=bool(order.get("desc")))
            case _:
                table.unknown.append(item["id"])
    for order in reversed((panel.get("options") or {}).get("sortBy") or ()):  # the first decides
        _sort(table, order["displayName"], descending=bool(order.get("desc")))
    return table


def _of_response(response: Response, *, several: bool) -> Table:
    value = f"Value #{response.target.get('refId', 'A')}" if several else "Value"
    labels = sorted({label for frame in response.frames for label in frame.labels})
    rows: list[Row] = [
        {"Time": frame.times[-1] * 1000, **frame.labels, value: frame.values[-1]}
        for frame in response.frames
        if frame.times
    ]
    # An response without rows has no columns, as Grafana's empty frames.
    return Table(["Time", *labels, value] if rows else [], rows=rows)


def merged(tables: Sequence[Table]) -> Table:
    """Return one table of several: rows that agree in all columns that every table has become one.

    A row that would overwrite another value stays a row of its own, as in Grafana.
    """
    filled = [table for table in tables if table.columns]
    made = Table(list(dict.fromkeys(column for table in filled for column in table.columns)))
    common = [column for column in made.columns if all(column in table.columns for table in filled)]
    if not common:
        return filled[0] if filled else made
    by_key: dict[tuple[Cell, ...], list[Row]] = {}
    for row in (row for table in filled for row in table.rows):
        rows = by_key.setdefault(tuple(row.get(name) for name in common), [])
        matches = [old for old in rows if all(old.get(name, value) == value for name, value in row.items())]
        for old in matches:
            old.update(row)
        if not matches:
            rows.append(dict(row))
            made.rows.append(rows[-1])
    return made


def _organize(table: Table, options: dict[str, Any]) -> None:
    hidden = options.get("excludeByName") or {}
    order = options.get("indexByName") or {}
    table.columns = sorted(
        (column for column in table.columns if not hidden.get(column)), key=lambda column: order.get(column, 99)
    )
    table.headings |= {name: text for name, text in (options.get("renameByName") or {}).items() if text}


def _filter(table: Table, include: dict[str, Any]) -> None:
    names = include.get("names") or []
    pattern = include.get("pattern")
    table.columns = [
        column
        for column in table.columns
        if column in names or table.heading(column) in names or (pattern and re.search(pattern.strip("/"), column))
    ]


def _sort(table: Table, name: str, *, descending: bool) -> None:
    column = table.column(name)
    if column is None:
        return
    present = [row for row in table.rows if row.get(column) is not None]
    absent = [row for row in table.rows if row.get(column) is None]
    present.sort(key=lambda row: _key(row[column]), reverse=descending)
    table.rows = present + absent


def _key(value: Cell) -> tuple[bool, float, str]:
    return (True, 0.0, value) if isinstance(value, str) else (False, value or 0.0, "")
