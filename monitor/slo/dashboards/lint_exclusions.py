"""The `.lint` file of dashboard-linter: rules that panels may break, with reasons."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.slo.dashboards.model import Dashboard, Panel, Query

_HEAD: Final = "# Exclusions for dashboard-linter, with reasons. Generated with the dashboards.\n"
_METRIC: Final = re.compile(r"\b(slo:[a-z_:0-9]+|relay:[a-z_:]+|ALERTS(?:_FOR_STATE)?)")
_REASONS: Final = {
    "slo:": "recorded over all jobs and instances of a location: the series has neither label",
    "relay:": "recorded over all jobs, instances and locations: the series has neither label",
    "ALERTS": "written by Prometheus for rules that have neither label",
}
_ONCE: Final = re.compile(r"_total\{[^}]*\}(?:\[5m\])? offset \$__interval")
_ONCE_REASON: Final = (
    "bars count each event once: the difference of the counter over one step. Rates over $__rate_interval overlap, and "
    "add up to a multiple of the events"
)
_OF_A_TEST: Final = re.compile(r"\(relay_load_[a-z_]+_total\{[^}]*\}\)")
_OF_A_TEST_REASON: Final = "a load test counts from 0: its counters are the totals of the test, as in its report"
_VARIABLE_MATCHERS: Final = re.compile(r"\{\$\{\w+:raw\}")
_VARIABLE_REASON: Final = (
    "a variable stands for the matchers of the selected relay's Centrifugo, its centrifugo_selector: the linter cannot "
    "parse that"
)


def exclusions(boards: Sequence[Dashboard]) -> bytes:
    """Return the file."""
    elsewhere = {"entries": list(_elsewhere(boards))}
    rules = {
        "target-promql-rule": {"entries": list(_unparsed(boards))},
        "target-job-rule": elsewhere,
        "target-instance-rule": elsewhere,
        "target-counter-agg-rule": {"entries": list(_bars(boards))},
    }
    return (_HEAD + yaml.dump({"exclusions": rules}, Dumper=_Dumper, sort_keys=False, width=120)).encode()


def _unparsed(boards: Sequence[Dashboard]) -> Iterator[dict[str, str]]:
    for board, panel, index, query in _queries(boards):
        if _VARIABLE_MATCHERS.search(query.expr):
            yield _entry(board, panel, index, _VARIABLE_REASON)


def _elsewhere(boards: Sequence[Dashboard]) -> Iterator[dict[str, str]]:
    """Yield the queries with series that have no job and instance of a monitor."""
    for board, panel, index, query in _parsed(boards):
        names = _METRIC.findall(query.expr)
        reasons = [reason for prefix, reason in _REASONS.items() if any(n.startswith(prefix) for n in names)]
        if reasons:
            yield _entry(board, panel, index, "; ".join(reasons))


def _bars(boards: Sequence[Dashboard]) -> Iterator[dict[str, str]]:
    for board, panel, index, query in _parsed(boards):
        if _ONCE.search(query.expr):
            yield _entry(board, panel, index, _ONCE_REASON)
        elif _OF_A_TEST.search(query.expr):
            yield _entry(board, panel, index, _OF_A_TEST_REASON)


def _parsed(boards: Sequence[Dashboard]) -> Iterator[tuple[Dashboard, Panel, int, Query]]:
    return (found for found in _queries(boards) if not _VARIABLE_MATCHERS.search(found[3].expr))


def _queries(boards: Sequence[Dashboard]) -> Iterator[tuple[Dashboard, Panel, int, Query]]:
    for board in boards:
        for panel in board.panels:
            for index, query in enumerate(panel.queries):
                yield board, panel, index, query


def _entry(board: Dashboard, panel: Panel, index: int, reason: str) -> dict[str, str]:
    return {"dashboard": board.title, "panel": panel.title, "targetIdx": str(index), "reason": reason}


class _Dumper(yaml.SafeDumper):
    """Writes no aliases: the entries are written for each rule."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        """Called by PyYAML."""
        return True
