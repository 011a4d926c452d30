"""Alerts for monitors that run with another configuration than the rules were made from: one for each kind of it.

A monitor that is absent says nothing of its configuration, and so differs in nothing. All waits are the same: long
enough for new rules and a new configuration to be deployed one after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.slo.rules.monitors import HEALTH, SHARD
from monitor.slo.rules.recorded import budgeted, watched
from monitor.slo.rules.rule import Alert, any_of
from monitor.vocabulary import Sli

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitor.config import Config

INFO: Final = "relay_probe_relay_info"
WINDOW: Final = "relay_slo_window_seconds"
BY: Final = "slo, relay, location"


def alerts(config: Config) -> Iterator[Alert]:
    """All of them."""
    yield _drift(
        "monitors",
        _monitors(config),
        "A monitor runs as shard {{ $labels.shard }} of location {{ $labels.location }}, of which the rules know "
        "nothing: its absence would not be told, and its voice not counted right. Set `locations` and `shards`, "
        "generate the rules and deploy them again.",
    )
    yield _drift(
        "relays",
        _relays(config),
        "{{ if $labels.relay }}Relay {{ $labels.relay }} is watched, and may be as loud as {{ $labels.max_severity }}: "
        "the rules do not know it, or know it as louder or quieter.{{ else }}Of the relays that the rules know, the "
        "monitors watch no more than {{ $value }}.{{ end }} Generate the rules and deploy them again.",
    )
    yield _drift(
        "objectives",
        [*_numbers(config), *_windows(config), *_forgotten(config)],
        "SLO {{ $labels.slo }} of {{ $labels.relay }} is judged by another objective, threshold or window than the "
        "rules were generated with, or one of the two does not know it: generate and deploy them again.",
    )


def _drift(about: str, parts: Iterable[str], description: str) -> Alert:
    return Alert(
        name="RelayMonitorRulesDrift",
        severity="warning",
        expr="\nor\n".join(parts),
        wait=600.0,
        labels={"about": about},
        summary="The monitor's configuration and the deployed rules disagree.",
        description=description,
        panel=HEALTH,
    )


def _monitors(config: Config) -> Iterator[str]:
    yield f'{SHARD}{{location!~"{any_of(config.locations)}"}}'
    yield f'{SHARD}{{shard!~"[0-9]+/{config.shards}"}}'


def _relays(config: Config) -> Iterator[str]:
    """What is watched and unknown or has another severity; and that less is watched, where all monitors are there."""
    known = any_of(relay.name for relay in config.relays)
    yield _infos(f'relay!~"{known}"')
    for severity in dict.fromkeys(relay.max_severity for relay in config.relays):
        names = any_of(relay.name for relay in config.relays if relay.max_severity == severity)
        yield _infos(f'relay=~"{names}", max_severity!="{severity}"')
    if len(config.relays) > 1:  # a monitor has at least one, and where none is known, says so above
        everybody = len(config.locations) * config.shards
        expected = f'location=~"{any_of(config.locations)}", shard=~"[0-9]+/{config.shards}"'
        yield (
            f'(count(count by (relay) ({INFO}{{relay=~"{known}"}})) < {len(config.relays)}\n'
            f"and\ncount(count by (location, shard) ({SHARD}{{{expected}}})) >= {everybody})"
        )


def _infos(matcher: str) -> str:
    return f"count by (relay, location, max_severity) ({INFO}{{{matcher}}})"


def _numbers(config: Config) -> Iterator[str]:
    """Objectives and thresholds that differ from those recorded by the rules, or of which they record none."""
    pairs = []
    if budgeted(config):
        pairs.append(("relay_slo_objective_ratio", "slo:objective:ratio"))
    if any(slo.sli is Sli.LATENCY for slo in config.slos):
        pairs.append(("relay_slo_threshold_seconds", "slo:threshold:seconds"))
    for running, ruled in pairs:
        yield f"(max by ({BY}) ({running}) != on ({BY}) max by ({BY}) ({ruled}))"
        yield f"(max by ({BY}) ({running}) unless on ({BY}) {ruled})"


def _windows(config: Config) -> Iterator[str]:
    """Windows, which are written into the rules; and SLOs that these do not know: every SLO has a window."""
    known = any_of(slo.name for slo in config.slos)
    yield f'max by ({BY}) ({WINDOW}{{slo!~"{known}"}})' if known else f"max by ({BY}) ({WINDOW})"
    for window in sorted({slo.window for slo in config.slos}):
        names = any_of(slo.name for slo in config.slos if slo.window == window)
        yield f'max by ({BY}) ({WINDOW}{{slo=~"{names}"}}) != {window:.0f}'


def _forgotten(config: Config) -> Iterator[str]:
    """SLOs that a monitor does not have, at relays that it watches."""
    for slo in config.slos:
        relays = any_of(relay.name for relay in config.relays if watched(config, slo, relay.name))
        missing = (
            f'count by (relay, location) ({INFO}{{relay=~"{relays}"}})\n'
            f'unless on (relay, location) {WINDOW}{{slo="{slo.name}"}}'
        )
        yield f'label_replace({missing}, "slo", "{slo.name}", "", "")'
