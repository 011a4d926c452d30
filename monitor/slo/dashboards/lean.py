"""What the dashboards lack with `metrics: {detail: lean}`: panels say so, and not that nothing happened."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from monitor.metrics.declared import DECLARED

if TYPE_CHECKING:
    from monitor.slo.dashboards.model import Dashboard, Panel

NOT_EXPORTED: Final = "not exported with detail: lean"

_NAMES: Final = "|".join(metric.name for metric in DECLARED if not metric.lean)
# Of failures it exports rate limits only, of runs those that started.
_MISSING: Final = re.compile(
    rf"\b(?:(?:{_NAMES})(?:_bucket|_sum|_count)?\{{|relay_probe_failures_total\{{"
    r'|relay_monitor_runs_total\{[^}]*result=~"missed\|skipped")'
)


def explained(board: Dashboard) -> Dashboard:
    """Return the dashboard with the reason in each panel all of whose series are not exported."""
    rows = (replace(row, panels=tuple(_explained(panel) for panel in row.panels)) for row in board.rows)
    return replace(board, rows=tuple(rows))


def _explained(panel: Panel) -> Panel:
    if not panel.queries or not all(_MISSING.search(query.expr) for query in panel.queries):
        return panel
    queries = tuple(replace(query, empty_reason=NOT_EXPORTED) for query in panel.queries)
    return replace(panel, queries=queries, no_value=NOT_EXPORTED)
