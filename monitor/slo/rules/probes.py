"""Alerts about what probes see beside up and down: slower than before, unstable, rate-limited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.burn_rate import MIN_FAILURES
from monitor.config import show_duration
from monitor.slo.rules.rule import Alert, any_of, unless_down
from monitor.vocabulary import Sli

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.config import Config

DETAIL: Final = "relay-monitor-relay?var-relay={{ $labels.relay }}"
"""The dashboard that an alert about a relay opens."""

TREND_EVENTS: Final = 100
"""Round trips that a P99 needs."""

TREND_WAIT: Final = 600.0
"""Seconds for which they must have been slower."""

UNSTABLE: Final = 900.0
"""Seconds in which standing connections drop again and again."""


def probe_alerts(config: Config) -> Iterator[Alert]:
    """All of them."""
    yield from _trend(config)
    yield from _unstable(config)
    yield from _limited()


def _trend(config: Config) -> Iterator[Alert]:
    for slo in config.slos:
        if slo.sli is not Sli.TREND or slo.factor is None:
            continue
        by = "le, relay, probe, location"
        buckets = f'relay_probe_round_trip_seconds_bucket{{probe=~"{any_of(slo.probe)}"}}'
        counted = f'relay_probe_round_trip_seconds_count{{probe=~"{any_of(slo.probe)}"}}'
        before = show_duration(slo.window)
        slower = "\nand\n".join(
            f"histogram_quantile({share:g}, sum by ({by}) (rate({buckets}[1h])))\n"
            f"> {factor:g} * histogram_quantile({share:g}, sum by ({by}) (rate({buckets}[{before}] offset 1h)))"
            for share, factor in quantiles(slo.factor)
        )
        yield Alert(
            name="RelayLatencyTrend",
            severity="warning",
            expr=f"{slower}\n"
            f"and\nsum by (relay, probe, location) (increase({counted}[1h])) > {TREND_EVENTS}\n"
            f"and\nsum by (relay, probe, location) (increase({counted}[{before}] offset 1h)) > {TREND_EVENTS}",
            wait=TREND_WAIT,
            labels={"slo": slo.name},
            summary="Round trips have become slower than they were.",
            description="P99 of the last hour at {{ $labels.relay }} (probe {{ $labels.probe }}) is more than "
            f"{slo.factor:g} times that of the {before} before, and the P90 has grown too; P99 now "
            "{{ $value | humanizeDuration }}.",
            panel=DETAIL,
        )


def quantiles(factor: float) -> tuple[tuple[float, float], ...]:
    """What must have grown, and how many times at least: the P99, and half as much the P90.

    An hour's P99 is the seventh slowest of seven hundred, read between two edges of a histogram: by chance alone it is
    1.2 times the day's now and then. Not so the P90.
    """
    return (0.99, factor), (0.9, 1 + (factor - 1) / 2)


def _unstable(config: Config) -> Iterator[Alert]:
    if not any(probe.is_continuous for probe in config.probes):
        return  # nothing stands
    by, span = "relay, probe, location", show_duration(UNSTABLE)
    away = f'sum by ({by}) (increase(relay_probe_pair_seconds_total{{state="disconnected"}}[{span}]))'
    every = f"sum by ({by}) (increase(relay_probe_pair_seconds_total[{span}]))"
    drops = f'sum by ({by}) (increase(relay_probe_disconnects_total{{code!~"3001|2500"}}[{span}]))'
    yield Alert(
        name="RelayPairsUnstable",
        severity="warning",
        expr=f"{away}\n/ ({every} > 0) > 0.01\nand\n{drops} > {MIN_FAILURES - 0.5:g}{unless_down(UNSTABLE)}",
        wait=60.0,  # by then it is known whether it is an outage
        keep_firing=300.0,
        summary="Standing connections drop again and again.",
        description="Standing connections of probe {{ $labels.probe }} at {{ $labels.relay }} were away "
        "{{ $value | humanizePercentage }} of a quarter of an hour; shutdowns and lost positions not counted.",
        panel=DETAIL,
    )


def _limited() -> Iterator[Alert]:
    limited = 'relay_probe_failures_total{reason="rate_limited"}'
    yield Alert(
        name="RelayProbeRateLimited",
        severity="warning",
        expr=f"sum by (relay, probe, location) (increase({limited}[15m])) > 0.5",
        summary="The relay asks the monitor for less.",
        description="{{ $labels.relay }} rate-limits probe {{ $labels.probe }}; nothing is confirmed meanwhile.",
        panel=DETAIL,
    )
