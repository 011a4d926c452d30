"""`RelayMonitorRulesDrift`: monitors whose configuration differs from the one that the rules were generated from.

An absent monitor exports no configuration and therefore does not differ. All of these alerts are pending for the same
time, long enough to deploy new rules and a new configuration one after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.slo.rules.monitors import SHARD
from monitor.slo.rules.recorded import applies_to, budgeted
from monitor.slo.rules.rule import HEALTH_DASHBOARD, Alert, any_of
from monitor.vocabulary import Sli

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitor.config import Config

RELAY_INFO: Final = "relay_probe_relay_info"
SLO_WINDOW: Final = "relay_slo_window_seconds"
SLO_LABELS: Final = "slo, relay, location"
DEPLOY: Final = "Run `relay-monitor generate` and deploy the rules."


def alerts(config: Config) -> Iterator[Alert]:
    """Yield one alert for each part of the configuration that the rules depend on."""
    yield _drift(
        "monitors",
        _monitors(config),
        "The rules have no monitor of shard {{ $labels.shard }} at location {{ $labels.location }}: its absence raises "
        f"no alert, and a quorum does not count it correctly. Set `locations` and `shards`. {DEPLOY}",
    )
    yield _drift(
        "relays",
        _relays(config),
        "{{ if $labels.relay }}Relay {{ $labels.relay }} is monitored with max_severity {{ $labels.max_severity }}; "
        "the rules have no such relay, or another max_severity for it.{{ else }}Only {{ $value }} of the relays in the "
        f"rules are monitored.{{{{ end }}}} {DEPLOY}",
    )
    yield _drift(
        "objectives",
        [*_objectives(config), *_windows(config), *_missing(config)],
        "SLO {{ $labels.slo }} of {{ $labels.relay }} has another objective, threshold or window in the monitor than "
        f"in the rules, or only one of the two has this SLO. {DEPLOY}",
    )


def _drift(about: str, parts: Iterable[str], description: str) -> Alert:
    return Alert(
        name="RelayMonitorRulesDrift",
        severity="warning",
        expr="\nor\n".join(parts),
        pending_for=600.0,
        labels={"about": about},
        summary=f"The deployed rules do not match the monitor's configuration ({about})",
        description=description,
        dashboard=HEALTH_DASHBOARD,
    )


def _monitors(config: Config) -> Iterator[str]:
    yield f'{SHARD}{{location!~"{any_of(config.locations)}"}}'
    yield f'{SHARD}{{shard!~"[0-9]+/{config.shards}"}}'


def _relays(config: Config) -> Iterator[str]:
    """Relays that the rules lack or have with another severity; and too few relays while no monitor is absent."""
    known = any_of(relay.name for relay in config.relays)
    yield _relay_infos(f'relay!~"{known}"')
    for severity in dict.fromkeys(relay.max_severity for relay in config.relays):
        names = any_of(relay.name for relay in config.relays if relay.max_severity == severity)
        yield _relay_infos(f'relay=~"{names}", max_severity!="{severity}"')
    if len(config.relays) > 1:  # a monitor has at least one relay; if it is another one, the first part finds it
        monitors = len(config.locations) * config.shards
        expected = f'location=~"{any_of(config.locations)}", shard=~"[0-9]+/{config.shards}"'
        yield (
            f'(count(count by (relay) ({RELAY_INFO}{{relay=~"{known}"}})) < {len(config.relays)}\n'
            f"and\ncount(count by (location, shard) ({SHARD}{{{expected}}})) >= {monitors})"
        )


def _relay_infos(matchers: str) -> str:
    return f"count by (relay, location, max_severity) ({RELAY_INFO}{{{matchers}}})"


def _objectives(config: Config) -> Iterator[str]:
    """Objectives and thresholds that differ from the recorded ones, or that are not recorded."""
    pairs = []
    if budgeted(config):
        pairs.append(("relay_slo_objective_ratio", "slo:objective:ratio"))
    if any(slo.sli is Sli.LATENCY for slo in config.slos):
        pairs.append(("relay_slo_threshold_seconds", "slo:threshold:seconds"))
    for exported, recorded in pairs:
        yield f"(max by ({SLO_LABELS}) ({exported}) != on ({SLO_LABELS}) max by ({SLO_LABELS}) ({recorded}))"
        yield f"(max by ({SLO_LABELS}) ({exported}) unless on ({SLO_LABELS}) {recorded})"


def _windows(config: Config) -> Iterator[str]:
    """SLOs that the rules do not have, found by their windows, and SLOs with another window than in the rules."""
    known = any_of(slo.name for slo in config.slos)
    yield (
        f'max by ({SLO_LABELS}) ({SLO_WINDOW}{{slo!~"{known}"}})' if known else f"max by ({SLO_LABELS}) ({SLO_WINDOW})"
    )
    for window in sorted({slo.window for slo in config.slos}):
        names = any_of(slo.name for slo in config.slos if slo.window == window)
        yield f'max by ({SLO_LABELS}) ({SLO_WINDOW}{{slo=~"{names}"}}) != {window:.0f}'


def _missing(config: Config) -> Iterator[str]:
    """SLOs that a monitor does not have at a relay that it monitors."""
    for slo in config.slos:
        relays = any_of(relay.name for relay in config.relays if applies_to(config, slo, relay.name))
        missing = (
            f'count by (relay, location) ({RELAY_INFO}{{relay=~"{relays}"}})\n'
            f'unless on (relay, location) {SLO_WINDOW}{{slo="{slo.name}"}}'
        )
        yield f'label_replace({missing}, "slo", "{slo.name}", "", "")'
