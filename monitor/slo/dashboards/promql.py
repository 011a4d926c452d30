"""Building blocks of the dashboards' expressions.

Every selector of the monitor's series has `install`, `job` and `instance`, so that one Grafana can show several
installs and monitors. The series of Prometheus' rules, `slo:*` and `ALERTS`, have neither job nor instance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.drill import ALERT as DRILL_ALERT
from monitor.vocabulary import Condition

if TYPE_CHECKING:
    from collections.abc import Sequence

OWN: Final = 'job=~"$job", instance=~"$instance"'
"""Selects what Prometheus and the process's collector say of a monitor, which has no label of the install."""

# Grafana does not escape the value of a variable that has one value: `=~` would take the dots of a name for patterns.
MONITOR: Final = f'install="$install", {OWN}, location=~"$location"'
RELAY: Final = f'{MONITOR}, relay=~"$relay"'
PROBE: Final = f'{RELAY}, probe=~"$probe"'
RECORDED: Final = 'install="$install", location=~"$location", relay=~"$relay"'
EVERYWHERE: Final = 'install="$install", relay=~"$relay"'
THIS_RELAY: Final = f'{MONITOR}, relay="$relay"'
THIS_PROBE: Final = f'{THIS_RELAY}, probe=~"$probe"'

_ALERTS: Final = f'service="relay-monitor", install="$install", alertname!~"Watchdog|{DRILL_ALERT}"'
# Alerts about a monitor have no relay, and alerts with a quorum no location.
ALERT: Final = f'{_ALERTS}, relay=~"$relay|", location=~"$location|"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a dashboard is about: the matchers of a relay's series, of recorded series and of alerts.

    `everywhere` are the matchers of series that are recorded over all locations together.
    """

    relay: str
    recorded: str
    everywhere: str
    alerts: str


SELECTED_RELAYS: Final = Subject(relay=RELAY, recorded=RECORDED, everywhere=EVERYWHERE, alerts=ALERT)
"""The relays of a variable with several values, and the monitors."""

ONE_RELAY: Final = Subject(
    relay=THIS_RELAY,
    recorded='install="$install", location=~"$location", relay="$relay"',
    everywhere='install="$install", relay="$relay"',
    alerts=f'{_ALERTS}, relay="$relay", location=~"$location|"',
)
"""The relay of a variable with one value."""

MONITORS: Final = Subject(
    relay=RELAY,
    recorded=RECORDED,
    everywhere=EVERYWHERE,
    alerts=f'{_ALERTS}, alertname=~"RelayMonitor.*", location=~"$location|"',
)
"""The monitors themselves."""

WATCHDOG: Final = 'ALERTS{service="relay-monitor", install="$install", alertname="Watchdog", alertstate="firing"}'
"""Exists while Prometheus evaluates the rules of the install; those of another install say nothing of them."""

CONDITIONS: Final = (
    Condition.UP, Condition.DEGRADED, Condition.UNKNOWN, Condition.NOT_ACCEPTING, Condition.DOWN,
)  # fmt: skip
"""The conditions of a relay; the position is the number that dashboards show, the worst last."""

ALERT_LABELS: Final = ("alertname", "relay", "location", "slo")
"""The labels by which a firing alert counts once, whatever its windows, probes and severities."""

_MEMORY: Final = "15m"
"""Time within which a version that comes back is not new."""

_SCRAPED: Final = "5m"
"""Time that the last sample of a counter is old at most, as Prometheus takes it for scraped series."""

_ALERT_MEMORY: Final = "5m"
"""Time within which an alert that fires again has not started again; a restart of Prometheus is shorter."""

BUDGET_LABELS: Final = ("relay", "slo", "probe", "location")


def select(name: str, where: str, *more: str) -> str:
    """Return the selector of a metric."""
    return f"{name}{{{', '.join((where, *more))}}}"


def rate(series: str) -> str:
    """Return the rate of a counter per second."""
    return f"rate({series}[$__rate_interval])"


def increase(series: str, window: str = "$__rate_interval") -> str:
    """Return the increase of a counter over a window; by default the interval of one point of the graph."""
    return f"increase({series}[{window}])"


def events(series: str, by: Sequence[str] = (), target: str | None = OWN) -> str:
    """Return the events of a counter within one interval of the graph, each counted once, for bars.

    The difference of the counter at both ends of the interval: over a range the bars add up to the counter's own
    difference, which `increase` over overlapping or extrapolated windows does not. After a failed scrape a series is
    stale: its last sample counts, and the next bar has what came meanwhile. After a reset, and of a series that is new
    while its process was scraped before, all counts are new. `target` selects `up` of the processes; None: whose
    counters are 0 when they are first scraped.
    """
    now, before = f"last_over_time({series}[$__interval])", f"last_over_time({series}[{_SCRAPED}] offset $__interval)"
    scraped = ""
    if target is not None:
        up = f"{select('up', target)}[{_SCRAPED}] offset $__interval"
        scraped = f" and on (job, instance) max_over_time({up}) == 1"
    return sum_by(f"{now} - ({before} <= {now} or 0 * {now}{scraped})", by)


def events_of_most(series: str, by: Sequence[str], limit: int = 10, target: str = OWN) -> str:
    """Return `events` of the label sets that have most of them in the selected range, and of all others together.

    The others have the label values "other" and "…". Label sets without events are in neither.
    """
    labels, counted = ", ".join(by), events(series, by, target)
    most = f"topk({limit}, {sum_by(f'increase({series}[$__range] @ end())', by)} > 0)"
    others = f"sum({counted} unless on ({labels}) {most}) > 0"
    for label, text in zip(by, ("other", *["…"] * len(by)), strict=False):
        others = f'label_replace({others}, "{label}", "{text}", "", "")'
    return f"{counted} and on ({labels}) {most} or {others}"


def first_seen(series: str, by: Sequence[str], among: Sequence[str] = ()) -> str:
    """Return the label sets that are new, at one point of time each, for annotations.

    New is what was not there within `_MEMORY` before: a failed scrape is no deploy. Nothing is new where there was
    nothing before. `among` are the labels within which there must have been something.
    """
    before = f"last_over_time({series}[{_MEMORY}] offset $__interval)"
    now, old = sum_by(f"last_over_time({series}[$__interval])", by), sum_by(before, by)
    return f"{now} unless {old} and on ({', '.join(among)}) {sum_by(before, among)}"


def started(alerts: str, by: Sequence[str]) -> str:
    """Return the alerts that started to fire within one interval, at one point of time each, for annotations."""
    labels = ", ".join(by)
    return (
        f"max by ({labels}) (last_over_time({alerts}[$__interval])) "
        f"unless max by ({labels}) (last_over_time({alerts}[{_ALERT_MEMORY}] offset $__interval))"
    )


def or_nothing(expr: str) -> str:
    """Return an expression without labels, NaN where it has no value, so that a number never shows an old one."""
    return f"({expr}) or vector(NaN)"


def or_text(expr: str, series: str, label: str, text: str, *, value: int = 0, unless_absent: str = "") -> str:
    """Return an expression; without `series` at the end of the range, `value` with a text as label, for a legend.

    With `unless_absent`, only while these other series exist.
    """
    missing = f"{value} * absent({series} @ end())" + (
        f" and on () count({unless_absent} @ end())" if unless_absent else ""
    )
    return f'{expr} or max by ({label}) (label_replace({missing}, "{label}", "{text}", "", ""))'


def sum_by(expr: str, by: Sequence[str] = ()) -> str:
    """Return the sum by these labels."""
    return f"sum by ({', '.join(by)}) ({expr})" if by else f"sum({expr})"


def ratio_of(part: str, total: str, by: Sequence[str] = ()) -> str:
    """Return the ratio of two sums."""
    return f"{sum_by(part, by)} / {sum_by(total, by)}"


def quantile(q: float, histogram: str, where: str, *more: str, by: Sequence[str] = ()) -> str:
    """Return a quantile of a histogram, in seconds."""
    return f"histogram_quantile({q}, {sum_by(rate(select(f'{histogram}_bucket', where, *more)), ('le', *by))})"


def mean(histogram: str, where: str, *more: str, by: Sequence[str] = ()) -> str:
    """Return the mean of a histogram, in seconds. Means of parts add up to the mean of the total; quantiles do not."""
    return ratio_of(
        rate(select(f"{histogram}_sum", where, *more)), rate(select(f"{histogram}_count", where, *more)), by
    )


def buckets(histogram: str, where: str, *more: str) -> str:
    """Return the increase of each bucket, for a heatmap."""
    return sum_by(increase(select(f"{histogram}_bucket", where, *more)), ("le",))


def worst_state(gauge: str, where: str, by: Sequence[str]) -> str:
    """Return the minimum of a gauge by these labels; −1 where it has no data now but had some in the selected range."""
    series, labels = select(gauge, where), ", ".join(by)
    gone = f"0 * min by ({labels}) (last_over_time({series}[$__range])) - 1"
    return f"min by ({labels}) ({series}) or {gone}"


def _of_condition(where: str, condition: Condition) -> str:
    return select("relay_state", where, f'state="{condition}"')


def condition(where: str, by: Sequence[str]) -> str:
    """Return the worst condition by these labels as a number, the position in `CONDITIONS`."""
    parts = " or ".join(f"{number} * ({_of_condition(where, each)} == 1)" for number, each in enumerate(CONDITIONS))
    return f"max by ({', '.join(by)}) ({parts})"


def worst_condition(where: str, by: Sequence[str]) -> str:
    """Return the worst condition by these labels as a number; −1 where it has no data now but had some in the range."""
    gone = f"0 * max by ({', '.join(by)}) (last_over_time({select('relay_state', where)}[$__range])) - 1"
    return f"{condition(where, by)} or {gone}"


def not_up_longest(where: str, limit: int) -> str:
    """Return the relays that are not up now or were not in the selected range, at most so many, by label relay."""
    other = select("relay_state", where, 'state!="up"')
    share = f"avg_over_time({other}[$__range] @ end())"
    return f"topk({limit}, max by (relay) ({share} + {other} @ end() or {share}) > 0)"


def in_maintenance(subject: Subject = SELECTED_RELAYS) -> str:
    """Return the relays whose alerts are muted: all locations that vote are in a maintenance window."""
    return select("relay:maintenance", subject.everywhere)


def firing_count(subject: Subject, severity: str, *worse: str) -> str:
    """Return the number of alerts of a severity that fire outside maintenance, one of several windows or probes once.

    One that fires with a `worse` severity too, as that of an error budget does, is not counted. 0 only while the
    Watchdog fires, so that the rules are evaluated.
    """

    def firing(severity: str) -> str:
        alerts = select("ALERTS", subject.alerts, 'alertstate="firing"', f'severity="{severity}"')
        return f"max by ({', '.join(ALERT_LABELS)}) ({alerts})"

    counted = " unless ".join(map(firing, (severity, *worse)))
    return f"count({counted} unless on (relay) {in_maintenance(subject)}) or 0 * max({WATCHDOG})"


def burn_rate(window: str, subject: Subject = SELECTED_RELAYS, by: Sequence[str] = BUDGET_LABELS) -> str:
    """Return the burn rate of each error budget; objectives of 100 % have none."""
    ratio = select(f"slo:sli_error:ratio_rate{window}", subject.recorded)
    budget = select("slo:error_budget:ratio", subject.recorded)
    budgets = ", ".join(BUDGET_LABELS)
    rates = f"max by ({budgets}) ({ratio}) / max by ({budgets}) ({budget} > 0)"
    return rates if tuple(by) == BUDGET_LABELS else f"max by ({', '.join(by)}) ({rates})"


def recorded(
    name: str, subject: Subject = SELECTED_RELAYS, by: Sequence[str] = BUDGET_LABELS, worst: str = "max"
) -> str:
    """Return a recorded series by the labels of an error budget, or by some of them and the worst of the others.

    The last value of five minutes, as Prometheus takes it for scraped series: one failed scrape is no missing budget.
    """
    return f"{worst} by ({', '.join(by)}) (last_over_time({select(name, subject.recorded)}[5m]))"


def remaining_budget(subject: Subject = SELECTED_RELAYS, by: Sequence[str] = BUDGET_LABELS) -> str:
    """Return the share of each error budget that remains, −100 % at least: what was lost beyond has no meaning."""
    return f"clamp_min({recorded('slo:period_error_budget_remaining:ratio', subject, by, 'min')}, -1)"
