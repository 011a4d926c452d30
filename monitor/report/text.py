"""A report as Markdown, JSON and CSV. Names of relays are those of the configuration; no text comes from a relay."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any, Final

from monitor.config import show_ratio
from monitor.durations import duration
from monitor.incidents.markdown import code
from monitor.report.model import MIN_COVERAGE, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.report.model import Attainment, MonthReport, ReportedIncident

COLUMNS: Final = (
    "month",
    "relay",
    "slo",
    "objective",
    "attainment",
    "verdict",
    "good",
    "bad",
    "budget_left",
    "coverage",
)


def to_markdown(report: MonthReport) -> str:
    """Return the report as Markdown."""
    return "\n".join(_markdown(report)) + "\n"


def to_json(report: MonthReport) -> str:
    """Return the report as JSON; names are in camel case, as those of the API."""
    period = report.period
    data: dict[str, Any] = {
        "install": report.install,
        "month": period.name,
        "start": period.start.isoformat(),
        "end": period.end.isoformat(),
        "complete": period.complete,
        "source": report.source,
        "slos": [
            {
                "relay": each.relay,
                "slo": each.slo,
                "objective": float(each.objective),
                "attainment": _rounded(each.ratio),
                "verdict": each.verdict.value,
                "good": round(each.good),
                "bad": round(each.bad),
                "budgetLeft": _rounded(each.budget_left),
                "coverage": _rounded(each.coverage),
            }
            for each in report.attainments
        ],
        "exchanges": None
        if report.exchanges is None
        else {
            relay: {outcome: round(count) for outcome, count in sorted(exchanges.counts.items())}
            for relay, exchanges in report.exchanges.items()
        },
        "incidents": None if report.incidents is None else [_incident(each) for each in report.incidents],
    }
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def to_csv(report: MonthReport) -> str:
    """Return the attainments as CSV, a row each."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for each in report.attainments:
        writer.writerow(
            [
                report.period.name,
                each.relay,
                each.slo,
                f"{each.objective:f}",
                _optional(each.ratio),
                each.verdict.value,
                round(each.good),
                round(each.bad),
                _optional(each.budget_left),
                f"{each.coverage:.4f}",
            ]
        )
    return file.getvalue()


def _markdown(report: MonthReport) -> Iterator[str]:
    period = report.period
    yield f"# Service levels of {report.install}, {period.name}"
    yield ""
    until = "" if period.complete else f", until {period.end:%Y-%m-%d %H:%M} UTC"
    yield f"{_summary(report)} Source: {report.source}{until}."
    yield ""
    yield "| relay | SLO | objective | attainment | budget left | bad events | coverage | verdict |"
    yield "|---|---|---:|---:|---:|---:|---:|---|"
    for each in sorted(report.attainments, key=_order):
        names = f"{code(each.relay, in_table=True)} | {each.slo} | {show_ratio(each.objective)}"
        yield f"| {names} | {' | '.join(_figures(each))} |"
    yield ""
    yield "Attainment is good events / all events, over all locations and probes. Coverage is runs made / runs due;"
    yield f"below {MIN_COVERAGE:.0%} the figures say too little about the month."
    yield ""
    yield from _exchanges(report)
    yield from _incidents(report)


def _summary(report: MonthReport) -> str:
    counts = {verdict: sum(each.verdict is verdict for each in report.attainments) for verdict in Verdict}
    return f"{', '.join(f'{count} {verdict.value}' for verdict, count in counts.items())}."


def _order(each: Attainment) -> tuple[int, float]:
    """Missed objectives first, then those with the least budget left."""
    ranks = (Verdict.MISSED, Verdict.INSUFFICIENT, Verdict.MET)
    return ranks.index(each.verdict), each.budget_left if each.budget_left is not None else 1.0


def _figures(each: Attainment) -> Iterator[str]:
    yield "–" if each.ratio is None else f"{each.ratio:.4%}"
    yield "–" if each.budget_left is None else f"{each.budget_left:.1%}"
    yield f"{each.bad:.0f}"
    yield f"{each.coverage:.1%}"
    yield f"**{each.verdict.value}**" if each.verdict is Verdict.MISSED else each.verdict.value


def _exchanges(report: MonthReport) -> Iterator[str]:
    yield "## Exchanges"
    yield ""
    if report.exchanges is None:
        yield "With `metrics: {detail: lean}` the monitors do not count those that succeed. Runs that were missed or"
        yield "skipped are not counted either: coverage is the time that was observed."
        yield ""
        return
    yield "| relay | ok | failed | excluded by maintenance | aborted by the monitor |"
    yield "|---|---:|---:|---:|---:|"
    for relay, exchanges in report.exchanges.items():
        ok, failed = (f"{exchanges.counts.get(outcome, 0.0):.0f}" for outcome in ("ok", "failed"))
        shares = " | ".join(f"{exchanges.share(outcome):.2%}" for outcome in ("excluded", "aborted"))
        yield f"| {code(relay, in_table=True)} | {ok} | {failed} | {shares} |"
    yield ""


def _incidents(report: MonthReport) -> Iterator[str]:
    yield "## Incidents"
    yield ""
    if report.incidents is None:
        yield "No monitor was asked for them (`--monitor`)."
        return
    if not report.incidents:
        yield "None."
        return
    yield "| incident | seen by | relay | first failure (UTC) | detected after | repaired after | what |"
    yield "|---|---|---|---|---:|---:|---|"
    for each in report.incidents:
        incident, repair = each.incident, each.repair_seconds
        detection = incident.detection_seconds
        cells = (
            incident.id,
            code(each.monitor, in_table=True),
            code(incident.relay, in_table=True),
            f"{incident.began_at:%Y-%m-%d %H:%M:%S}",
            "–" if detection is None else duration(detection),
            "open" if repair is None else duration(repair),
            code(incident.sentence, in_table=True),
        )
        yield f"| {' | '.join(cells)} |"


def _incident(reported: ReportedIncident) -> dict[str, Any]:
    incident, repair = reported.incident, reported.repair_seconds
    return {
        "id": incident.id,
        "monitor": reported.monitor,
        "relay": incident.relay,
        "worst": incident.worst.value,
        "beganAt": incident.began_at.isoformat(),
        "openedAt": incident.opened_at.isoformat(),
        "recoveredAt": None if incident.recovered_at is None else incident.recovered_at.isoformat(),
        "detectionSeconds": incident.detection_seconds,
        "repairSeconds": None if repair is None else round(repair, 3),
        "sentence": incident.sentence,
    }


def _optional(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.6f}"


def _rounded(ratio: float | None) -> float | None:
    return None if ratio is None else round(ratio, 6)
