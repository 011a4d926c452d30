"""The page that says which question each panel answers: `docs/dashboards.md`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.slo.dashboards.model import Board, Panel

_HEAD: Final = """\
# Dashboards

Generated from the configuration with `relay-monitor generate`; this page is, too. Import the files of `dashboards/`
into Grafana 11 or later, or let it read them from a folder, as `compose.yaml` does.

- **From a page to its cause**: the overview says whether it is broken, which relay and since when; a click on a relay
  opens its detail, the points on latency graphs are single runs, and lead to their timelines on the on-call page.
- **Silence is never green.** What has no data says so, in purple. Zero alerts are shown only while the rules are
  evaluated.
- **No objective is typed in**: objectives and thresholds are read from `relay_slo_*`, as they are in force, and what is
  kept of them is coloured by the budget that is left. Burn rates, and the days that a certificate lasts, are those at
  which alerts begin. What else has colours counts what should not be, or runs that are overdue.
- Quantiles need events. A P99 is drawn over the time in which a hundred of them come; probes that run rarely have
  longer steps.
- Points lead to runs where Grafana's Prometheus data source knows where exemplars go: name `run_id`, URL
  `<external_url>/runs/${__value.raw}`; and Prometheus keeps them with `--enable-feature=exemplar-storage`.
- `slo:*` needs Prometheus to keep as much as the longest window, 30 days; it keeps 15 unless told otherwise
  (`--storage.tsdb.retention.time=40d`).
- Every expression is asked of a real Prometheus that scrapes a real monitor, while all is well and after an outage:
  `.venv/bin/python -m pytest tests/slo/dashboards/test_expressions.py` prints how many answer, and why the others are
  empty.
- With `centrifugo_selector`, the detail of a relay has a row with its Centrifugo's own metrics, and marks its deploys.
"""


def page(boards: Sequence[Board]) -> bytes:
    """The page."""
    return ("\n".join([_HEAD, *(line for board in boards for line in _board(board))]).rstrip() + "\n").encode()


def _board(board: Board) -> Iterator[str]:
    yield f"## {board.title}"
    yield ""
    yield f"`dashboards/{board.file}`. {board.description}"
    yield ""
    yield "| row | panel | what it answers | empty while all is well |"
    yield "|---|---|---|---|"
    for row in board.rows:
        for panel in row.panels:
            yield f"| {row.title} | {panel.title} | {panel.description} | {_quiet(panel)} |"
    yield ""
    marks = ", ".join(event.name.lower() for event in board.events)
    yield f"Marked on every graph: {marks}."
    yield ""


def _quiet(panel: Panel) -> str:
    reasons = [query.quiet for query in panel.queries]
    if not any(reasons):
        return ""
    told = "; ".join(dict.fromkeys(reason for reason in reasons if reason))
    return told if all(reasons) else f"in part: {told}"
