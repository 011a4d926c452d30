"""The table and the JSON of a run, and whether each figure is as promised."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, Final

from tests.field.faults import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.field.record import Measured, Received

GOALS: Final = {kind.name: (kind.page, kind.median, kind.seen, kind.resolved) for kind in KINDS}
DEFAULT_GOALS: Final = (90.0, 90.0, 60.0, 240.0)
NO_PAGE: Final = frozenset(
    {
        *(kind.name for kind in KINDS if kind.alert is None),
        *("dead-at-one-location-global", "egress-cut-relays", "monitor-dead", "monitor-dead-relays", "crash-loop"),
    }
)
WARNED: Final = frozenset({"dead-at-one-location-global", "monitor-dead", "crash-loop", "certificate"})
SLOWER: Final = {"egress-cut": (180.0, 180.0, 60.0, 300.0)}
"""Goals of kinds that are not faults of a relay."""

MEAN_WAIT: Final = 45.0
"""Seconds from verdict to firing alert on average: `page_after`, and half an interval to scrape and evaluation each.

The time from a scrape to the next evaluation is the same for all tries at one Prometheus: it depends on the hash of the
target. So a median is judged as if each try had waited this long.
"""


def _figures(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "never" if values else ""
    missing = f", {len(values) - len(known)} never" if len(known) < len(values) else ""
    return f"{statistics.median(known):.0f} / {max(known):.0f} s{missing}"


def wrong(kind: str, measured: Sequence[Measured]) -> Iterator[str]:
    """Yield what is not as promised for the tries of one kind."""
    page, median, seen, resolved = SLOWER.get(kind) or GOALS.get(kind, DEFAULT_GOALS)
    for item in measured:
        yield from (f"{kind} {item.number}: {error}" for error in _wrong_in_general(item, seen))
        if kind not in NO_PAGE:
            yield from (f"{kind} {item.number}: {error}" for error in _wrong_page(item, page, resolved))
    pages = [at for item in measured if (at := usual_page(item)) is not None]
    if kind not in NO_PAGE and pages and statistics.median(pages) > median:
        yield f"{kind}: median of the time to page {statistics.median(pages):.0f} s at the mean wait, not {median:g}"
    if kind == "outage-10-25" and not all(item.verdict for item in measured):
        yield f"{kind}: {sum(not item.verdict for item in measured)} outages were not seen"


def usual_page(item: Measured) -> float | None:
    """Return the time to page, had it waited for `MEAN_WAIT`."""
    return item.page if item.page is None or item.waited is None else item.page - item.waited + MEAN_WAIT


def _wrong_in_general(item: Measured, seen: float) -> Iterator[str]:
    if item.others:
        yield f"pages {', '.join(item.others)}"
    if item.kind in WARNED and item.warned is None:
        yield "no warning"
    if item.seen is None or item.seen > seen:
        yield f"repair seen after {item.seen} s, not {seen:g}"
    yield from item.notes


def _wrong_page(item: Measured, page: float, resolved: float) -> Iterator[str]:
    if item.page is None or item.page > page:
        yield f"page after {item.page} s, not {page:g}"
    if item.pages > 1 + len(item.others):
        yield f"{item.pages} pages"
    if item.resolved is None or item.resolved > resolved:
        yield f"resolved after {item.resolved} s, not {resolved:g}"
    if item.early:
        yield "resolved before the repair"


def by_kind(measured: Sequence[Measured]) -> dict[str, list[Measured]]:
    """Return the tries of each kind."""
    kinds: dict[str, list[Measured]] = {}
    for item in measured:
        kinds.setdefault(item.kind, []).append(item)
    return kinds


def table(measured: Sequence[Measured], unexpected: Sequence[Received]) -> list[str]:
    """Return the table and what is not as promised, as lines of text; times are median / worst."""
    columns = "{:<28} {:>5} {:>5}  {:<14} {:<14} {:<14} {:<14} {:<14} {:<14} {}"
    lines = [
        columns.format(
            "fault",
            "tries",
            "pages",
            "verdict",
            "page",
            "at mean wait",
            "seen again",
            "resolved",
            "warning",
            "text of the page",
        )
    ]
    errors: list[str] = []
    for kind, items in by_kind(measured).items():
        no_page = kind in NO_PAGE
        lines.append(
            columns.format(
                kind,
                len(items),
                sum(item.pages for item in items),
                _figures([item.verdict for item in items]),
                "" if no_page else _figures([item.page for item in items]),
                "" if no_page else _figures([usual_page(item) for item in items]),
                _figures([item.seen for item in items]),
                "" if no_page else _figures([item.resolved for item in items]),
                _figures([item.warned for item in items]) if kind in WARNED else "",
                next((item.text for item in items if item.text), ""),
            )
        )
        errors += wrong(kind, items)
    errors += [
        f"unexpected page: {item.name} {item.labels.get('install')} {item.labels.get('location', '')} "
        f"{item.labels.get('relay', '')} {item.text}"
        for item in unexpected
    ]
    lines += ["", *(f"WRONG {error}" for error in errors), f"{len(measured)} faults, {len(errors)} wrong"]
    return lines


def to_json(measured: Sequence[Measured], unexpected: Sequence[Received]) -> dict[str, Any]:
    """Return all figures as JSON."""
    return {
        "measured": [item.to_json() for item in measured],
        "unexpected": [{"labels": item.labels, "text": item.text} for item in unexpected],
        "wrong": [error for kind, items in by_kind(measured).items() for error in wrong(kind, items)],
    }
