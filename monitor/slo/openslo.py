"""The SLOs as OpenSLO v1 documents (<https://github.com/OpenSLO/OpenSLO>), for tools that read that format.

There is a Service for each relay, and an SLO for each relay and SLO with an objective below 100 %: an OpenSLO target is
less than 1. Events of all locations and probes of an SLO are summed up; the alert rules judge each apart.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

import yaml

from monitor.slo.rules.recorded import EVENTS, applies_to, budgeted
from monitor.slo.rules.rule import HEADER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from monitor.config import Config, RelayConfig, SloConfig

VERSION: Final = "openslo/v1"
FILE: Final = "relay-monitor.openslo.yaml"

MAX_NAME: Final = 63
"""Largest length of a name, which all implementations support."""

_DIGEST: Final = 8
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9-]+")


def openslo_files(config: Config) -> dict[str, bytes]:
    """Return the file by its path."""
    documents = [*(_service(relay) for relay in config.relays), *_slos(config)]
    return {FILE: (HEADER + yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True, width=10_000)).encode()}


def left_out(config: Config) -> list[str]:
    """Return the names of SLOs that have no document at some relay, since OpenSLO has no objective of 100 %."""
    return list(dict.fromkeys(slo.name for slo, _, objective in _objectives(config) if objective >= 1))


def _objectives(config: Config) -> Iterator[tuple[SloConfig, RelayConfig, Decimal]]:
    for slo in budgeted(config):
        for relay in config.relays:
            objective = slo.objective_for(relay.name)
            if objective is not None and applies_to(config, slo, relay.name):
                yield slo, relay, objective


def _service(relay: RelayConfig) -> dict[str, Any]:
    return {
        "apiVersion": VERSION,
        "kind": "Service",
        "metadata": {"name": object_name(relay.name), "displayName": relay.name},
        "spec": {"description": f"Relay {relay.name}"},
    }


def _slos(config: Config) -> Iterator[dict[str, Any]]:
    for slo, relay, objective in _objectives(config):
        if objective < 1:
            yield {
                "apiVersion": VERSION,
                "kind": "SLO",
                "metadata": {
                    "name": object_name(f"{relay.name}/{slo.name}"),
                    "displayName": f"{slo.name} of {relay.name}",
                },
                "spec": {
                    "description": _description(slo, relay.name),
                    "service": object_name(relay.name),
                    "indicator": _indicator(config, slo, relay.name),
                    "timeWindow": [{"duration": _shorthand(slo.window), "isRolling": True}],
                    "budgetingMethod": "Occurrences",
                    "objectives": [{"displayName": slo.name, "target": float(objective)}],
                },
            }


def _description(slo: SloConfig, relay: str) -> str:
    threshold = slo.threshold_for(relay)
    limit = "" if threshold is None else f", within {threshold * 1000:g} ms"
    return f"{slo.sli.value} by {', '.join(slo.probe)}{limit}"[:1050]


def _indicator(config: Config, slo: SloConfig, relay: str) -> dict[str, Any]:
    selector = f'install="{config.install}", relay="{relay}", slo="{slo.name}"'
    return {
        "metadata": {"name": object_name(f"{relay}/{slo.name}/events")},
        "spec": {
            "ratioMetric": {
                "counter": True,
                "good": _metric(f'sum({EVENTS}{{{selector}, outcome="good"}})'),
                "total": _metric(f"sum({EVENTS}{{{selector}}})"),
            }
        },
    }


def _metric(query: str) -> dict[str, Any]:
    return {"metricSource": {"type": "Prometheus", "spec": {"query": query}}}


def object_name(text: str) -> str:
    """Return a DNS label for `text`; texts that differ get names that differ."""
    name = _NOT_IN_NAMES.sub("-", text.lower()).strip("-")
    if name == text and len(name) <= MAX_NAME:
        return name
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
    return f"{name[: MAX_NAME - _DIGEST - 1].rstrip('-')}-{digest}"


def _shorthand(seconds: float) -> str:
    """Return a duration in one unit, which is all that OpenSLO has."""
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(1, round(seconds / 60))}m"
