"""Failures that no page has explained, counted exactly.

`increase` extrapolates, so that a Prometheus that has just started reads one failure as two. The growth between two
evaluations is exact, and its sum over a window is what the counter grew.

An outage that has paged explains its own failures, those before the page included: pages about error budgets and lost
messages count the others. The explanation ends when the page does, and what failed before or between outages is still
counted. An outage too short to page explains nothing while no page is open.

| series | value |
|---|---|
| `slo:bad:total`, `relay:drops:total` | bad events, dropped connections, as counters |
| `slo:bad:delta`, `relay:drops:delta` | bad events, dropped connections since the previous evaluation |
| `slo:explained_bad:delta`, `relay:explained_drops:delta` | those of an outage that has paged |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.config import show_duration
from monitor.slo.rules.names import OUTAGE, REFUSAL, SETTINGS
from monitor.slo.rules.recorded import BUDGET_LABELS, EVENTS, budgeted
from monitor.slo.rules.rule import Record, any_of
from monitor.slo.rules.timing import Timing
from monitor.slo.rules.verdicts import (
    EVERYWHERE,
    KEEP_FIRING,
    LOCAL_RELAY,
    ONE_LOCATION,
    RELAY,
    Selectors,
    page_after_classes,
)
from monitor.vocabulary import Sli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitor.config import Config

CATCH_UP: Final = 90.0
"""Seconds before an outage in which its first failures are counted.

The verdict follows them within 46 s, even where the relay asks for fewer connects, then a scrape and two evaluations.
"""

EXPLAINED_AFTER: Final = KEEP_FIRING
"""Seconds after an outage in which failures are those that it explains.

Its last ones are counted then: runs end, and are scraped. Its page is still open, so that a relay that flaps is one
page, although some of its outages are too short to page.
"""


@dataclass(frozen=True, slots=True)
class Counter:
    """A counter of failures, by the series of its growth and of the part that outages explain."""

    total: str
    delta: str
    explained: str


BAD: Final = Counter("slo:bad:total", "slo:bad:delta", "slo:explained_bad:delta")
DROPS: Final = Counter("relay:drops:total", "relay:drops:delta", "relay:explained_drops:delta")


def records(config: Config) -> Iterator[Record]:
    """Yield the recorded series, in the order in which they depend on each other."""
    own, timing = Selectors(config), Timing.of(config)
    if any(probe.is_continuous for probe in config.probes):
        dropped = ("relay_probe_disconnects_total", 'code!~"3001|2500"', f"{LOCAL_RELAY}, probe")
        yield from _counted(own, timing, DROPS, *dropped)
        yield Record(name=DROPS.explained, expr="\nor\n".join(_explained(config, own, timing, DROPS, OUTAGE)))
    if not budgeted(config):
        return
    yield from _counted(own, timing, BAD, EVENTS, 'outcome="bad"', BUDGET_LABELS)
    explained = [*_explained(config, own, timing, BAD, OUTAGE)]
    for matcher in new_connections(config):
        explained += _explained(config, own, timing, BAD, REFUSAL, matcher)
    yield Record(name=BAD.explained, expr="\nor\n".join(explained))


def unexplained(own: Selectors, window: float, matchers: str = "", counter: Counter = BAD) -> str:
    """Return the expression of the failures within a window in seconds that no page explains."""
    span = show_duration(window)
    all_failures = f"sum_over_time({own(counter.delta, matchers)}[{span}])"
    return f"({all_failures}\n- (sum_over_time({own(counter.explained, matchers)}[{span}]) or 0 * {all_failures}))"


def _counted(own: Selectors, timing: Timing, counter: Counter, name: str, matchers: str, by: str) -> Iterator[Record]:
    """Yield a total, and its growth since the previous evaluation; a missed or late scrape delays it only.

    The growth is read from the recorded total: it is exact at any interval of evaluations.
    """
    latest = f"last_over_time({own(name, matchers)}[{timing.counter_range()}])"
    yield Record(name=counter.total, expr=f"sum by ({by}) ({latest})")
    yield Record(name=counter.delta, expr=f"clamp_min({own(counter.total)} - {own(counter.total)} offset 1s, 0)")


def _explained(
    config: Config, own: Selectors, timing: Timing, counter: Counter, fact: str, matchers: str = ""
) -> Iterator[str]:
    """Yield parts: the time before a page, counted once at its start; then until the last failures are counted."""
    tail, step = show_duration(timing.recorded(EXPLAINED_AFTER)), show_duration(timing.evaluation)
    for seconds, matcher in page_after_classes(config):

        def begins(where: str, matcher: str = matcher) -> str:
            earlier = f"last_over_time({own(fact, where)}[{tail}] offset {step})"
            return f"({own(fact, where)} unless {earlier} and on ({RELAY}) {own(SETTINGS, matcher)})"

        caught_up = unexplained(own, timing.recorded(timing.wait(seconds) + CATCH_UP), matchers, counter)
        yield from _where(f"clamp_min({caught_up}, 0)", begins)
    yield from _where(own(counter.delta, matchers), lambda where: f"last_over_time({own(fact, where)}[{tail}])")


def _where(expr: str, fact: Callable[[str], str]) -> Iterator[str]:
    """Yield failures of the relays of which a fact holds at all locations, or at that of the failures."""
    yield f"{expr} and on ({RELAY}) {fact(EVERYWHERE)}"
    yield f"{expr} and on ({LOCAL_RELAY}) {fact(ONE_LOCATION)}"


def new_connections(config: Config) -> Iterator[str]:
    """Yield matchers of the events that need a new connection, which a relay that is not accepting refuses."""
    pairing = [slo.name for slo in budgeted(config) if slo.sli is Sli.PAIRING]
    scheduled = [probe.name for probe in config.probes if not probe.is_continuous]
    if pairing:
        yield f'slo=~"{any_of(pairing)}"'
    if scheduled:
        yield f'probe=~"{any_of(scheduled)}"'
