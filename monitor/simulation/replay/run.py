"""A replay: recorded samples through the rules of one or two sides, and through Alertmanager, to pages."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.errors import RequestError
from monitor.simulation.promql import PromqlError
from monitor.simulation.replay.compare import Change, Kind, Page, Side, compare, pages
from monitor.simulation.replay.coverage import Coverage
from monitor.simulation.replay.recorded import Recorded
from monitor.simulation.replay.rolling import DEFAULT_VERSION, RollingRuler

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitor.simulation.replay.coverage import Covered
    from monitor.simulation.replay.rule_set import RuleSet
    from monitor.web.prometheus import PrometheusClient

PART: Final = 6 * 3600.0
MIN_PART: Final = 900.0
"""Most and least seconds that are read and evaluated at once."""

MANY: Final = 2000
"""Number of series up to which a part has `PART` seconds; with more series it is shorter, so that memory is bounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a replay found, from `start` to `end` in Unix seconds.

    first: time of the earliest sample. history: seconds of samples that the rules read.
    unrecorded: times in which Prometheus was down. version: its major version; None if the server does not report it.
    changes: None without old rules.
    """

    start: float
    end: float
    new: RuleSet
    old: RuleSet | None
    first: float
    history: float
    samples: int
    version: int | None
    unrecorded: Sequence[tuple[float, float]]
    covered: Sequence[Covered]
    pages: Sequence[Page]
    changes: Sequence[Change] | None

    @property
    def lost(self) -> bool:
        """Whether a page is lost."""
        return any(change.kind is Kind.LOST for change in self.changes or ())


def replay(
    client: PrometheusClient,
    new: RuleSet,
    old: RuleSet | None,
    start: float,
    end: float,
    progress: Callable[[float], None] = lambda _: None,
) -> Replay:
    """Replay recorded data. `progress` is called with the share that is done.

    Raises `PrometheusError`, and `RequestError` if there are no samples, or for a rule that cannot be evaluated.
    """
    sides = [new] if old is None else [new, old]
    history = max(side.history for side in sides)
    scrape = max(side.config.prometheus.scrape_interval for side in sides if side.config is not None)
    selectors = [each for side in sides for each in side.selectors()]
    recorded = Recorded(client, selectors, interval=scrape, step=_step(sides))
    version = client.major_version()
    rulers = [RollingRuler(side, version=version or DEFAULT_VERSION) for side in sides]
    coverage = Coverage(start, end, scrape)
    begin = PART * math.floor((start - history) / PART)
    at, part = begin, MIN_PART
    while at < end:
        until = min(at + part, end)
        series = recorded.advance(at, until)
        coverage.add(series, at)
        # Before the first sample nothing is known, not even that a monitor is absent.
        since = max(at, recorded.first)
        if since < until:
            for side, ruler in zip(sides, rulers, strict=True):
                try:
                    ruler.advance(side.exported(series, scrape), since, until, recorded.unrecorded)
                except PromqlError as error:
                    raise RequestError(f"{side.name}: {error}") from None
        at, part = until, _part(len(series))
        progress((at - begin) / (end - begin))
    if recorded.first > end:
        raise RequestError(
            "Prometheus has no samples of this time that the rules select: does it scrape the monitors, and is "
            f"`install` in {new.name} theirs?"
        )
    found = [_side(side, ruler, end) for side, ruler in zip(sides, rulers, strict=True)]
    return Replay(
        start=start,
        end=end,
        new=new,
        old=old,
        first=recorded.first,
        history=history,
        samples=recorded.read,
        version=version,
        unrecorded=[span for span in recorded.unrecorded if span[1] > start],
        covered=coverage.of(sides),
        pages=[page for page in found[0].pages if page.at >= start],
        changes=None if old is None else compare(found[1], found[0], start),
    )


def _part(series: int) -> float:
    """Return the seconds of the next part, a multiple of a minute."""
    return min(max(PART * MANY / max(series, 1) // 60 * 60.0, MIN_PART), PART)


def _side(rules: RuleSet, ruler: RollingRuler, end: float) -> Side:
    firing = ruler.firing()
    sent = rules.alertmanager.notifications(firing, end)
    return Side(pages=pages(sent), firing=firing, inhibitors=rules.alertmanager.inhibitors(firing))


def _step(sides: Sequence[RuleSet]) -> float:
    """Return the largest time of which all intervals of evaluation are multiples, in seconds."""
    intervals = {round(1000 * (group.interval or side.interval)) for side in sides for group in side.groups}
    return math.gcd(*intervals) / 1000
