"""`docs/dashboards.md`: the question that each panel answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.slo.dashboards import palette

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.slo.dashboards.model import Dashboard, Panel

_HEAD: Final = """\
# Dashboards

What each panel of the four Grafana dashboards answers, how to import them, and what their colours mean. `relay-monitor
generate` writes the dashboards and this page from the configuration.

## Import

Import the files of `dashboards/` into Grafana 11 or later (**Dashboards → New → Import**), or provision them from a
folder as `compose.yaml` does. Choose the Prometheus that scrapes the monitors as data source.
[Pictures](dashboard-pictures.md) show them over relays in each kind of trouble.

- Prometheus needs the recording rules of `alerts/`. Without them the panels of SLOs say so, and the number of firing
  alerts is not 0 but unknown.
- `slo:*` requires a retention of the longest window, 30 days; Prometheus' default is 15 days
  (`--storage.tsdb.retention.time=40d`). An SLO whose window is longer than the data is marked *incomplete*.
- Points link to runs if Grafana's Prometheus data source has an exemplar link with the label name `run_id` and the URL
  `<external_url>/runs/${__value.raw}`, and Prometheus runs with `--enable-feature=exemplar-storage`.
- Dashboards of several installs live in one Grafana: uid, title and the first value of the variable `install` are those
  of the install.

## Read

- **Is something broken, which relay, since when, and can I trust the monitor?** The first screen of the overview: five
  numbers, and one table with a row for each relay, the worst first.
- **Links** keep install, location, data source and time range. The name of a relay leads to its detail, to its timeline
  on the on-call page and to its incidents; an alert leads to its runbook. On-call page, incidents and runbooks are
  links of every dashboard. The address of the on-call page is `alerts.external_url`.
- **Firing, muted, silenced**: an alert of a relay in maintenance is listed as *maintenance* and counts for no number.
  Silences are known to Alertmanager alone: a silenced alert is listed as it fires.
- **Missing data is never green**: panels without data say so, in purple. "none" and "no alert is firing" are shown only
  while Prometheus evaluates the rules of the selected install. With `metrics: {detail: lean}` a panel whose series are
  not exported says that.
- **Bars count each event once.** A bar is the difference of the counter over its own interval, so that the bars of a
  range add up to what the counter counted; a restart of the monitor and new series are included, and after failed
  scrapes, of five minutes at most, the next bar has their events. `increase` over `$__rate_interval` would count
  an event in several bars.
- **Annotations** are lines at the start of critical alerts and at deploys; only maintenance is a region.
- **Error budgets** end at −100 %, and are *exhausted* at 0 and below. An objective of 100 % has no budget: "–".
- **Objectives are not hard-coded**: objectives and thresholds in force are read from `relay_slo_*`. Lines of burn rates
  and colours of certificates start where alerts do. A latency threshold is drawn if the latency comes near to it.
- **Graphs show the worst**: of many relays, endpoints or causes those with most failures or the highest latency in the
  selected range; the others are one series, *other*.
- Quantiles need events: a P99 is calculated over the time of 100 events, and probes with a long interval have longer
  steps.
- The row of Centrifugo of the relay detail follows the selected relay: a hidden variable has its
  `centrifugo_selector`, a label of `relay_probe_relay_info`. Relays without a selector have no data there.

A test runs every expression on a real Prometheus that scrapes a real monitor, before and after an outage:
`.venv/bin/python -m pytest tests/slo/dashboards/test_expressions.py` prints which have no data, and why.

## Colours

One colour has one meaning on every dashboard.

"""


def _colours() -> Iterator[str]:
    yield "| colour | meaning |"
    yield "|---|---|"
    yield f"| {palette.GREEN} | up, good, met, healthy |"
    yield f"| {palette.AMBER} | degraded; a warning; an error budget under 25 %; late |"
    yield f"| {palette.ORANGE} | not accepting new connections; not recovered |"
    yield f"| {palette.RED} | down, failed, lost, exhausted; a critical alert |"
    yield f"| {palette.UNKNOWN} | unknown, no data, rules not evaluated |"
    yield f"| {palette.BLUE} | maintenance, and what it excludes |"
    yield f"| grey (`{palette.NEUTRAL}`) | objectives and thresholds; neither good nor bad |"
    quantiles = ", ".join(f"P{quantile * 100:.0f} `{colour}`" for quantile, colour in palette.QUANTILES.items())
    yield f"| {quantiles} | quantiles |"
    yield "| a colour of its own | each relay, location, probe, step and verdict, everywhere the same |"
    yield ""


def docs_page(boards: Sequence[Dashboard]) -> bytes:
    """Return the page."""
    lines = [_HEAD.rstrip(), "", *_colours(), *(line for board in boards for line in _board(board))]
    return ("\n".join(lines).rstrip() + "\n").encode()


def _board(board: Dashboard) -> Iterator[str]:
    yield f"## {board.title}"
    yield ""
    yield f"`dashboards/{board.file}`. {board.description}"
    yield ""
    yield "| row | panel | question | why it may be empty |"
    yield "|---|---|---|---|"
    for row in board.rows:
        for panel in row.panels:
            yield f"| {row.title or 'First screen'} | {panel.title} | {panel.description} | {_empty_reasons(panel)} |"
    yield ""
    names = ", ".join(annotation.name.lower() for annotation in board.annotations)
    if names:
        yield f"Annotations on every graph: {names}."
        yield ""


def _empty_reasons(panel: Panel) -> str:
    reasons = [query.empty_reason for query in panel.queries]
    if not any(reasons):
        return ""
    text = "; ".join(dict.fromkeys(reason for reason in reasons if reason))
    return text if all(reasons) else f"in part: {text}"
