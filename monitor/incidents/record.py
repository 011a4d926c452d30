"""Add to an incident, within its limits. Each function returns a new incident."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from monitor.durations import duration
from monitor.incidents.incident import (
    MAX_CAUSES,
    MAX_ENTRIES,
    MAX_NAMES,
    MAX_TEXT,
    CauseCount,
    Entry,
    EntryKind,
    Failed,
    FailureCount,
    Incident,
)
from monitor.incidents.text import VERDICTS, WORDS
from monitor.vocabulary import cause_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from monitor.incidents.incident import Value
    from monitor.vocabulary import Condition

KEPT_FIRST: Final = 100
"""Entries at the beginning that are always kept: how it began is needed most."""

COALESCE_SECONDS: Final = 60.0
"""Messages with the same verdict that are judged within this many seconds share an entry."""

OTHERS: Final = "(others)"

_ENDS_ATTEMPTS: Final = frozenset(
    {EntryKind.OPENED, EntryKind.REOPENED, EntryKind.CONDITION, EntryKind.DELIVERED, EntryKind.GAP}
)
"""Entries after which attempts that fail have an entry of their own."""

_Counted = TypeVar("_Counted", CauseCount, FailureCount)


def shorten(text: str) -> str:
    """Return a text of at most `MAX_TEXT` characters in one line: a relay's words are part of it."""
    text = "".join(char if char.isprintable() else " " for char in text[: MAX_TEXT + 1])
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def add_entry(incident: Incident, entry: Entry) -> Incident:
    """Add an entry; beyond the limit one entry in the middle stands for those that are not kept."""
    entry = replace(entry, text=shorten(entry.text))
    entries = (*incident.entries, entry)
    if len(entries) > MAX_ENTRIES:
        kept_from = len(entries) - (MAX_ENTRIES - KEPT_FIRST - 1)
        omitted = _omitted(entries[KEPT_FIRST:kept_from])
        entries = (*entries[:KEPT_FIRST], omitted, *entries[kept_from:])
    return replace(incident, entries=entries, updated_at=entry.at)


def new_incident(id_: str, relay: str, began_at: datetime, now: datetime, condition: Condition) -> Incident:
    """Return an incident that opens now, without entries."""
    return Incident(
        id=id_, relay=relay, began_at=began_at, opened_at=now, updated_at=now, condition=condition, worst=condition
    )


def reopened(incident: Incident, condition: Condition) -> Incident:
    """Open a closed incident again."""
    return replace(
        incident,
        closed_at=None,
        closed_because="",
        recovered_at=None,
        reopened=incident.reopened + 1,
        in_maintenance=False,
        condition=condition,
    )


def condition_texts(
    condition: Condition, before: Condition, lasted: float, why: str, *, since: datetime
) -> tuple[str, dict[str, Value]]:
    """Return the text and the fields of an entry about another condition; the one before lasted some seconds."""
    after = f" after {duration(lasted)} {WORDS[before]}" if lasted >= 1 else ""
    text = f"Relay is {WORDS[condition]}{after}" + (f": {why}" if why else ".")
    fields: dict[str, Value] = {"condition": condition.value, "before": before.value, "seconds": round(lasted, 3)}
    if why:
        fields["why"] = shorten(why)
    return text, fields | {"since": since.isoformat()}


def closed(incident: Incident, at: datetime, because: str) -> Incident:
    """Close an incident."""
    entry = Entry(at, EntryKind.CLOSED, f"Closed: {because}.")
    return add_entry(replace(incident, closed_at=at, closed_because=because, in_maintenance=False), entry)


def _omitted(entries: tuple[Entry, ...]) -> Entry:
    """Return the entry that stands for these, the first of which may stand for others itself."""
    count = sum(int(entry.fields["count"] or 0) if entry.kind is EntryKind.OMITTED else 1 for entry in entries)
    since = entries[0].fields.get("since") if entries[0].kind is EntryKind.OMITTED else entries[0].at.isoformat()
    text = f"{count} entries until here are not kept."
    return Entry(entries[-1].at, EntryKind.OMITTED, text, {"count": count, "since": since})


def with_seconds(seconds: Mapping[str, float], condition: Condition, more: float) -> dict[str, float]:
    """Return how long each condition lasted, with some more seconds of one."""
    return {**seconds, condition.value: seconds.get(condition.value, 0.0) + more}


def add_failure(incident: Incident, failed: Failed) -> Incident:
    """Count a failure by cause, probe and endpoint, with an entry for the first of each.

    Attempts with one cause while one condition lasts share an entry.
    """
    causes, new_cause = _counted_cause(incident.causes, failed)
    probes, new_probe = incident.probes, False
    endpoints, new_endpoint = incident.endpoints, False
    if failed.probe is not None:
        probes, new_probe = _counted_name(probes, failed.probe, failed.at, failed.run_id)
    if failed.endpoint:
        endpoints, new_endpoint = _counted_name(endpoints, shorten(failed.endpoint), failed.at, failed.run_id)
    incident = replace(
        incident,
        causes=causes,
        probes=probes,
        endpoints=endpoints,
        began_at=min(incident.began_at, failed.at) if incident.opened_at >= failed.at else incident.began_at,
    )
    if failed.probe is None and (index := _entry_of_attempts(incident, failed)) is not None:
        counted = _with_attempt(incident.entries[index], failed)
        return replace(incident, entries=(*incident.entries[:index], counted, *incident.entries[index + 1 :]))
    if failed.probe is None or new_cause or new_probe or new_endpoint:
        return add_entry(incident, _failure_entry(failed))
    return incident


