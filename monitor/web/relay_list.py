"""Which relays the on-call page shows, and how much of each.

Relays with a problem are cards; healthy ones are rows, of which hundreds fit on a page. A relay that was chosen by its
name, and the only card, is open: its probes, budgets and failures are shown without a click.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from monitor.vocabulary import Condition
from monitor.web.strips import chart, strip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitor.web.model import BudgetView, MonitorView, RelayView
    from monitor.web.strips import Chart, Strip

MAX_CARDS: Final = 12
"""Largest number of cards; further relays with a problem are rows."""

FEW_RELAYS: Final = 3
"""Number of relays up to which healthy ones are cards too."""

MAX_TEXT: Final = 100
"""Largest number of characters of each parameter of the address; the remainder is ignored."""

MAINTENANCE: Final = "maintenance"

STATES: Final = (*(condition.value for condition in Condition), MAINTENANCE)
"""What the page can be filtered by."""


@dataclass(frozen=True, slots=True)
class Query:
    """The filter in the address of the page. `text` is part of a name or an address; each may be empty."""

    text: str = ""
    state: str = ""
    relay: str = ""

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> Query:
        """Return the filter of an address; a state that does not exist is no filter."""
        state = parameters.get("state", "")
        return cls(
            parameters.get("q", "").strip()[:MAX_TEXT],
            state if state in STATES else "",
            parameters.get("relay", "")[:MAX_TEXT],
        )

    def __str__(self) -> str:
        """Return the query part of the address, with its question mark, or nothing."""
        values = {"q": self.text, "state": self.state, "relay": self.relay}
        given = urlencode({name: value for name, value in values.items() if value}, errors="replace")
        return f"?{given}" if given else ""

    def matches(self, relay: RelayView) -> bool:
        """Return True if the page shows this relay."""
        if self.relay:
            return relay.name == self.relay
        if self.state and self.state not in states_of(relay):
            return False
        text = self.text.casefold()
        return text in relay.name.casefold() or text in relay.url.casefold()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One relay of the page. day, chart: only on a card. budget: the one with the least left, None without any."""

    relay: RelayView
    is_card: bool
    is_open: bool
    hour: Strip
    day: Strip | None
    chart: Chart | None
    budget: BudgetView | None


def states_of(relay: RelayView) -> tuple[str, ...]:
    """Return what a relay is filtered by: its condition, and whether it is in maintenance."""
    return (relay.condition.value, MAINTENANCE) if relay.maintenance is not None else (relay.condition.value,)


def count_states(relays: Sequence[RelayView]) -> list[tuple[str, int]]:
    """Return how many relays are in each state, without states that no relay is in."""
    counts = Counter(state for relay in relays for state in states_of(relay))
    return [(state, counts[state]) for state in reversed(STATES) if counts[state]]


def entries(view: MonitorView, query: Query) -> list[Entry]:
    """Return the relays that the page shows, in the order of the view: worst first."""
    shown = [relay for relay in view.relays if query.matches(relay)]
    if len(shown) <= FEW_RELAYS:
        cards = len(shown)
    else:
        cards = min(MAX_CARDS, sum(relay.condition is not Condition.UP for relay in shown))
    return [_entry(relay, is_card=number < cards, is_open=cards == 1) for number, relay in enumerate(shown)]


def _entry(relay: RelayView, *, is_card: bool, is_open: bool) -> Entry:
    budgets = [(budget.left, number) for number, budget in enumerate(relay.budgets) if budget.left is not None]
    return Entry(
        relay=relay,
        is_card=is_card,
        is_open=is_card and is_open,
        hour=strip(relay.hour, "60 minutes"),
        day=strip(relay.day, "24 hours") if is_card else None,
        chart=chart(relay.round_trip) if is_card else None,
        budget=relay.budgets[min(budgets)[1]] if budgets else None,
    )
