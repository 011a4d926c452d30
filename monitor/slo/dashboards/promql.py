"""The expressions of the dashboards, put together from few parts.

Every selector of the monitor's own series holds `job` and `instance`, so that one Grafana can show several monitors.
`slo:*` and `ALERTS` come from Prometheus' rules and have neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

MONITOR: Final = 'job=~"$job", instance=~"$instance", location=~"$location"'
RELAY: Final = f'{MONITOR}, relay=~"$relay"'
PROBE: Final = f'{RELAY}, probe=~"$probe"'
RECORDED: Final = 'location=~"$location", relay=~"$relay"'
# An alert about the monitor itself has no relay, and one about a quorum no location.
ALERT: Final = 'service="relay-monitor", alertname!="Watchdog", relay=~"$relay|", location=~"$location|"'
WATCHDOG: Final = 'ALERTS{service="relay-monitor", alertname="Watchdog", alertstate="firing"}'
OBJECTIVE: Final = ("relay", "slo", "probe", "location")


def select(name: str, where: str, *more: str) -> str:
    """The series of a metric."""
    return f"{name}{{{', '.join((where, *more))}}}"


def rate(series: str) -> str:
    """Its increase a second."""
    return f"rate({series}[$__rate_interval])"


def increase(series: str, over: str = "$__rate_interval") -> str:
    """Its increase, over the interval that a point of the graph stands for."""
    return f"increase({series}[{over}])"


def add(expr: str, by: Sequence[str] = ()) -> str:
    """The sum, for each value of the labels `by`."""
    return f"sum by ({', '.join(by)}) ({expr})" if by else f"sum({expr})"


def share(part: str, whole: str, by: Sequence[str] = ()) -> str:
    """One sum as a part of another."""
    return f"{add(part, by)} / {add(whole, by)}"


def quantile(q: float, histogram: str, where: str, *more: str, by: Sequence[str] = ()) -> str:
    """A quantile of a histogram, in seconds."""
    return f"histogram_quantile({q}, {add(rate(select(f'{histogram}_bucket', where, *more)), ('le', *by))})"


def mean(histogram: str, where: str, *more: str, by: Sequence[str] = ()) -> str:
    """The mean of a histogram, in seconds. Means of parts add up to the mean of the whole; quantiles do not."""
    return share(rate(select(f"{histogram}_sum", where, *more)), rate(select(f"{histogram}_count", where, *more)), by)


def buckets(histogram: str, where: str, *more: str) -> str:
    """What a heatmap shows: how many fell into each bucket."""
    return add(increase(select(f"{histogram}_bucket", where, *more)), ("le",))


def state(gauge: str, where: str, by: Sequence[str]) -> str:
    """The worst of a gauge for each value of `by`; −1 where it has gone silent within the range that is shown."""
    series, labels = select(gauge, where), ", ".join(by)
    gone = f"0 * min by ({labels}) (last_over_time({series}[$__range])) - 1"
    return f"min by ({labels}) ({series}) or {gone}"


def firing(*more: str) -> str:
    """The number of alerts that fire: 0 only while the rules are evaluated, which the Watchdog tells."""
    alerts = select("ALERTS", ALERT, 'alertstate="firing"', *more)
    return f"count({alerts}) or 0 * max({WATCHDOG})"


def burning(window: str) -> str:
    """How many times too fast the budget of each objective burns; those that have no budget are left out."""
    ratio = select(f"slo:sli_error:ratio_rate{window}", RECORDED)
    budget = select("slo:error_budget:ratio", RECORDED)
    labels = ", ".join(OBJECTIVE)
    return f"max by ({labels}) ({ratio}) / max by ({labels}) ({budget} > 0)"


def recorded(name: str) -> str:
    """A recorded series of each objective."""
    return f"max by ({', '.join(OBJECTIVE)}) ({select(name, RECORDED)})"
