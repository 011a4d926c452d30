"""`docs/dashboards.md`: the question that each panel answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.slo.dashboards.model import Dashboard, Panel

_HEAD: Final = """\
# Dashboards

`relay-monitor generate` writes the dashboards and this page from the configuration. Import the files of `dashboards/`
into Grafana 11 or later, or provision them from a folder as `compose.yaml` does.

- **From a page to its cause**: the overview shows which relay is down and since when. A click on a relay opens its
  detail; points on latency graphs are single runs and link to their timelines on the on-call page.
- **Missing data is never green**: panels without data say so, in purple. Zero firing alerts are shown only while
  Prometheus evaluates the rules.
- **Objectives are not hard-coded**: objectives and thresholds in force are read from `relay_slo_*`, and SLIs are
  coloured by the remaining error budget. Lines of burn rates and colours of certificates start where alerts do.
- Quantiles need events: a P99 is calculated over the time of 100 events, and probes with a long interval have longer
  steps.
- Points link to runs if Grafana's Prometheus data source has an exemplar link with the label name `run_id` and the URL
  `<external_url>/runs/${__value.raw}`, and Prometheus runs with `--enable-feature=exemplar-storage`.
- `slo:*` requires a retention of the longest window, 30 days; Prometheus' default is 15 days
  (`--storage.tsdb.retention.time=40d`).
- A test runs every expression on a real Prometheus that scrapes a real monitor, before and after an outage:
  `.venv/bin/python -m pytest tests/slo/dashboards/test_expressions.py` prints which have no data, and why.
- The row of Centrifugo of the relay detail follows the selected relay: a hidden variable has its
  `centrifugo_selector`, a label of `relay_probe_relay_info`. Relays without a selector have no data there.
"""


def docs_page(boards: Sequence[Dashboard]) -> bytes:
    """Return the page."""
    return ("\n".join([_HEAD, *(line for board in boards for line in _board(board))]).rstrip() + "\n").encode()


def _board(board: Dashboard) -> Iterator[str]:
    yield f"## {board.title}"
    yield ""
    yield f"`dashboards/{board.file}`. {board.description}"
    yield ""
    yield "| row | panel | question | why it may be empty |"
    yield "|---|---|---|---|"
    for row in board.rows:
        for panel in row.panels:
            yield f"| {row.title} | {panel.title} | {panel.description} | {_empty_reasons(panel)} |"
    yield ""
    names = ", ".join(annotation.name.lower() for annotation in board.annotations)
    yield f"Annotations on every graph: {names}."
    yield ""


def _empty_reasons(panel: Panel) -> str:
    reasons = [query.empty_reason for query in panel.queries]
    if not any(reasons):
        return ""
    text = "; ".join(dict.fromkeys(reason for reason in reasons if reason))
    return text if all(reasons) else f"in part: {text}"
