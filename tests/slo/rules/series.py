"""Test cases as series and expected alerts, and the series of the shipped configuration that they use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCRAPE: Final = 15
PROBE: Final = 'location="local", relay="demo", probe="steady", scenario="steady-messaging"'
HOUR: Final = 3600 // SCRAPE


WARNING_RELAYS: Final = frozenset({"staging"})
"""Relays with max_severity warning, where a case does not say otherwise."""

LABEL: Final = re.compile(r'\b(\w+)="([^"]*)"')


def info(relay: str = "demo", location: str = "local", **settings: str) -> str:
    """Return the selector of the settings of a relay as one location exports them."""
    labels = {"max_severity": "critical", "page_after": "30s", "scope": "global"} | settings
    return (
        f'relay_probe_relay_info{{location="{location}", relay="{relay}", '
        + ", ".join(f'{name}="{value}"' for name, value in labels.items())
        + "}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Input series by their selectors, and the number of firing alerts at some times.

    Series without a label `install` belong to the default install.
    """

    name: str
    series: Mapping[str, str]
    expect: Sequence[tuple[str, str, str, int]]  # time, alert, severity, number of firing alerts

    def inputs(self) -> dict[str, str]:
        """Return all series: those of the case, and settings of each relay for which it has none."""
        infos: dict[str, str] = {}
        stated = {tuple(self._relay(each)) for each in self.series if each.startswith("relay_probe_relay_info")}
        for selector in self.series:
            install, location, relay = self._relay(selector)
            if relay and location and (install, location, relay) not in stated:
                severity = "warning" if relay in WARNING_RELAYS else "critical"
                more = {} if install == "default" else {"install": install}
                infos[info(relay, location, max_severity=severity, **more)] = "1x4000"
        return {of_install(selector): values for selector, values in (infos | dict(self.series)).items()}

    @staticmethod
    def _relay(selector: str) -> tuple[str, str, str]:
        labels = dict(LABEL.findall(selector))
        return labels.get("install", "default"), labels.get("location", ""), labels.get("relay", "")


def of_install(selector: str) -> str:
    """Return a selector with the default install, unless it has one."""
    if 'install="' in selector:
        return selector
    name, _, labels = selector.partition("{")
    return f'{name}{{install="default", {labels}'


def slo(name: str, outcome: str, probe: str = "steady") -> str:
    return (
        f'relay_slo_events_total{{location="local", relay="demo", probe="{probe}", slo="{name}", outcome="{outcome}"}}'
    )


def growing(per_scrape: int, hours: float) -> str:
    """Return a counter that grows by `per_scrape` at each scrape."""
    return f"0+{per_scrape}x{round(hours * HOUR)}"


def then(*parts: str) -> str:
    return " ".join(parts)


def counter(*stretches: tuple[int, int], start: int = 0) -> str:
    """Return a counter of consecutive stretches: growth per scrape, number of scrapes."""
    parts, value = [], start
    for growth, scrapes in stretches:
        parts.append(f"{value}+{growth}x{scrapes - 1}")
        value += growth * scrapes
    return " ".join(parts)


UP: Final = 'relay_up{location="local", relay="demo"}'
PROBE_UP: Final = f"relay_probe_up{{{PROBE}}}"
BUILD: Final = 'relay_monitor_build_info{location="local", version="1", python_version="3"}'
SHARD: Final = 'relay_monitor_shard_info{location="local", shard="0/1"}'
HEALTHY: Final = 'relay_monitor_healthy{location="local"}'
CONFIRMED: Final = f'relay_probe_confirmations_total{{{PROBE}, over="standing", outcome="failed"}}'
RUNS: Final = 'relay_monitor_runs_total{location="local", relay="demo", probe="steady", result="started"}'
OFFLINE: Final = 'location="local", relay="demo", probe="offline-30s", scenario="async-delivery"'
LOST_MESSAGES: Final = f'relay_probe_messages_total{{{OFFLINE}, verdict="lost"}}'
LATE_MESSAGES: Final = f'relay_probe_messages_total{{{OFFLINE}, verdict="late"}}'
HEALTH: Final = {slo("delivery", "good"): growing(3, 3), slo("delivery", "bad"): growing(0, 3)}
