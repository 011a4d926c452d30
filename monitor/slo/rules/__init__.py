"""Recording rules and alerts from the SLOs of a configuration, for Prometheus 2.42 and later.

`rule` has them as values and as YAML, `recorded` what is recorded, `relays`, `probes` and `monitors` the alerts,
and `drift` those for monitors that run with another configuration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.config import show_duration
from monitor.slo.rules import drift, monitors, recorded
from monitor.slo.rules.relays import Relays
from monitor.slo.rules.rule import Alert, Group, dump

if TYPE_CHECKING:
    from monitor.config import Config


def groups(config: Config) -> list[Group]:
    """Every rule of a configuration, in groups."""
    return [
        *recorded.groups(config),
        Group(name="relay-alerts", rules=list(Relays(config).alerts())),
        Group(name="relay-monitor-alerts", rules=[*monitors.alerts(config), *drift.alerts(config)]),
    ]


def alerts(config: Config) -> list[Alert]:
    """Every alert of a configuration."""
    return [rule for group in groups(config) for rule in group.rules if isinstance(rule, Alert)]


def rules_file(config: Config, *, operator: bool = False) -> bytes:
    """The rules as a file for Prometheus, or as a PrometheusRule for the Operator."""
    spec = {"groups": [_body(config, group) for group in groups(config)]}
    if not operator:
        return dump(spec)
    return dump(
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {"name": "relay-monitor", "labels": {"app.kubernetes.io/name": "relay-monitor"}},
            "spec": spec,
        }
    )


def _body(config: Config, group: Group) -> dict[str, Any]:
    interval = {"interval": show_duration(group.interval)} if group.interval is not None else {}
    told = config.alerts
    return {
        "name": group.name,
        **interval,
        "rules": [
            rule.body(told.labels, told.runbook_base_url, told.grafana_url) if isinstance(rule, Alert) else rule.body()
            for rule in group.rules
        ],
    }


__all__ = ["Alert", "Group", "alerts", "groups", "rules_file"]
