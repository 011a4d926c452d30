"""Rules that record what the dashboards read, in the fewest words, for as long as none are generated."""

from __future__ import annotations

from typing import Any

WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d")
BY = "by (slo, relay, probe, location)"
BUDGET = "(slo:error_budget:ratio > 0)"


def stand_in() -> dict[str, Any]:
    """The rules file."""
    events = "relay_slo_events_total"
    each = f"(0 * sum {BY} ({events}) + 1)"
    objective = f"{each} * on (slo, relay, location) group_left () relay_slo_objective_ratio"
    recorded = {
        **{
            f"slo:sli_error:ratio_rate{window}": f'sum {BY} (increase({events}{{outcome="bad"}}[{window}]))'
            f" / (sum {BY} (increase({events}[{window}])) > 0)"
            for window in WINDOWS
        },
        "slo:objective:ratio": objective,
        "slo:error_budget:ratio": "1 - slo:objective:ratio",
        "slo:current_burn_rate:ratio": f"slo:sli_error:ratio_rate5m / {BUDGET}",
        "slo:period_error_budget_remaining:ratio": f"1 - slo:sli_error:ratio_rate30d / {BUDGET}",
    }
    alerts = {"Watchdog": ("vector(1)", "none"), "RelayDown": ("max by (relay) (relay_up) == 0", "critical")}
    return {
        "groups": [
            {"name": "recorded", "rules": [{"record": name, "expr": expr} for name, expr in recorded.items()]},
            {
                "name": "alerts",
                "rules": [
                    {"alert": name, "expr": expr, "labels": {"severity": severity, "service": "relay-monitor"}}
                    for name, (expr, severity) in alerts.items()
                ],
            },
        ]
    }
