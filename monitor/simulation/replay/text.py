"""A replay as tables and as JSON. Times are in UTC."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from monitor.durations import duration, utc_time
from monitor.simulation.replay.compare import Kind
from monitor.simulation.replay.notes import notes
from monitor.text_table import Column, paragraph, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.simulation.replay.compare import Change, Page
    from monitor.simulation.replay.coverage import Covered
    from monitor.simulation.replay.run import Replay

LISTED: Final = (Kind.LOST, Kind.GAINED, Kind.MOVED)
COMPLETE_SHARE: Final = 0.995
"""Share of samples below which a relay's coverage is printed."""


def lines(found: Replay, *, width: int | None = None) -> Iterator[str]:
    """Yield the replay line by line, for a terminal of `width`."""
    length = duration(found.end - found.start)
    yield f"Replay of {length}, {utc_time(found.start)} to {utc_time(found.end)} UTC: {found.samples:,} samples."
    yield f"New rules: {found.new.name}" + (f"; old rules: {found.old.name}" if found.old is not None else "")
    yield ""
    if found.changes is None:
        yield from _pages(found.pages, width)
    else:
        yield from _changes(found.changes, width)
    yield ""
    yield from _coverage(found.covered, width)
    for note in notes(found):
        yield from paragraph(note, width=width)


def to_json(found: Replay) -> dict[str, Any]:
    """Return the replay as plain data; times are ISO 8601."""
    changes = found.changes
    return {
        "start": _iso(found.start),
        "end": _iso(found.end),
        "dataBegin": _iso(found.first),
        "newRules": found.new.name,
        "oldRules": None if found.old is None else found.old.name,
        "samples": found.samples,
        "prometheusVersion": found.version,
        "pages": [_page(page) for page in found.pages],
        "changes": None
        if changes is None
        else {kind.value: [_change(each) for each in changes if each.kind is kind] for kind in Kind},
        "coverage": [
            {
                "relay": each.relay,
                "location": each.location,
                "share": round(each.share, 4),
                "longestGapSeconds": each.gap,
                "longestGapAt": _iso(each.gap_at) if each.gap else None,
            }
            for each in found.covered
        ],
        "prometheusDown": [{"from": _iso(start), "to": _iso(end)} for start, end in found.unrecorded],
        "notes": list(notes(found)),
    }


def _pages(found: Sequence[Page], width: int | None) -> Iterator[str]:
    if not found:
        yield "No pages."
        return
    names = ("alert", "subject", "location", "page (UTC)")
    columns = [*(Column(name) for name in names), Column("lasted", right=True)]
    rows = [(each.alert, _subject(each), _locations(each), utc_time(each.at), _lasted(each)) for each in found]
    yield from table(columns, rows, width=width)
    yield f"{len(found)} page{'' if len(found) == 1 else 's'}."


def _changes(changes: Sequence[Change], width: int | None) -> Iterator[str]:
    columns = [
        Column("change"),
        Column("alert"),
        Column("subject"),
        Column("location"),
        Column("old page (UTC)"),
        Column("new page (UTC)"),
        Column("what changed"),
    ]
    rows = [
        (
            change.kind.value,
            change.page.alert,
            _subject(change.page),
            _locations(change.page),
            _span(change.old),
            _span(change.new),
            _what(change),
        )
        for kind in LISTED
        for change in changes
        if change.kind is kind
    ]
    if rows:
        yield from table(columns, rows, width=width)
    counts = {kind: sum(change.kind is kind for change in changes) for kind in Kind}
    yield "Pages: " + ", ".join(f"{counts[kind]} {kind.value}" for kind in Kind) + "."


def _coverage(covered: Sequence[Covered], width: int | None) -> Iterator[str]:
    columns = [
        Column("relay"),
        Column("location"),
        Column("time with samples", right=True),
        Column("longest gap", right=True),
        Column("from (UTC)"),
    ]
    rows = [
        (each.relay, each.location, f"{each.share:.2%}", duration(each.gap), utc_time(each.gap_at))
        for each in covered
        if each.share < COMPLETE_SHARE
    ]
    if rows:
        yield from table(columns, rows, width=width)
    complete = len(covered) - len(rows)
    if not rows and covered:
        yield "All relays have samples of the whole time, from each location."
    elif complete:
        yield f"The others ({complete}) have samples of the whole time."


def _subject(page: Page) -> str:
    subject = page.relay or (f"group {page.group}" if page.group else "the monitor")
    return f"{subject}, {page.slo}" if page.slo else subject


def _locations(page: Page) -> str:
    return ", ".join(page.locations) or "all"


def _span(side: Sequence[Page]) -> str:
    if not side:
        return "–"
    end = max(page.end for page in side)
    return f"{utc_time(side[0].at)} – {_end(side[0].at, end)}"


def _end(at: float, end: float) -> str:
    """Return when a page ends, without the date if that is the date of its start."""
    if math.isinf(end):
        return "still fires"
    return f"{_utc(end):%H:%M:%S}" if _utc(at).date() == _utc(end).date() else utc_time(end)


def _lasted(page: Page) -> str:
    return "still fires" if math.isinf(page.end) else duration(page.end - page.at)


def _what(change: Change) -> str:
    parts = []
    if change.later:
        parts.append(f"begins {duration(abs(change.later))} {'later' if change.later > 0 else 'sooner'}")
    if change.later is not None and change.ends_later != 0:
        after = change.ends_later
        if after is None:
            endless = any(math.isinf(page.end) for page in change.new)
            parts.append("no longer ends" if endless else "ends: before, it did not")
        else:
            parts.append(f"ends {duration(abs(after))} {'later' if after > 0 else 'sooner'}")
    if change.old and change.new and _locations(change.old[0]) != _locations(change.new[0]):
        parts.append(f"location {_locations(change.old[0])} → {_locations(change.new[0])}")
    if change.old and change.new and len(change.old) != len(change.new):
        parts.append(f"{len(change.old)} → {len(change.new)} pages")
    if change.inhibited:
        parts.append(f"fires, inhibited by {', '.join(change.inhibited)}")
    elif change.firing:
        warns = all(each.severity != "critical" for each in change.firing)
        parts.append("fires as a warning" if warns else "resolves before it is sent")
    parts += [f"{page.alert} pages at {_utc(page.at):%H:%M:%S}" for page in change.instead]
    return ", ".join(parts)


def _utc(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _iso(at: float) -> str:
    return _utc(round(at, 3)).isoformat()


def _page(page: Page) -> dict[str, Any]:
    return {
        "alert": page.alert,
        "relay": page.relay or None,
        "group": page.group or None,
        "slo": page.slo or None,
        "locations": list(page.locations),
        "at": _iso(page.at),
        "end": None if math.isinf(page.end) else _iso(page.end),
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "old": [_page(page) for page in change.old],
        "new": [_page(page) for page in change.new],
        "beginsLaterSeconds": change.later,
        "endsLaterSeconds": change.ends_later,
        "inhibitedBy": list(change.inhibited),
        "firesAs": sorted({each.severity for each in change.firing}),
        "instead": [_page(page) for page in change.instead],
    }
