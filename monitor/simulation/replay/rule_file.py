"""Rule files of Prometheus and its Operator, as the groups that the ruler evaluates."""

from __future__ import annotations

from typing import Any

import msgspec

from monitor.config.units import parse_duration
from monitor.simulation.promql import PromqlError, selectors_of
from monitor.slo.rules.rule import Alert, Group, Record


class _Rule(msgspec.Struct, rename={"pending_for": "for"}):
    expr: str
    record: str = ""
    alert: str = ""
    pending_for: str | float = "0"
    keep_firing_for: str | float = "0"
    labels: dict[str, str] = {}


class _Group(msgspec.Struct):
    name: str
    rules: list[_Rule]
    interval: str | None = None
    labels: dict[str, str] = {}
    query_offset: str | None = None


def has_rules(document: Any) -> bool:
    """Return whether a document is a rule file, or a PrometheusRule."""
    return isinstance(document, dict) and "groups" in _spec(document)


def groups_of(document: Any) -> list[Group]:
    """Return the groups of a rule file, or of a PrometheusRule. Raises `ValueError`, with the reason."""
    try:
        groups = msgspec.convert(_spec(document)["groups"], list[_Group])
    except msgspec.ValidationError as error:
        raise ValueError(f"is not a rule file: {error}") from None
    for group in groups:
        for key, value in (("labels", group.labels), ("query_offset", group.query_offset)):
            if value:
                raise ValueError(f"`{key}` of group {group.name} is not supported")
    return [
        Group(
            name=group.name,
            rules=[_rule(each, group.name) for each in group.rules],
            interval=None if group.interval is None else parse_duration(group.interval),
        )
        for group in groups
    ]


def _spec(document: dict[str, Any]) -> dict[str, Any]:
    spec = document.get("spec")
    return spec if document.get("kind") == "PrometheusRule" and isinstance(spec, dict) else document


def _rule(raw: _Rule, group: str) -> Record | Alert:
    name = raw.record or raw.alert
    if not name:
        raise ValueError(f"a rule of group {group} has neither `record` nor `alert`")
    try:
        selectors_of(raw.expr)
        waits = _seconds(raw.pending_for), _seconds(raw.keep_firing_for)
    except (PromqlError, ValueError) as error:
        raise ValueError(f"rule {name} of group {group}: {error}") from None
    if raw.record:
        return Record(name=name, expr=raw.expr, labels=raw.labels)
    severity = raw.labels.get("severity")
    return Alert(
        name=name,
        # Without the label, the expression has the severity: any of them.
        severity=severity or "critical",
        capped=severity is None,
        expr=raw.expr,
        summary="",
        description="",
        dashboard="",
        pending_for=waits[0],
        keep_firing_for=waits[1],
        labels={label: value for label, value in raw.labels.items() if label != "severity"},
    )


def _seconds(duration: str | float) -> float:
    """Return a duration in seconds; YAML may have made a number of `0`. Raises `ValueError`."""
    return parse_duration(duration if isinstance(duration, str) else f"{duration:g}")
