"""Alerts about what probes measure on a relay that is up: latency trend, unstable connections, rate limiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.burn_rate import MIN_FAILURES
from monitor.config import show_duration
from monitor.slo.rules.paging import unless_down
from monitor.slo.rules.rule import RELAY_DASHBOARD, Alert, any_of
from monitor.vocabulary import Sli

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.config import Config

TREND_EVENTS: Final = 100
"""Round trips that a P99 requires."""

TREND_PENDING: Final = 600.0
"""Seconds for which the quantiles must exceed the baseline."""

UNSTABLE_WINDOW: Final = 900.0
"""Seconds over which disconnects and disconnected time are counted."""


def alerts(config: Config) -> Iterator[Alert]:
    """Yield the alerts about what probes measure."""
    yield from _trend(config)
    if any(probe.is_continuous for probe in config.probes):
        yield _unstable()
    yield _rate_limited()


def _trend(config: Config) -> Iterator[Alert]:
    for slo in config.slos:
        if slo.sli is not Sli.TREND or slo.factor is None:
            continue
        by = "le, relay, probe, location"
        buckets = f'relay_probe_round_trip_seconds_bucket{{probe=~"{any_of(slo.probe)}"}}'
        count = f'relay_probe_round_trip_seconds_count{{probe=~"{any_of(slo.probe)}"}}'
        baseline = show_duration(slo.window)
        slower = "\nand\n".join(
            f"histogram_quantile({q:g}, sum by ({by}) (rate({buckets}[1h])))\n"
            f"> {factor:g} * histogram_quantile({q:g}, sum by ({by}) (rate({buckets}[{baseline}] offset 1h)))"
            for q, factor in trend_factors(slo.factor)
        )
        yield Alert(
            name="RelayLatencyTrend",
            severity="warning",
            expr=f"{slower}\n"
            f"and\nsum by (relay, probe, location) (increase({count}[1h])) > {TREND_EVENTS}\n"
            f"and\nsum by (relay, probe, location) (increase({count}[{baseline}] offset 1h)) > {TREND_EVENTS}",
            pending_for=TREND_PENDING,
            labels={"slo": slo.name},
            summary="Round-trip latency of {{ $labels.relay }} is above its baseline",
            description="P99 of the last hour on {{ $labels.relay }}, probe {{ $labels.probe }}, is "
            f"{{{{ $value | humanizeDuration }}}}: more than {slo.factor:g}× the P99 of the {baseline} before. "
            "The P90 is above its baseline too.",
            dashboard=RELAY_DASHBOARD,
        )


def trend_factors(factor: float) -> tuple[tuple[float, float], ...]:
    """Return the quantiles of a trend, each with the factor by which it must exceed its baseline.

    The P90 must grow half as much as the P99. The P99 of an hour is the seventh slowest of seven hundred round trips,
    read between two edges of a histogram, and reaches 1.2 times the day's by chance alone; the P90 does not.
    """
    return (0.99, factor), (0.9, 1 + (factor - 1) / 2)


def _unstable() -> Alert:
    by, window = "relay, probe, location", show_duration(UNSTABLE_WINDOW)
    disconnected = f'sum by ({by}) (increase(relay_probe_pair_seconds_total{{state="disconnected"}}[{window}]))'
    total = f"sum by ({by}) (increase(relay_probe_pair_seconds_total[{window}]))"
    disconnects = f'sum by ({by}) (increase(relay_probe_disconnects_total{{code!~"3001|2500"}}[{window}]))'
    enough = f"{disconnects} > {MIN_FAILURES - 0.5:g}"
    return Alert(
        name="RelayPairsUnstable",
        severity="warning",
        expr=f"{disconnected}\n/ ({total} > 0) > 0.01\nand\n{enough}{unless_down(UNSTABLE_WINDOW)}",
        pending_for=60.0,  # RelayDown fires by then, if it is an outage
        keep_firing_for=300.0,
        summary="Persistent connections to {{ $labels.relay }} are unstable",
        description="Persistent connections of probe {{ $labels.probe }} to {{ $labels.relay }} were disconnected for "
        f"{{{{ $value | humanizePercentage }}}} of the last {window}; disconnects by shutdown (3001) and insufficient "
        "state (2500) are not counted.",
        dashboard=RELAY_DASHBOARD,
    )


def _rate_limited() -> Alert:
    failures = 'relay_probe_failures_total{reason="rate_limited"}'
    return Alert(
        name="RelayProbeRateLimited",
        severity="warning",
        expr=f"sum by (relay, probe, location) (increase({failures}[15m])) > 0.5",
        summary="{{ $labels.relay }} is rate-limiting the monitor",
        description="{{ $labels.relay }} rate-limits probe {{ $labels.probe }}; the monitor does not confirm failures "
        "until it may connect again.",
        dashboard=RELAY_DASHBOARD,
    )
