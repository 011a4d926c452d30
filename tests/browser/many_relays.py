"""Forty relays behind one daemon, of which three can be stopped."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.browser.daemon import Daemon, relay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.browser.daemon import JsonObject
    from tests.browser.relays import Node, Relays

SIZE: Final = 40
STOPPABLE: Final = ("relay-03", "relay-17", "relay-38")
"""The relays that can be stopped: near the begin, the middle and the end of the configuration."""


@dataclass(frozen=True, slots=True)
class ManyRelays:
    """The daemon, and the nodes of the relays that can be stopped."""

    daemon: Daemon
    nodes: dict[str, Node]

    @classmethod
    @contextlib.contextmanager
    def started(cls, folder: Path, relays: Relays) -> Iterator[ManyRelays]:
        """Start the relays and the daemon, and wait until all relays are up."""
        nodes = {name: relays.add() for name in STOPPABLE}
        with Daemon(folder / "many", _config(nodes)) as daemon:
            daemon.until(lambda: set(daemon.conditions().values()) == {"up"})
            yield cls(daemon, nodes)


def _config(nodes: dict[str, Node]) -> JsonObject:
    names = [f"relay-{number:02}" for number in range(1, SIZE + 1)]
    return {
        "location": "eu-west",
        "locations": ["eu-west"],
        "relays": [relay(name, nodes[name].url if name in nodes else "embedded") for name in names],
        "probes": [
            {"name": "steady", "scenario": "steady-messaging", "message_interval": "1s", "timeout": "2s", "pairs": 1},
            {"name": "idle", "scenario": "steady-state", "connections": 1},
        ],
        "slos": [
            {"name": "round-trip", "probe": "steady", "sli": "latency", "threshold": "400ms", "objective": "99%"},
            {"name": "delivery", "probe": "steady", "sli": "availability", "objective": "99.9%"},
        ],
    }
