"""What `relay-monitor check` says about the references: whether each answers from here, the way the probes go."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from monitor.clock import SYSTEM_CLOCK
from monitor.errors import SettingsError
from monitor.health.egress import MIN_RELAYS
from monitor.health.references import DIRECT, References
from monitor.relay.proxy import proxy_of
from monitor.relay.target import Target

if TYPE_CHECKING:
    from monitor.config import Config
    from monitor.relay.proxy import Proxy


def render(config: Config) -> list[str]:
    """Ask the references and return lines for people; without references, what that means."""
    remote = [relay.url for relay in config.relays if relay.url != "embedded"]
    if not config.references:
        if not remote:
            return []
        consequence = (
            "if most relays become unreachable at once, one alert says that it may be this monitor's network"
            if len(config.relays) >= MIN_RELAYS
            else "a failure of this monitor's own network looks like one of the relays"
        )
        return [f"Warning: references is empty: {consequence}. Name two or more independent hosts."]
    silent = asyncio.run(References(config.references, SYSTEM_CLOCK).unproven(_ways(remote)))
    lines = [f"Warning: reference {why}. It proves nothing until it answers." for why in silent]
    return lines or [f"references: all {len(config.references)} answer."]


def _ways(urls: list[str]) -> set[Proxy | None]:
    ways: set[Proxy | None] = set()
    for url in urls:
        try:
            ways.add(proxy_of(Target(url=url)))
        except SettingsError:
            continue
    return ways or set(DIRECT)
