"""`RelayMonitorRulesDrift`: monitors whose configuration differs from the one that the rules were generated from.

An absent monitor exports no configuration and therefore does not differ. All of these alerts are pending for the same
time, long enough to deploy new rules and a new configuration one after the other. Each is one alert for a location,
however much differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.config import show_duration
from monitor.slo.rules import templates
from monitor.slo.rules.monitors import SHARD
from monitor.slo.rules.names import SETTINGS
from monitor.slo.rules.recorded import applies_to, budgeted
from monitor.slo.rules.rule import HEALTH_DASHBOARD, Alert, any_of
from monitor.slo.rules.timing import Timing
from monitor.slo.rules.verdicts import LOCAL_RELAY, Selectors
from monitor.vocabulary import Sli

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitor.config import Config

RELAY_INFO: Final = "relay_probe_relay_info"
SLO_WINDOW: Final = "relay_slo_window_seconds"
SLO_LABELS: Final = "install, location, relay, slo"
DEPLOY: Final = "Run `relay-monitor generate` and deploy the rules."

DRIFT_WAIT: Final = 600.0
"""Seconds for which a difference must last."""

INTERVAL_SCRAPES: Final = 20
"""Scrapes over which the real scrape interval is measured."""

INTERVAL_TOLERANCE: Final = 1.5
"""Factor between the real and the configured interval from which on they differ."""


def alerts(config: Config) -> Iterator[Alert]:
    """Yield one alert for each part of the configuration that the rules depend on."""
    own, timing = Selectors(config), Timing.of(config)
    yield _drift(
        timing,
        "monitors",
        f"count by (install, location) (\n{_any(_monitors(config, own))}\n)",
        "The rules do not have all shards at location {{ $labels.location }}: their absence raises no alert, and a "
        f"quorum does not count them correctly. Set `locations` and `shards`. {DEPLOY}",
    )
    yield _drift(
        timing,
        "relays",
        f"count by (install, location) (\n{_any(_relays(config, own))}\n)\nor\n{_too_few(config, own)}",
        "{{ if $labels.location }}{{ $value }} relays at {{ $labels.location }} are not those of the rules, or have "
        "another max_severity, page_after, scope or group.{{ else }}Only {{ $value }} of the relays in the rules are "
        f"monitored.{{{{ end }}}} {DEPLOY}",
    )
    yield _drift(
        timing,
        "objectives",
        f"count by (install, location) (\n"
        f"{_any([*_objectives(config, own), *_windows(config, own), *_missing(config, own)])}\n)",
        "{{ $value }} SLOs of relays at {{ $labels.location }} have another objective, threshold or window in the "
        f"monitor than in the rules, or only one of the two has them. {DEPLOY}",
    )
    yield _interval(own, timing)


def _any(parts: Iterable[str]) -> str:
    return "\nor\n".join(parts)


def _drift(timing: Timing, about: str, expr: str, description: str) -> Alert:
    return Alert(
        name="RelayMonitorRulesDrift",
        severity="warning",
        expr=expr,
        pending_for=timing.wait(DRIFT_WAIT),
        labels={"about": about},
        summary=f"The deployed rules do not match the monitor's configuration ({about})",
        description=templates.at_time(
            "max(relay_monitor_config_last_reload_success_timestamp_seconds{install=$install})",
            "A monitor of this install last loaded its configuration at ",
        )
        + f"{description}\nFirst: what was deployed last, rules or configuration? The runbook lists what differs.",
        dashboard=HEALTH_DASHBOARD,
        is_of_relay=False,
    )


def _interval(own: Selectors, timing: Timing) -> Alert:
    """The warning that Prometheus scrapes at another interval than configured, on which every window depends."""
    seconds = max(DRIFT_WAIT, INTERVAL_SCRAPES * timing.scrape)
    window, expected = show_duration(seconds), seconds / timing.scrape
    scraped = f"min by (install, location) (count_over_time({own(SHARD)}[{window}]))"
    since = f"max by (install, location) ({own(SHARD)} offset {window})"
    return Alert(
        name="RelayMonitorRulesDrift",
        severity="warning",
        expr=f"({scraped} < {expected / INTERVAL_TOLERANCE:g}\nor\n{scraped} > {expected * INTERVAL_TOLERANCE + 1:g})\n"
        f"and on (install, location) {since}",
        pending_for=timing.wait(DRIFT_WAIT),
        labels={"about": "scrape interval"},
        summary="Monitor {{ $labels.location }} is scraped at another interval than configured",
        description=f"Prometheus has scraped the monitor {{{{ $value }}}} times within {window}; with the configured "
        f"`prometheus.scrape_interval` of {show_duration(timing.scrape)} it would be {expected:.0f} times. The windows "
        f"of the rules depend on it.\nFirst: set it to the interval of your Prometheus. {DEPLOY}",
        dashboard=HEALTH_DASHBOARD,
        is_of_relay=False,
    )


def _monitors(config: Config, own: Selectors) -> Iterator[str]:
    yield own(SHARD, f'location!~"{any_of(config.locations)}"')
    yield own(SHARD, f'shard!~"[0-9]+/{config.shards}"')


def _relays(config: Config, own: Selectors) -> Iterator[str]:
    """Relays that the rules lack or have with other settings."""
    known = any_of(relay.name for relay in config.relays)
    yield _infos(own, f'relay!~"{known}"')
    by_settings: dict[tuple[str, str, str], list[str]] = {}
    for relay in config.relays:
        settings = (relay.max_severity, show_duration(relay.page_after), relay.scope)
        by_settings.setdefault(settings, []).append(relay.name)
    for (severity, page_after, scope), names in by_settings.items():
        for label, value in (("max_severity", severity), ("page_after", page_after), ("scope", scope)):
            yield _infos(own, f'relay=~"{any_of(names)}", {label}!="{value}"')


def _infos(own: Selectors, matchers: str) -> str:
    return f"count by ({LOCAL_RELAY}) ({own(RELAY_INFO, matchers)})"


def _too_few(config: Config, own: Selectors) -> str:
    """Relays of the rules that nobody monitors, while no monitor is absent."""
    known = any_of(relay.name for relay in config.relays)
    monitors = len(config.locations) * config.shards
    expected = own(SHARD, f'location=~"{any_of(config.locations)}", shard=~"[0-9]+/{config.shards}"')
    monitored = own(SETTINGS, f'relay=~"{known}"')
    return (
        f"(count by (install) ({monitored}) < {len(config.relays)}\n"
        f"and on (install) count by (install) (count by (install, location, shard) ({expected})) >= {monitors})"
    )


def _objectives(config: Config, own: Selectors) -> Iterator[str]:
    """Objectives and thresholds that differ from the recorded ones, or that are not recorded."""
    pairs = []
    if budgeted(config):
        pairs.append(("relay_slo_objective_ratio", "slo:objective:ratio"))
    if any(slo.sli is Sli.LATENCY for slo in config.slos):
        pairs.append(("relay_slo_threshold_seconds", "slo:threshold:seconds"))
    for name, recorded in pairs:
        exported = f"max by ({SLO_LABELS}) ({own(name)})"
        yield f"({exported} != on ({SLO_LABELS}) max by ({SLO_LABELS}) ({own(recorded)}))"
        yield f"({exported} unless on ({SLO_LABELS}) {own(recorded)})"


def _windows(config: Config, own: Selectors) -> Iterator[str]:
    """SLOs that the rules do not have, found by their windows, and SLOs with another window than in the rules."""
    known = any_of(slo.name for slo in config.slos)
    unknown = own(SLO_WINDOW, f'slo!~"{known}"' if known else "")
    yield f"max by ({SLO_LABELS}) ({unknown})"
    for window in sorted({slo.window for slo in config.slos}):
        names = any_of(slo.name for slo in config.slos if slo.window == window)
        named = own(SLO_WINDOW, f'slo=~"{names}"')
        # A window may have milliseconds.
        yield f"max by ({SLO_LABELS}) ({named}) != {round(window, 3):.10g}"


def _missing(config: Config, own: Selectors) -> Iterator[str]:
    """SLOs that a monitor does not have at a relay that it monitors."""
    for slo in config.slos:
        relays = any_of(relay.name for relay in config.relays if applies_to(config, slo, relay.name))
        infos = own(RELAY_INFO, f'relay=~"{relays}"')
        monitored = f"count by ({LOCAL_RELAY}) ({infos})"
        has_it = own(SLO_WINDOW, f'slo="{slo.name}"')
        yield f'label_replace({monitored}\nunless on ({LOCAL_RELAY}) {has_it}, "slo", "{slo.name}", "", "")'
