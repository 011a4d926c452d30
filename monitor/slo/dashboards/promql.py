"""Building blocks of the dashboards' expressions.

Every selector of the monitor's series has `install`, `job` and `instance`, so that one Grafana can show several
installs and monitors. The series of Prometheus' rules, `slo:*` and `ALERTS`, have neither job nor instance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.vocabulary import Condition

if TYPE_CHECKING:
    from collections.abc import Sequence

OWN: Final = 'job=~"$job", instance=~"$instance"'
"""Selects what Prometheus and the process's collector say of a monitor, which has no label of the install."""

MONITOR: Final = f'install=~"$install", {OWN}, location=~"$location"'
RELAY: Final = f'{MONITOR}, relay=~"$relay"'
PROBE: Final = f'{RELAY}, probe=~"$probe"'
RECORDED: Final = 'install=~"$install", location=~"$location", relay=~"$relay"'
# Alerts about a monitor have no relay, and alerts with a quorum no location.
ALERT: Final = (
    'service="relay-monitor", install=~"$install", alertname!="Watchdog", relay=~"$relay|", location=~"$location|"'
)
WATCHDOG: Final = 'ALERTS{service="relay-monitor", alertname="Watchdog", alertstate="firing"}'
CONDITIONS: Final = (
    Condition.UP, Condition.DEGRADED, Condition.UNKNOWN, Condition.NOT_ACCEPTING, Condition.DOWN,
)  # fmt: skip
"""The conditions of a relay; the position is the number that dashboards show, the worst last."""

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


def worst_condition(where: str, by: Sequence[str]) -> str:
    """Return the worst condition by these labels as a number; −1 where it has no data now but had some in the range."""
    series, labels = select("relay_state", where), ", ".join(by)
    parts = " or ".join(
        f"{number} * ({_of_condition(where, condition)} == 1)" for number, condition in enumerate(CONDITIONS)
    )
    gone = f"0 * max by ({labels}) (last_over_time({series}[$__range])) - 1"
    return f"max by ({labels}) ({parts}) or {gone}"


def firing_count(*more: str) -> str:
    """Return the number of firing alerts; 0 only while the Watchdog fires, so that the rules are evaluated."""
    alerts = select("ALERTS", ALERT, 'alertstate="firing"', *more)
    return f"count({alerts}) or 0 * max({WATCHDOG})"


def burn_rate(window: str) -> str:
    """Return the burn rate of each error budget; objectives of 100 % have none."""
    ratio = select(f"slo:sli_error:ratio_rate{window}", RECORDED)
    budget = select("slo:error_budget:ratio", RECORDED)
    labels = ", ".join(BUDGET_LABELS)
    return f"max by ({labels}) ({ratio}) / max by ({labels}) ({budget} > 0)"


def recorded(name: str) -> str:
    """Return a recorded series by the labels of an error budget."""
    return f"max by ({', '.join(BUDGET_LABELS)}) ({select(name, RECORDED)})"
