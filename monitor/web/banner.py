"""The banner: one sentence about all relays, for a person who has ten seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.durations import duration
from monitor.vocabulary import Condition, cause_name
from monitor.web.model import Banner, Level

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.web.model import RelayView

MAX_NAMES: Final = 3
"""Relays that the sentence names."""

MAX_WHY: Final = 80
"""Characters of a reason that the sentence has; a longer one is left to the relay's card."""

NO_RELAY: Final = "This monitor observes no relay: it is starting, or its shard has none"

_IS: Final = {
    Condition.DOWN: ("is down", "are down"),
    Condition.NOT_ACCEPTING: ("accepts no new connections", "accept no new connections"),
    Condition.DEGRADED: ("is degraded", "are degraded"),
    Condition.UNKNOWN: ("is not observed", "are not observed"),
}
"""What the sentence says of one relay and of several, worst first."""


def banner(relays: Sequence[RelayView], *, healthy: bool, reasons: Sequence[str]) -> Banner:
    """Return the banner of `relays`, which are sorted worst first.

    A relay in maintenance makes it a warning at most.
    """
    if not healthy:
        why = "; ".join(reasons) or "a self-check fails"
        return Banner(level=Level.CRITICAL, sentence=f"This monitor is unhealthy: {why}; verdicts are suspended")
    if not relays:
        return Banner(level=Level.WARNING, sentence=NO_RELAY)
    by_condition = {each: [relay for relay in relays if relay.condition is each] for each in _IS}
    parts = [(each, found) for each, found in by_condition.items() if found]
    if not parts:
        return Banner(level=Level.OK, sentence=_all_up(relays))
    (worst, found), others = parts[0], parts[1:]
    sentence = f"{len(found)} of {len(relays)} {_relays(len(relays))} {_are(worst, len(found))}: {_named(found)}"
    for condition, more in others:
        sentence += f"; {len(more)} {_are(condition, len(more))}"
    paged = any(
        relay.maintenance is None
        for condition in (Condition.DOWN, Condition.NOT_ACCEPTING)
        for relay in by_condition[condition]
    )
    return Banner(level=Level.CRITICAL if paged else Level.WARNING, sentence=sentence)


def _all_up(relays: Sequence[RelayView]) -> str:
    return f"The relay {relays[0].name} is up" if len(relays) == 1 else f"All {len(relays)} relays are up"


def _relays(number: int) -> str:
    return "relay" if number == 1 else "relays"


def _are(condition: Condition, number: int) -> str:
    return _IS[condition][number != 1]


def _named(relays: Sequence[RelayView]) -> str:
    """Return the relays' names; for a single one also its cause, and for how long."""
    if len(relays) == 1:
        return ", ".join(_about(relays[0]))
    names = [relay.name + (" (in maintenance)" if relay.maintenance else "") for relay in relays[:MAX_NAMES]]
    more = len(relays) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _about(relay: RelayView) -> list[str]:
    cause = relay.cause
    parts = [relay.name]
    if relay.condition is Condition.UNKNOWN:
        why = relay.why.partition(";")[0]  # its card says what it was before
        parts += [why] if 0 < len(why) <= MAX_WHY else []
    elif cause is not None:
        parts.append(cause_name(cause.step, cause.reason, cause.status))
    if relay.observed:
        parts.append(f"for {duration(relay.seconds)}")
    if relay.maintenance is not None:
        parts.append("in maintenance")
    return parts
