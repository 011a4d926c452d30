"""The dashboard of a running load test: one screen, with the names of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.slo.dashboard_uid import dashboard_uid
from monitor.slo.dashboards.model import NO_DATA, Column, Dashboard, Kind, Panel, Query, Row, Variable
from monitor.slo.dashboards.palette import AMBER, BLUE, DEPLOY, GREEN, NEUTRAL, OUTCOMES, QUANTILES, RED, by_word
from monitor.slo.dashboards.promql import OWN, events, quantile, ratio_of, select
from monitor.slo.dashboards.shared_panels import page_url, titled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitor.config import Config

UID: Final = "relay-monitor-load"

SCRAPE: Final = 5.0
"""Seconds between two scrapes of a test, which takes minutes."""

ROUND_TRIP: Final = 0.4
SUCCESS: Final = (0.99, 0.95)
SHARES: Final = (0.999, 0.99)
"""The objectives of a load test without a configuration: the P99 in seconds, and the green and the yellow shares."""

PERCENTILES: Final = (
    ("min", "0"), ("p50", "0.5"), ("p90", "0.9"), ("p95", "0.95"), ("p99", "0.99"), ("p99.9", "0.999"), ("max", "1"),
)  # fmt: skip
"""The columns of the table of latencies, and the values of the label `quantile`."""

_PAIRS: Final = "relay_load_pairs"
_EXCHANGES: Final = "relay_load_exchanges_total"
_CONNECTS: Final = "relay_load_connects_total"
_ERRORS: Final = "relay_load_errors_total"
_SECONDS: Final = "relay_load_pair_seconds_total"
_LATENCY: Final = "relay_load_latency_seconds"

NO_EXCHANGE: Final = "the scenario makes no exchanges"
NO_UPTIME: Final = "the scenario does not hold connections"
NO_FAILURE: Final = "nothing fails"
SCRAPED: Final = "the test is scraped"


def load_test(config: Config) -> Dashboard:
    """Return the dashboard of a running load test."""
    return Dashboard(
        uid=dashboard_uid(UID, config.install),
        file="load-test.json",
        title=titled(config, "Load test"),
        description="Does the relay stand the load? A test of `relay-monitor load --metrics ADDRESS`, while it runs: "
        f"let Prometheus scrape that address every {SCRAPE:g} s.",
        variables=(
            Variable(name="job", label="Job", source=_PAIRS),
            Variable(name="instance", label="Instance", source=select(_PAIRS, 'job=~"$job"')),
        ),
        annotations=(),
        rows=(
            Row(
                title="",
                panels=(*_numbers(), *_ramp_up(), _round_trips(), _percentiles(), _failures()),
            ),
        ),
        scrape_interval=SCRAPE,
        external_url=page_url(config),
        runbook_base_url=config.alerts.runbook_base_url,
        range="now-15m",
    )


def _events(series: str, by: Sequence[str]) -> str:
    """Return the counts of one interval, for bars; a test counts from 0, so all counts of a new series are new."""
    return events(series, by, target=None)


def _pairs(state: str) -> str:
    matcher = f'state="{state}"'
    return f"sum({select(_PAIRS, OWN, matcher)})"


def _numbers() -> tuple[Panel, ...]:
    connects, exchanges = select(_CONNECTS, OWN), select(_EXCHANGES, OWN, 'outcome=~"ok|failed"')
    seconds = select(_SECONDS, OWN)
    left = f"max({select('relay_load_start_time_seconds', OWN)} + {select('relay_load_planned_seconds', OWN)}) - time()"
    return (
        Panel(
            kind=Kind.STAT,
            title="Pairs",
            description="How far is the ramp-up? Open pairs of those planned; connections, if the scenario has no "
            "pairs.",
            queries=tuple(Query(expr=_pairs(state), legend=state) for state in ("open", "planned")),
            unit="none",
            width=4,
            height=4,
            named=True,
        ),
        _share(
            "Success",
            "Which share of pairs or connections could connect?",
            ratio_of(select(_CONNECTS, OWN, 'outcome!="failed"'), connects),
            SUCCESS,
        ),
        _share(
            "Delivery",
            "Which share of the exchanges succeeded? With offline wallets: of the messages, how many were recovered?",
            ratio_of(select(_EXCHANGES, OWN, 'outcome="ok"'), exchanges),
            SHARES,
        ),
        Panel(
            kind=Kind.STAT,
            title="Round trip P99",
            description="How slow are the slowest exchanges? The P99 of the test so far, exact as in the report.",
            queries=(Query(expr=_percentile("0.99", 'latency="round trip"'), empty_reason=NO_EXCHANGE),),
            unit="s",
            width=3,
            height=4,
            steps=((0, GREEN), (ROUND_TRIP, RED)),
            no_value="no round trip",
        ),
        _share(
            "Stability",
            "Do connections stay? Share of the time that pairs or connections were connected.",
            ratio_of(select(_SECONDS, OWN, 'state="connected"'), seconds),
            SHARES,
            empty_reason=NO_UPTIME,
            no_value="not held",
        ),
        Panel(
            kind=Kind.STAT,
            title="Failures",
            description="How many connects, pairings and exchanges failed?",
            queries=(Query(expr=f"sum({select(_ERRORS, OWN)}) or 0 * sum({connects})"),),
            unit="none",
            width=4,
            height=4,
            steps=((0, GREEN), (1, RED)),
        ),
        Panel(
            kind=Kind.STAT,
            title="Time left",
            description="When does it end? Without errors; failed runs prolong a test.",
            queries=(Query(expr=f"clamp_min({left}, 0)"),),
            unit="s",
            decimals=0,
            width=4,
            height=4,
        ),
    )


def _share(
    title: str,
    description: str,
    expr: str,
    limits: tuple[float, float],
    *,
    empty_reason: str = "",
    no_value: str = "no data",
) -> Panel:
    good, fair = limits
    return Panel(
        kind=Kind.STAT,
        title=title,
        description=description,
        queries=(Query(expr=expr, empty_reason=empty_reason),),
        unit="percentunit",
        decimals=2,
        width=3,
        height=4,
        steps=((0, RED), (fair, AMBER), (good, GREEN)),
        no_value=no_value,
    )


def _ramp_up() -> tuple[Panel, ...]:
    return (
        Panel(
            kind=Kind.TIME_SERIES,
            title="Ramp-up",
            description="Does the test keep its plan? Pairs or connections that are due, have started, and are open. "
            "Started below due: this program is too slow. Open below started: the relay is.",
            queries=tuple(Query(expr=_pairs(state), legend=state) for state in ("planned", "due", "started", "open")),
            unit="none",
            width=8,
            colours=by_word({"planned": NEUTRAL, "due": DEPLOY, "started": BLUE, "open": GREEN}),
            minimum=0,
        ),
        _outcomes(
            "Connects",
            "Do pairs and connections connect at once, after retries, or not at all?",
            _CONNECTS,
            {"immediate": GREEN, "recovered": AMBER, "failed": RED},
        ),
        _outcomes("Exchanges", "How many exchanges are made, and how many of them fail?", _EXCHANGES, OUTCOMES),
    )


def _outcomes(title: str, description: str, counter: str, colours: Mapping[str, str]) -> Panel:
    """Return the counts of each interval by outcome, as bars."""
    return Panel(
        kind=Kind.TIME_SERIES,
        title=title,
        description=description,
        queries=(Query(expr=_events(select(counter, OWN), ("outcome",)), legend="{{outcome}}"),),
        width=8,
        bars=True,
        stacked=True,
        colours=by_word(colours),
        minimum=0,
    )


def _round_trips() -> Panel:
    return Panel(
        kind=Kind.TIME_SERIES,
        title="Round trip over time",
        description="Does the relay become slower? Quantiles of the round trips of 20 s; of offline wallets, of "
        "their recoveries.",
        queries=tuple(
            Query(
                expr=quantile(share, f"relay_load_{name}_seconds", OWN),
                legend=f"P{round(share * 100)}{suffix}",
                colour=colour,
                empty_reason=NO_EXCHANGE,
            )
            for name, suffix in (("round_trip", ""), ("recovery", " recovery"))
            for share, colour in QUANTILES.items()
        ),
        unit="s",
        width=8,
        threshold_lines=((ROUND_TRIP, NEUTRAL),),
        minimum=0,
    )


def _percentile(share: str, *more: str) -> str:
    quantile_is = f'quantile="{share}"'
    return f"max by (latency) ({select(_LATENCY, OWN, quantile_is, *more)})"


def _percentiles() -> Panel:
    return Panel(
        kind=Kind.TABLE,
        title="Latency by percentile",
        description="How long does each part take? All of the test so far, exact as in the report; of several "
        "processes the slowest.",
        queries=(
            Query(
                expr=f"sum by (latency) ({select(f'{_LATENCY}_count', OWN)}) > 0",
                column="count",
                unit="none",
                width=58,
            ),
            *(
                Query(expr=_percentile(share), column=name, unit="s", empty_text="–", decimals=1, width=74)
                for name, share in PERCENTILES
            ),
        ),
        width=11,
        labels=(Column(label="latency", width=112),),
        sort=("latency",),
    )


def _failures() -> Panel:
    return Panel(
        kind=Kind.TIME_SERIES,
        title="Failures by step and reason",
        description="What fails, and at which step? Connects, pairings and exchanges, each by its first failure.",
        queries=(
            Query(
                expr=f"{_events(select(_ERRORS, OWN), ('step', 'reason'))} > 0",
                legend="{{step}}: {{reason}}",
                empty_reason=NO_FAILURE,
            ),
            # Without data it is not known that nothing failed.
            Query(expr=f"0 * absent({select(_PAIRS, OWN)} @ end())", legend=NO_DATA, empty_reason=SCRAPED),
        ),
        width=5,
        bars=True,
        stacked=True,
        minimum=0,
        no_value="nothing failed",
    )
