"""The error budgets of a relay: of Prometheus' events if it has any, which are those of all locations, else our own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.vocabulary import Sli
from monitor.web.model import BudgetView, Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from monitor.config import Config, SloConfig
    from monitor.daemon.figures import Figures
    from monitor.daemon.prometheus_reading import Reading


def slos_of(relay: str, config: Config) -> list[SloConfig]:
    """Return the SLOs that apply to a relay."""
    probes = {probe.name for probe in config.probes if relay in probe.relays}
    return [slo for slo in config.slos if probes & set(slo.probe)]


def budgets(
    relay: str, config: Config, figures: Figures, reading: Reading | None, now: datetime
) -> Iterator[BudgetView]:
    """Yield the budgets of a relay, in the order of the configuration."""
    for slo in slos_of(relay, config):
        objective = slo.objective_for(relay)
        if objective is None:
            continue
        good = bad = span = 0.0
        source = Source.JOURNAL
        if reading is not None and (of_all := reading.events.get((relay, slo.name))) is not None:
            good, bad, span, source = of_all.good, of_all.bad, of_all.span_seconds, Source.PROMETHEUS
        elif (own := figures.events.get((relay, slo.name))) is not None:
            good, bad, span = own.good, own.bad, max(0.0, (now - own.since).total_seconds())
        yield BudgetView(
            slo=slo.name,
            in_seconds=slo.sli is Sli.STABILITY,
            objective=float(objective),
            left=budget_left(float(objective), good, bad),
            good=good,
            bad=bad,
            span_seconds=min(slo.window, span),
            window_seconds=slo.window,
            source=source,
        )


def budget_left(objective: float, good: float, bad: float) -> float | None:
    """Return the share of an error budget that is left, negative if it is overspent; None without events.

    An objective of 100 % has no budget: without a bad event all of nothing is left (1), with one none of it (0).
    """
    if good + bad <= 0:
        return None
    if objective >= 1:
        return 1.0 if bad == 0 else 0.0
    return 1 - bad / (good + bad) / (1 - objective)
