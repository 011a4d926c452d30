"""The differences between two configurations, for a reload."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from monitor.errors import ConfigProblem

if TYPE_CHECKING:
    from monitor.config.model import Config
    from monitor.config.probe import ProbeConfig
    from monitor.config.relay import RelayConfig
    from monitor.scenarios import Scenario

ProbeKey: TypeAlias = tuple[str, str]
"""The name of a relay and of a probe that watches it."""

_ADJUSTABLE: Final = (
    "limits", "labels", "max_severity", "confirm", "page_after", "scope", "owner", "group", "centrifugo_selector",
)  # fmt: skip
"""The keys of a relay that can change without new connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The steps from one configuration to another. What is in none of them continues unchanged.

    opened: relays that are new or need new connections. closed: the names of relays that are removed or need new
    connections. adjusted: relays that change without new connections. stopped, started: probes at relays; a probe
    that changes is in both. forgotten: probes whose series end, because they are removed or have other series now.
    """

    opened: tuple[RelayConfig, ...]
    closed: frozenset[str]
    adjusted: tuple[RelayConfig, ...]
    stopped: frozenset[ProbeKey]
    started: tuple[tuple[str, ProbeConfig], ...]
    forgotten: frozenset[ProbeKey]


def changes(old: Config, new: Config) -> Changes:
    """Compare two configurations that `refusals` has no problem with."""
    before = {relay.name: relay for relay in old.relays}
    opened = tuple(
        relay for relay in new.relays if relay.name not in before or not _same_connections(before[relay.name], relay)
    )
    other = {relay.name for relay in opened}
    closed = frozenset(before.keys() - ({relay.name for relay in new.relays} - other))
    adjusted = tuple(relay for relay in new.relays if relay.name not in other and relay != before[relay.name])
    ran, runs = _probes_of(old), _probes_of(new)
    same = {key for key in ran.keys() & runs.keys() if key[0] not in other and _same(ran[key], runs[key])}
    return Changes(
        opened=opened,
        closed=closed,
        adjusted=adjusted,
        stopped=frozenset(ran.keys() - same),
        started=tuple((relay, probe) for (relay, name), probe in runs.items() if (relay, name) not in same),
        forgotten=frozenset(key for key in ran if key not in runs or series_kind(ran[key]) != series_kind(runs[key])),
    )


def refusals(old: Config, new: Config) -> list[ConfigProblem]:
    """The changes that need a restart."""
    kept = {
        "install": (old.install, new.install),
        "location": (old.location, new.location),
        "server.listen": (old.server.listen, new.server.listen),
        "state_dir": (old.state_dir, new.state_dir),
    }
    return [
        ConfigProblem(0, key, f"cannot change from {was} to {wanted} while the monitor runs: restart it")
        for key, (was, wanted) in kept.items()
        if was != wanted
    ]


def _same_connections(old: RelayConfig, new: RelayConfig) -> bool:
    """Whether open connections to a relay can stay."""
    adjustable = list(_ADJUSTABLE)
    if new.url != "embedded":
        adjustable.append("history")  # configures the embedded relay, and only describes any other
    return old.model_copy(update={name: getattr(new, name) for name in adjustable}) == new


def _probes_of(config: Config) -> dict[ProbeKey, ProbeConfig]:
    return {(relay, probe.name): probe for probe in config.probes for relay in probe.relays}


def series_kind(probe: ProbeConfig) -> tuple[Scenario, bool]:
    """What determines which series a probe has: if it changes, they end, and others begin at 0."""
    return probe.scenario, probe.is_continuous


def _same(old: ProbeConfig, new: ProbeConfig) -> bool:
    """Whether two probes are equal but for their relays."""
    return old.model_copy(update={"relays": new.relays}) == new
