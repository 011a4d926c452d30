"""Recording rules and alerts from the SLOs of a configuration, for Prometheus 2.42 and later.

`rule` holds them as values and writes YAML, `timing` makes windows and waits from Prometheus' intervals. `verdicts`
records what all locations say of a relay, `recorded` error ratios, `explained` the failures that no outage explains.
The alerts are in `relay_status`, `observation`, `error_budget`, `message_loss` (which share `paging`), `probes`,
`certificate`, `monitors`, `drift` and `drill`; `templates` has their annotations' queries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from monitor.config import show_duration
from monitor.slo.rules import (
    certificate,
    drift,
    drill,
    explained,
    monitors,
    observation,
    probes,
    recorded,
    relay_status,
    verdicts,
)
from monitor.slo.rules.error_budget import ErrorBudgetAlerts
from monitor.slo.rules.message_loss import MessageLossAlerts
from monitor.slo.rules.paging import Paging
from monitor.slo.rules.rule import Alert, Group, dump

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.config import Config

MAX_GROUP_RULES: Final = 20
"""Rules of a group: the limit of Mimir's ruler by default."""


def groups(config: Config) -> list[Group]:
    """Return every rule of a configuration, in groups of `MAX_GROUP_RULES` at most.

    Prometheus evaluates the rules of a group in order: verdicts are recorded before the alerts that read them.
    """
    paging = Paging(config)
    made = [
        Group(name="relay-verdicts", rules=[*verdicts.records(config), *relay_status.verdict_alerts(config)]),
        *recorded.groups(config),
        Group(
            name="relay-alerts",
            rules=[
                *explained.records(config),
                *relay_status.alerts(config),
                *observation.alerts(config),
                *probes.alerts(config),
                *certificate.alerts(config),
            ],
        ),
        Group(
            name="relay-slo-alerts",
            rules=[*ErrorBudgetAlerts(config, paging).alerts(), *MessageLossAlerts(config, paging).alerts()],
        ),
        Group(
            name="relay-monitor-alerts",
            rules=[
                *monitors.records(config),
                *monitors.alerts(config),
                *drift.alerts(config),
                *drill.alerts(config),
            ],
        ),
    ]
    return [part for group in made for part in _parts(group)]


def _parts(group: Group) -> Iterator[Group]:
    """Divide a group that is too long."""
    for index in range(0, len(group.rules), MAX_GROUP_RULES):
        name = f"{group.name}-{index // MAX_GROUP_RULES + 1}" if index else group.name
        yield Group(name=name, rules=group.rules[index : index + MAX_GROUP_RULES], interval=group.interval)


def alerts(config: Config) -> list[Alert]:
    """Return every alert of a configuration."""
    return [rule for group in groups(config) for rule in group.rules if isinstance(rule, Alert)]


def rules_spec(config: Config) -> dict[str, Any]:
    """Return the rules as plain data: the content of a rule file, and the `spec` of a PrometheusRule."""
    return {"groups": [group_to_dict(config, group) for group in groups(config)]}


def rules_file(config: Config, *, operator: bool = False) -> bytes:
    """Return the rules as a file for Prometheus or, with `operator`, as a PrometheusRule for its Operator."""
    spec = rules_spec(config)
    if not operator:
        return dump(spec)
    # kube-prometheus-stack selects rules by the label of its own release, which is its chart's name by default.
    labels = {"app.kubernetes.io/name": "relay-monitor", "release": "kube-prometheus-stack"}
    return dump(
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {"name": _resource_name(config.install), "labels": labels},
            "spec": spec,
        }
    )


def _resource_name(install: str) -> str:
    """Return the name of the PrometheusRule, as Kubernetes allows it."""
    return "relay-monitor" if install == "default" else f"relay-monitor-{install.lower().replace('_', '-')}"


def group_to_dict(config: Config, group: Group) -> dict[str, Any]:
    """Return a group as a rule file has it."""
    interval = {"interval": show_duration(group.interval)} if group.interval is not None else {}
    rules = [rule.to_dict(config) if isinstance(rule, Alert) else rule.to_dict() for rule in group.rules]
    return {"name": group.name, **interval, "rules": rules}


__all__ = ["Alert", "Group", "alerts", "group_to_dict", "groups", "rules_file", "rules_spec"]
