"""Which report is a good or a bad event of which SLO: the one rule for `/metrics` and the journal.

Every exchange, pairing or second that is `ok` or `failed` is an event; what was aborted or excluded is none. A slow
exchange is bad for a latency SLO, and so is a failed one. A trend has no events.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from monitor.results import Paired, PairTime, Run
from monitor.vocabulary import Outcome, Sli

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitor.config import SloConfig
    from monitor.results import Exchange, Pairing, Report

_JUDGED = {Outcome.OK: True, Outcome.FAILED: False}


class CountedSlo(NamedTuple):
    """An SLO as one probe at one relay counts it; `threshold` is that relay's, in seconds."""

    name: str
    sli: Sli
    threshold: float = math.inf


class SloEvent(NamedTuple):
    """`amount` events of an SLO, or seconds of a stability SLO."""

    slo: str
    good: bool
    amount: float = 1.0


def counted_slos(slos: Iterable[SloConfig], probe: str, relay: str) -> tuple[CountedSlo, ...]:
    """Return the SLOs that count the events of a probe at a relay."""
    return tuple(
        CountedSlo(slo.name, slo.sli, slo.threshold_for(relay) or math.inf)
        for slo in slos
        if probe in slo.probe and slo.sli is not Sli.TREND
    )


def slo_events(report: Run | Report, slos: tuple[CountedSlo, ...]) -> Iterator[SloEvent]:
    """Yield the events of a report for the SLOs of its probe."""
    if not slos:
        return
    if isinstance(report, Run):
        for exchange in report.exchanges:
            yield from _of_exchange(exchange, slos)
        if report.pairing is not None:
            yield from _of_pairing(report.pairing, slos)
    elif isinstance(report, Paired):
        yield from _of_pairing(report.pairing, slos)
    elif isinstance(report, PairTime):
        for slo in slos:
            if slo.sli is Sli.STABILITY:
                yield SloEvent(slo.name, report.connected, report.seconds)


def _of_exchange(exchange: Exchange, slos: tuple[CountedSlo, ...]) -> Iterator[SloEvent]:
    ok = _JUDGED.get(exchange.outcome)
    if ok is None:
        return
    for slo in slos:
        if slo.sli is Sli.AVAILABILITY:
            yield SloEvent(slo.name, ok)
        elif slo.sli is Sli.LATENCY:
            in_time = exchange.round_trip is not None and exchange.round_trip <= slo.threshold
            yield SloEvent(slo.name, ok and in_time)


def _of_pairing(pairing: Pairing, slos: tuple[CountedSlo, ...]) -> Iterator[SloEvent]:
    ok = _JUDGED.get(pairing.outcome)
    if ok is None:
        return
    for slo in slos:
        if slo.sli is Sli.PAIRING:
            yield SloEvent(slo.name, ok)
