"""Alerts about what probes measure on a relay that is up: latency trend, unstable connections, rate limiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.burn_rate import MIN_FAILURES
from monitor.config import show_duration
from monitor.config.traffic import TREND_EVENTS
from monitor.slo.rules import templates
from monitor.slo.rules.explained import DROPS, unexplained
from monitor.slo.rules.rule import RELAY_DASHBOARD, Alert, any_of
from monitor.slo.rules.timing import Timing
from monitor.slo.rules.verdicts import LOCAL_RELAY, Selectors
from monitor.vocabulary import Sli

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.config import Config

TREND_PENDING: Final = 600.0
"""Seconds for which the quantiles must exceed the baseline."""

UNSTABLE_WINDOW: Final = 900.0
"""Seconds over which disconnects and disconnected time are counted."""


LIMITED_WAIT: Final = 300.0
"""Seconds for which a relay must go on to limit the monitor."""


def alerts(config: Config) -> Iterator[Alert]:
    """Yield the alerts about what probes measure."""
    own, timing = Selectors(config), Timing.of(config)
    yield from _trend(config, own)
    if any(probe.is_continuous for probe in config.probes):
        yield _unstable(own, timing)
    yield _rate_limited(own, timing)


def _trend(config: Config, own: Selectors) -> Iterator[Alert]:
    by = f"{LOCAL_RELAY}, probe"
    for slo in config.slos:
        if slo.sli is not Sli.TREND or slo.factor is None:
            continue
        matcher = f'probe=~"{any_of(slo.probe)}"'
        buckets = own("relay_probe_round_trip_seconds_bucket", matcher)
        count = own("relay_probe_round_trip_seconds_count", matcher)
        baseline = show_duration(slo.window)
        where = f"{templates.HERE}, probe=$probe"
        before = (
            f"histogram_quantile(0.99, sum by (le) (rate(relay_probe_round_trip_seconds_bucket{{{where}}}"
            f"[{baseline}] offset 1h)))"
        )
        slower = "\nand\n".join(
            f"histogram_quantile({q:g}, sum by (le, {by}) (rate({buckets}[1h])))\n"
            f"> {factor:g} * histogram_quantile({q:g}, sum by (le, {by}) (rate({buckets}[{baseline}] offset 1h)))"
            for q, factor in trend_factors(slo.factor)
        )
        yield Alert(
            name="RelayLatencyTrend",
            severity="warning",
            expr=own.owned(
                f"{slower}\n"
                f"and\nsum by ({by}) (increase({count}[1h])) > {TREND_EVENTS}\n"
                f"and\nsum by ({by}) (increase({count}[{baseline}] offset 1h)) > {TREND_EVENTS}"
            ),
            pending_for=TREND_PENDING,
            labels={"slo": slo.name},
            summary="Round-trip latency of {{ $labels.relay }} is above its baseline: P99 {{ $value | "
            "humanizeDuration }}" + templates.first(before, ", was {{ .Value | humanizeDuration }}"),
            description=f"The P99 of the last hour is more than {slo.factor:g}× that of the {baseline} before, and "
            "the P90 "
            "has risen too; probe {{ $labels.probe }}, from {{ $labels.location }}."
            + templates.condition(templates.HERE)
            + "\nHow sure: "
            + templates.number(f"sum(increase(relay_probe_round_trip_seconds_count{{{where}}}[1h]))")
            + " round trips within the hour."
            "\nFirst: on the dashboard, compare the relay's own part (wire) with the round trip; then load and the "
            "latest "
            "deploy. If all relays are slower, check this monitor's host and network.",
            dashboard=RELAY_DASHBOARD,
        )


def trend_factors(factor: float) -> tuple[tuple[float, float], ...]:
    """Return the quantiles of a trend, each with the factor by which it must exceed its baseline.

    The P90 must grow half as much as the P99. The P99 of an hour is the seventh slowest of seven hundred round trips,
    read between two edges of a histogram, and reaches 1.2 times the day's by chance alone; the P90 does not.
    """
    return (0.99, factor), (0.9, 1 + (factor - 1) / 2)


def _unstable(own: Selectors, timing: Timing) -> Alert:
    """The warning about persistent connections that drop repeatedly, apart from outages that have paged."""
    by, window = f"{LOCAL_RELAY}, probe", show_duration(timing.window(UNSTABLE_WINDOW))
    dropped = f'relay_probe_disconnects_total{{{templates.HERE}, probe=$probe, code!~"3001|2500"}}'
    codes = f"sum by (code) (increase({dropped}[{window}])) > 0"
    disconnected = own("relay_probe_pair_seconds_total", 'state="disconnected"')
    total = f"sum by ({by}) (increase({own('relay_probe_pair_seconds_total')}[{window}]))"
    return Alert(
        name="RelayPairsUnstable",
        severity="warning",
        expr=own.owned(
            f"sum by ({by}) (increase({disconnected}[{window}]))\n/ ({total} > 0) > 0.01\n"
            f"and\n{unexplained(own, timing.window(UNSTABLE_WINDOW), counter=DROPS)} > {MIN_FAILURES - 0.5:g}"
        ),
        pending_for=timing.wait(60.0),
        keep_firing_for=timing.keep(300.0),
        summary="Persistent connections to {{ $labels.relay }} are unstable"
        + templates.first(f"topk(1, {codes})", ": close code {{ .Labels.code }}"),
        description="Connections of probe {{ $labels.probe }} from {{ $labels.location }} were disconnected for "
        f"{{{{ $value | humanizePercentage }}}} of the last {window}."
        + templates.condition(templates.HERE)
        + "\nHow sure: "
        + templates.number(f"sum({codes})")
        + f" drops within {window}; those of deploys (3001, 2500) and of outages that paged are not counted."
        "\nFailing layer: established connections."
        "\nFirst: code none: idle timeouts and resets of load balancers; 3005, 3006: the token; 3012: pings; else "
        "restarts.",
        dashboard=RELAY_DASHBOARD,
    )


def _rate_limited(own: Selectors, timing: Timing) -> Alert:
    failures = own("relay_probe_failures_total", 'reason="rate_limited"')
    window = show_duration(timing.window(900.0))
    increase = f"sum by ({LOCAL_RELAY}, probe) (increase({failures}[{window}])) > 0.5"
    limited = templates.failures(window, f'{templates.HERE}, probe=$probe, reason="rate_limited"')
    return Alert(
        name="RelayProbeRateLimited",
        severity="warning",
        expr=own.owned(increase),
        summary="{{ $labels.relay }} is rate-limiting the monitor" + templates.cause(limited),
        description="Runs of probe {{ $labels.probe }} that were refused within "
        f'{window}, from {{{{ $labels.location }}}}: {{{{ $value | printf "%.0f" }}}}. '
        "The monitor makes one attempt every 20 s, and nothing else, until it is accepted again."
        + templates.condition(templates.HERE)
        + "\nHow sure: the relay's own answer (429, Retry-After, error 111 or close code 3013, 3504)."
        "\nFirst: if users are refused too, the limit or the load; if only this monitor is, compare the relay's limits "
        "with what `relay-monitor check` prints.",
        dashboard=RELAY_DASHBOARD,
    )
