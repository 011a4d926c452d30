"""The limits of an incident, and what stands in it for what is left out."""

from __future__ import annotations

from datetime import timedelta

from monitor.incidents import Entry, EntryKind, Failed
from monitor.incidents.incident import MAX_CAUSES, MAX_ENTRIES, MAX_NAMES, MAX_TEXT
from monitor.incidents.record import KEPT_FIRST, add_entry, add_failure
from tests.incidents.relay_time import START, down_relay


def test_entries_in_the_middle_are_left_out_and_counted() -> None:
    incident = down_relay().incident
    total = MAX_ENTRIES + 250
    for number in range(total - len(incident.entries)):
        at = START + timedelta(seconds=1000 + number)
        incident = add_entry(incident, Entry(at, EntryKind.RELOAD, f"entry {number}"))
    assert len(incident.entries) == MAX_ENTRIES
    omitted = incident.entries[KEPT_FIRST]
    left_out = total - (MAX_ENTRIES - 1)
    assert (omitted.kind, omitted.text) == (EntryKind.OMITTED, f"{left_out} entries until here are not kept.")
    assert omitted.fields["since"] == (incident.entries[KEPT_FIRST - 1].at + timedelta(seconds=1)).isoformat()
    assert incident.entries[KEPT_FIRST + 1].at == omitted.at + timedelta(seconds=1)
    assert incident.entries[-1].text == f"entry {total - 3}"


def test_causes_beyond_the_limit_are_one() -> None:
    incident = down_relay().incident
    for number in range(100):
        incident = add_failure(incident, Failed(START, "steady", "tcp", f"reason-{number}"))
    assert len(incident.causes) == MAX_CAUSES
    assert incident.causes[-1].step == "(others)"
    assert sum(cause.count for cause in incident.causes) == 103


def test_so_are_probes_and_endpoints() -> None:
    incident = down_relay().incident
    for number in range(100):
        incident = add_failure(incident, Failed(START, f"p{number}", "tcp", "refused", endpoint=f"n{number}"))
    for counts in (incident.probes, incident.endpoints):
        assert (len(counts), counts[-1].name, sum(each.count for each in counts)) == (MAX_NAMES, "(others)", 100)


def test_a_failure_that_is_reported_late_is_not_the_last() -> None:
    incident = down_relay().incident
    earlier, later = START + timedelta(seconds=130), START + timedelta(seconds=160)
    for at in (later, earlier):
        incident = add_failure(incident, Failed(at, "idle", "tcp", "refused", endpoint="n1"))
    assert [counts[-1].last for counts in (incident.causes, incident.probes, incident.endpoints)] == [later] * 3


def test_a_text_of_a_relay_is_one_short_line() -> None:
    words = "\x1b[31mred\r\n<script>\ud800" + "x" * 1_000_000
    incident = add_failure(
        down_relay().incident, Failed(START, None, "hello", "protocol", detail=words, endpoint=words)
    )
    texts = [incident.entries[-1].text, incident.causes[-1].detail, incident.endpoints[-1].name]
    assert all(text.isprintable() and len(text) == MAX_TEXT for text in texts)
    assert "<script>" in texts[1]  # pages escape it
