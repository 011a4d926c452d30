"""An incident as Markdown, to begin a post-mortem with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from monitor.durations import duration
from monitor.incidents.text import VERDICTS, WORDS, summarize
from monitor.vocabulary import Condition

if TYPE_CHECKING:
    from datetime import datetime

    from monitor.incidents.incident import Incident

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>#|~!$&])")


def to_markdown(incident: Incident, *, now: datetime, seen_from: str = "", page_url: str = "") -> str:
    """Return the incident as Markdown. `seen_from` is where it was seen from, `page_url` the address of its page."""
    lines = [
        f"# Incident {incident.id}: {escaped(incident.relay)}",
        "",
        f"{escaped(_capital(summarize(incident, now)))}.",
        "",
        *_facts(incident, seen_from, page_url),
    ]
    if incident.causes:
        lines += ["", "## Causes", "", "| cause | failures | first | last | detail |", "|---|---:|---|---|---|"]
        lines += [
            f"| {escaped(cause.name)} | {cause.count} | {_clock(cause.first)} | {_clock(cause.last)} "
            f"| {escaped(cause.detail)} |"
            for cause in sorted(incident.causes, key=lambda cause: -cause.count)
        ]
    for title, counts in (("Probes", incident.probes), ("Endpoints", incident.endpoints)):
        if counts:
            lines += [
                "",
                f"## {title}",
                "",
                f"| {title.lower()[:-1]} | failures | first | last |",
                "|---|---:|---|---|",
            ]
            lines += [
                f"| {escaped(each.name)} | {each.count} | {_clock(each.first)} | {_clock(each.last)} |"
                for each in counts
            ]
    lines += ["", "## Time line (UTC)", ""]
    lines += [
        f"- {_clock(entry.at)} {escaped(entry.text)}{_run(entry.fields.get('runId'))}"
        for entry in sorted(incident.entries, key=lambda entry: entry.at)
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Return a text in one line without effect on the Markdown around it: a relay's words may be in it."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _facts(incident: Incident, seen_from: str, page_url: str) -> list[str]:
    closed = "open" if incident.closed_at is None else f"{_stamp(incident.closed_at)} ({incident.closed_because})"
    lasted = ", ".join(
        f"{WORDS[Condition(name)]} {duration(seconds)}" for name, seconds in incident.seconds.items() if seconds >= 1
    )
    messages = (
        ", ".join(f"{count} {VERDICTS.get(verdict, verdict)}" for verdict, count in incident.messages.items())
        or "none lost"
    )
    facts = {
        "Relay": escaped(incident.relay),
        "Seen from": escaped(seen_from),
        "First failure": _stamp(incident.began_at) if incident.has_failure else "",
        "Opened": _stamp(incident.opened_at),
        "Detected after": "" if incident.detection_seconds is None else duration(incident.detection_seconds),
        "Up again": "" if incident.recovered_at is None else _stamp(incident.recovered_at),
        "Closed": closed,
        "Conditions": lasted,
        "Attempts": f"{incident.failed_attempts} of {incident.attempts} failed" if incident.attempts else "",
        "Messages": messages,
        "In maintenance": duration(incident.maintenance_seconds) if incident.maintenance_seconds >= 1 else "",
        "No monitor ran": duration(incident.unobserved_seconds) if incident.unobserved_seconds >= 1 else "",
        "Page": page_url,
    }
    return [f"- {name}: {value}" for name, value in facts.items() if value]


def _run(run_id: object) -> str:
    return f" (run {run_id})" if isinstance(run_id, str) and run_id else ""


def _stamp(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def _clock(time: datetime) -> str:
    return f"{time:%H:%M:%S}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
