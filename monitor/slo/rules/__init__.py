"""Recording rules and alerts from the SLOs of a configuration, for Prometheus 2.42 and later.

`rule` holds them as values and writes YAML; `recorded` makes the recording rules. The alerts are in `relay_status`,
`error_budget`, `message_loss`, `probes` and `certificate` (which share `paging`), `monitors` and `drift`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.config import show_duration
from monitor.slo.rules import certificate, drift, monitors, probes, recorded, relay_status
from monitor.slo.rules.error_budget import ErrorBudgetAlerts
from monitor.slo.rules.message_loss import MessageLossAlerts
from monitor.slo.rules.paging import Paging
from monitor.slo.rules.rule import Alert, Group, dump

if TYPE_CHECKING:
    from monitor.config import Config


def groups(config: Config) -> list[Group]:
    """Return every rule of a configuration, in groups."""
    paging = Paging(config)
    relay_alerts = [
        *relay_status.alerts(config, paging),
        *ErrorBudgetAlerts(config, paging).alerts(),
        *MessageLossAlerts(config, paging).alerts(),
        *probes.alerts(config),
        *certificate.alerts(config, paging),
    ]
    return [
        *recorded.groups(config),
        Group(name="relay-alerts", rules=relay_alerts),
        Group(name="relay-monitor-alerts", rules=[*monitors.alerts(config), *drift.alerts(config)]),
    ]


def alerts(config: Config) -> list[Alert]:
    """Return every alert of a configuration."""
    return [rule for group in groups(config) for rule in group.rules if isinstance(rule, Alert)]


def rules_file(config: Config, *, operator: bool = False) -> bytes:
    """Return the rules as a file for Prometheus or, with `operator`, as a PrometheusRule for its Operator."""
    spec = {"groups": [_group_to_dict(config, group) for group in groups(config)]}
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


def _group_to_dict(config: Config, group: Group) -> dict[str, Any]:
    interval = {"interval": show_duration(group.interval)} if group.interval is not None else {}
    settings = config.alerts
    return {
        "name": group.name,
        **interval,
        "rules": [
            rule.to_dict(settings.labels, settings.runbook_base_url, settings.grafana_url)
            if isinstance(rule, Alert)
            else rule.to_dict()
            for rule in group.rules
        ],
    }


__all__ = ["Alert", "Group", "alerts", "groups", "rules_file"]
