"""An incident as Markdown, to begin a post-mortem with.

It is pasted where a text links and notifies: a relay's words must do neither.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from monitor.durations import duration
from monitor.incidents.text import VERDICTS, WORDS, summarize
from monitor.vocabulary import Condition

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from monitor.incidents.incident import Entry, Incident

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>#|~!$&])")

_ZERO_WIDTH_SPACE: Final = "\u200b"

_LINKED: Final = re.compile(r"(?<=@)(?=\w)|(?=://)|(?<=\bwww)(?=\.)|(?<=#)(?=\d)|(?<=<)(?=[!@#])", re.IGNORECASE)
"""Where names, addresses and numbers of issues are broken: escapes do not keep GitHub and Slack from linking these."""

_RECOGNIZED: Final = 40
"""Characters by which a relay's words are found in a text, where they may be cut off."""


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
        rows = [
            [
                escaped(cause.name),
                cause.count,
                _clock(cause.first),
                _clock(cause.last),
                code(cause.detail, in_table=True),
            ]
            for cause in sorted(incident.causes, key=lambda cause: -cause.count)
        ]
        lines += _table("Causes", ("cause", "failures", "first", "last", "detail"), rows)
    for title, counts in (("Probes", incident.probes), ("Endpoints", incident.endpoints)):
        if counts:
            rows = [[escaped(each.name), each.count, _clock(each.first), _clock(each.last)] for each in counts]
            lines += _table(title, (title.lower()[:-1], "failures", "first", "last"), rows)
    lines += ["", "## Time line (UTC)", ""]
    lines += [
        f"- {_clock(entry.at)} {_text(entry)}{_run(entry.fields.get('runId'))}"
        for entry in sorted(incident.entries, key=lambda entry: entry.at)
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Return a text in one line without effect on the Markdown around it, which links nothing and notifies nobody."""
    return _SPECIAL.sub(r"\\\1", _neutral(text))


def code(text: str, *, in_table: bool = False) -> str:
    """Return a relay's words as a code span in one line, or nothing without any."""
    text = _neutral(text)
    if not text:
        return ""
    if in_table:
        text = text.replace("|", r"\|")
    fence = "`" * (1 + max((len(found) for found in re.findall("`+", text)), default=0))
    space = " " if "`" in {text[0], text[-1]} else ""
    return f"{fence}{space}{text}{space}{fence}"


def _neutral(text: str) -> str:
    """Return a text in one line, with an invisible space inside everything that would become a link or a mention."""
    return _LINKED.sub(_ZERO_WIDTH_SPACE, " ".join(text.split()))


def _text(entry: Entry) -> str:
    """Return the text of an entry, with the relay's words, which are at its end in parentheses, as code."""
    detail = str(entry.fields.get("detail") or "")
    before, found, _ = entry.text.partition(f" ({detail[:_RECOGNIZED]}") if detail else (entry.text, "", "")
    return escaped(before) + (f" ({code(entry.text[len(before) + 2 :].removesuffix(')'))})" if found else "")


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Return a section with a table; its second column has numbers."""
    rule = "|".join("---:" if number == 1 else "---" for number in range(len(columns)))
    lines = [f"| {' | '.join(map(str, cells))} |" for cells in (columns, *rows)]
    return ["", f"## {title}", "", lines[0], f"|{rule}|", *lines[1:]]


def _facts(incident: Incident, seen_from: str, page_url: str) -> list[str]:
    closed = "open"
    if incident.closed_at is not None:
        closed = f"{_stamp(incident.closed_at)} ({escaped(incident.closed_because)})"
    lasted = ", ".join(
        f"{WORDS[Condition(name)]} {duration(seconds)}" for name, seconds in incident.seconds.items() if seconds >= 1
    )
    messages = (
        ", ".join(f"{count} {VERDICTS.get(verdict, verdict)}" for verdict, count in incident.messages.items())
        or "none lost"
    )
    detected = incident.detection_seconds
    verdict = _stamp(incident.opened_at) + (f" (detected after {duration(detected)})" if detected is not None else "")
    facts = {
        "Relay": escaped(incident.relay),
        "Location": escaped(seen_from),
        "First failure": _stamp(incident.began_at) if incident.has_failure else "",
        "Verdict": verdict,
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
