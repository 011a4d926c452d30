"""The on-call page as fragments: elements with an id, which are rendered anew and replaced one by one.

All functions are pure; they are called in a thread, since a page of hundreds of relays takes a while.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.vocabulary import Condition
from monitor.web.relay_list import MAINTENANCE, Query, count_states, entries
from monitor.web.rendering import encoded, templates
from monitor.web.static_files import address, fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.web.model import MonitorView
    from monitor.web.relay_list import Entry

ROW_INTERVAL: Final = 15
"""Seconds after which a healthy relay's figures are sent again; a change of its state is sent at once."""

_AGE: Final = re.compile(r'(<time class="age"[^>]*>)[^<]*')


@dataclass(frozen=True, slots=True)
class Fragment:
    """One element. It counts as changed when its key differs."""

    html: str
    key: str


@dataclass(frozen=True, slots=True)
class Page:
    """The page of one query at one time.

    relays: the fragments of single relays, in order. others: the remaining fragments. Both by id.
    layout: differs if the relays are others, or in another order, or shown in another way.
    """

    now: str
    title: str
    level: str
    others: Mapping[str, Fragment]
    relays: Mapping[str, Fragment]
    layout: tuple[tuple[str, bool], ...]
    row_head: str

    @property
    def characters(self) -> int:
        """The size of its fragments."""
        return sum(len(fragment.html) for each in (self.others, self.relays) for fragment in each.values())

    @property
    def list_html(self) -> str:
        """The element that holds all relays."""
        elements = [fragment.html for fragment in self.relays.values()]
        cards = sum(is_card for _, is_card in self.layout)
        if cards < len(elements):
            elements.insert(cards, self.row_head)
        inner = "\n".join(elements)
        return f'<div id="relays">\n{inner}\n</div>'

    def html(self, query: Query, view: MonitorView, version: str) -> str:
        """Return the HTML document."""
        parts = {name: fragment.html for name, fragment in self.others.items()}
        values = {
            "page": self,
            "parts": parts,
            "query": query,
            "view": view,
            "version": version,
            "files": fingerprint(),
        }
        states = count_states(view.relays)
        return templates()["overview.html"].render(values, states=states, shown=len(self.relays))

    def event(self, previous: Page | None) -> dict[str, str]:
        """Return what has changed since `previous`, or everything without it: HTML by id."""
        changed = _changed(self.others, previous.others if previous is not None else {})
        if previous is None or previous.layout != self.layout:
            return changed | {"relays": self.list_html}
        return changed | _changed(self.relays, previous.relays)

    def message(self, fragments: Mapping[str, str]) -> str:
        """Return the data of a server-sent event."""
        icon = address(f"{self.level}.svg")
        values = {"now": self.now, "title": self.title, "icon": icon, "files": fingerprint(), "fragments": fragments}
        return encoded(values)


def render(view: MonitorView, query: Query) -> Page:
    """Render the fragments of the page for one query."""
    parts = templates()["overview_parts.html"].module
    shown = entries(view, query)
    others = {name: getattr(parts, name)(view) for name in ("banner", "meta", "notices", "incidents")}
    opened = [entry.relay.name for entry in shown if entry.is_open]
    others["failures"] = parts.failures(view, opened)  # type: ignore[attr-defined] # a macro
    title = _title(view, query)
    others["announcement"] = parts.announcement(title)  # type: ignore[attr-defined]
    relays: dict[str, Fragment] = {}
    for entry in shown:
        if entry.is_card:
            relays[f"relay-{entry.relay.name}"] = _fragment(parts.card(entry, view.now))  # type: ignore[attr-defined]
        else:
            html = str(parts.row(entry, view.now))  # type: ignore[attr-defined]
            relays[f"relay-{entry.relay.name}"] = Fragment(html, _row_key(entry, view))
    return Page(
        now=view.now.isoformat(),
        title=f"{title} · relay-monitor",
        level=view.banner.level.value,
        others={name: _fragment(html) for name, html in others.items()},
        relays=relays,
        layout=tuple((entry.relay.name, entry.is_card) for entry in shown),
        row_head=str(parts.row_head()),  # type: ignore[attr-defined]
    )


def _fragment(html: object) -> Fragment:
    # Markup's own methods would escape again.
    text = str(html)
    return Fragment(text, _AGE.sub(r"\1", text))


def _row_key(entry: Entry, view: MonitorView) -> str:
    relay = entry.relay
    period = int(view.now.timestamp()) // ROW_INTERVAL
    return f"{relay.condition} {relay.since} {relay.maintenance} {relay.lost_1h} {relay.locations} {period}"


def _changed(new: Mapping[str, Fragment], old: Mapping[str, Fragment]) -> dict[str, str]:
    return {
        name: fragment.html
        for name, fragment in new.items()
        if (before := old.get(name)) is None or before.key != fragment.key
    }


def _title(view: MonitorView, query: Query) -> str:
    """Return what the tab says: few words, worst first."""
    if not view.healthy:
        return "Monitor unhealthy"
    if not view.relays:
        return "No relays"
    if query.relay:
        found = [relay for relay in view.relays if relay.name == query.relay]
        return f"{query.relay} {found[0].condition.value.replace('_', ' ')}" if found else f"{query.relay} not found"
    counts = Counter(relay.condition for relay in view.relays)
    order = (Condition.DOWN, Condition.NOT_ACCEPTING, Condition.UNKNOWN, Condition.DEGRADED)
    bad = [f"{counts[state]} {state.value.replace('_', ' ')}" for state in order if counts[state]]
    muted = sum(relay.maintenance is not None for relay in view.relays)
    words = ", ".join(bad) or ("Up" if len(view.relays) == 1 else f"All {len(view.relays)} up")
    return f"{words}, {muted} in {MAINTENANCE}" if muted else words