def _entry_of_attempts(incident: Incident, failed: Failed) -> int | None:
    """Return the index of the entry for attempts that failed likewise since the condition changed; None without one."""
    origin = {"probe": None, "step": failed.step, "reason": failed.reason}
    origin |= {"status": shorten(failed.status), "endpoint": shorten(failed.endpoint)}
    for index in range(len(incident.entries) - 1, -1, -1):
        entry = incident.entries[index]
        if entry.kind in _ENDS_ATTEMPTS:
            return None
        if entry.kind is EntryKind.FAILED and origin.items() <= entry.fields.items():
            return index
    return None


def _with_attempt(entry: Entry, failed: Failed) -> Entry:
    """Return an entry for attempts that counts one more."""
    count = int(entry.fields.get("count") or 1) + 1
    last = max(failed.at, entry.at)
    what = f"{count} attempts"
    fields = {**entry.fields, "count": count, "last": last.isoformat()}
    return replace(
        entry, text=shorten(_failure_text(what, fields, f"; the last at {last:%H:%M:%S} UTC")), fields=fields
    )


def add_messages(incident: Incident, at: datetime, verdict: str, count: int, run_id: str) -> Incident:
    """Count messages with a bad verdict, in one entry a minute."""
    incident = replace(incident, messages={**incident.messages, verdict: incident.messages.get(verdict, 0) + count})
    last = incident.entries[-1] if incident.entries else None
    if (
        last is not None
        and last.kind is EntryKind.MESSAGES
        and last.fields.get("verdict") == verdict
        and 0 <= (at - last.at).total_seconds() < COALESCE_SECONDS
    ):
        count += int(last.fields["count"] or 0)
        merged = replace(last, text=_messages(verdict, count), fields={**last.fields, "count": count})
        return replace(incident, entries=(*incident.entries[:-1], merged), updated_at=at)
    fields: dict[str, Value] = {"verdict": verdict, "count": count, "runId": run_id}
    return add_entry(incident, Entry(at, EntryKind.MESSAGES, _messages(verdict, count), fields))


def _messages(verdict: str, count: int) -> str:
    word = VERDICTS.get(verdict, verdict)
    return f"{count} message{'s' * (count > 1)} {word}."


def _failure_entry(failed: Failed) -> Entry:
    fields: dict[str, Value] = {
        "step": failed.step,
        "reason": failed.reason,
        "status": shorten(failed.status),
        "probe": failed.probe,
        "endpoint": shorten(failed.endpoint),
        "detail": shorten(failed.detail),
        "runId": failed.run_id,
    }
    what = "Attempt" if failed.probe is None else f"Run of {failed.probe}"
    return Entry(failed.at, EntryKind.FAILED, _failure_text(what, fields), fields)


def _failure_text(what: str, fields: Mapping[str, Value], last: str = "") -> str:
    """Return the text of an entry; the relay's own words are at its end, in parentheses."""
    cause = cause_name(str(fields["step"]), str(fields["reason"]), str(fields["status"]))
    where = f" at {fields['endpoint']}" if fields["endpoint"] else ""
    detail = f" ({fields['detail']})" if fields.get("detail") else ""
    return f"{what} failed: {cause}{where}{last}{detail}"


def _counted_cause(causes: tuple[CauseCount, ...], failed: Failed) -> tuple[tuple[CauseCount, ...], bool]:
    for index, known in enumerate(causes):
        if (known.step, known.reason, known.status) == (failed.step, failed.reason, shorten(failed.status)):
            return _with(causes, index, _increased(known, failed.at)), False
    if len(causes) >= MAX_CAUSES:
        others = replace(causes[-1], step=OTHERS, reason="", status="", detail="", run_id="")
        return _with(causes, MAX_CAUSES - 1, _increased(others, failed.at)), False
    new = CauseCount(
        step=failed.step,
        reason=failed.reason,
        status=shorten(failed.status),
        detail=shorten(failed.detail),
        count=1,
        first=failed.at,
        last=failed.at,
        run_id=failed.run_id,
    )
    return (*causes, new), True


def _counted_name(
    counts: tuple[FailureCount, ...], name: str, at: datetime, run_id: str
) -> tuple[tuple[FailureCount, ...], bool]:
    for index, known in enumerate(counts):
        if known.name == name:
            return _with(counts, index, _increased(known, at)), False
    if len(counts) >= MAX_NAMES:
        others = replace(counts[-1], name=OTHERS, run_id="")
        return _with(counts, MAX_NAMES - 1, _increased(others, at)), False
    return (*counts, FailureCount(name=name, count=1, first=at, last=at, run_id=run_id)), True


def _increased(counted: _Counted, at: datetime) -> _Counted:
    # A failure can be reported after a later one: that of an idle connection is dated at its fault.
    return replace(counted, count=counted.count + 1, last=max(counted.last, at))


def _with(items: tuple[_Counted, ...], index: int, item: _Counted) -> tuple[_Counted, ...]:
    changed = list(items)
    changed[index] = item
    return tuple(changed)
