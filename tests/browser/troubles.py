"""Relays in each kind of trouble, made by faults of embedded relays, and a daemon that watches all of them."""

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

UP: Final = ("tokyo", "dublin")
"""Relays without a fault."""

CONDITIONS: Final = {
    "dropping": "degraded",
    "slow": "degraded",
    "refusing": "not_accepting",
    "stopped": "down",
    "silent-node": "degraded",
    "no-credentials": "unknown",
    "deployed": "down",  # in maintenance
    **dict.fromkeys(UP, "up"),
}
"""Relays and the condition that each one's fault leads to."""

PROBES: Final = [
    {
        "name": "steady",
        "scenario": "steady-messaging",
        "message_interval": "250ms",
        "settle": "100ms",
        "timeout": "1s",
        "pairs": 2,
    },
    {"name": "idle", "scenario": "steady-state", "connections": 1},
    {
        "name": "session",
        "scenario": "realistic-session",
        "schedule": {"every": "10s"},
        "messages": 1,
        "timeout": "1s",
    },
]
SLOS: Final = [
    {"name": "round-trip", "probe": "steady", "sli": "latency", "threshold": "400ms", "objective": "99%"},
    {"name": "delivery", "probe": "steady", "sli": "availability", "objective": "99.9%"},
    {"name": "stability", "probe": ["steady", "idle"], "sli": "stability", "objective": "99.9%"},
]


@dataclass(frozen=True, slots=True)
class Troubles:
    """The daemon, and the nodes of the relays by relay."""

    daemon: Daemon
    nodes: dict[str, list[Node]]

    @classmethod
    @contextlib.contextmanager
    def started(cls, folder: Path, relays: Relays) -> Iterator[Troubles]:
        """Start the relays and the daemon, and wait until it has found each trouble."""
        nodes = {name: relays.cluster(2 if name == "silent-node" else 1) for name in CONDITIONS}
        key = folder / "api-key"
        key.write_text("b8d1e5", encoding="utf-8")
        with Daemon(folder / "troubles", _config(nodes, key)) as daemon:
            troubles = cls(daemon, nodes)
            daemon.until_conditions(dict.fromkeys(CONDITIONS, "up"))
            troubles.cause(key)
            daemon.until_conditions(CONDITIONS)
            yield troubles

    def cause(self, key: Path) -> None:
        """Cause the trouble of each relay, all of which are up."""
        self.nodes["dropping"][0].inject("drop:channel=session,probability=0.2")
        self.nodes["slow"][0].inject("delay:channel=session,by=0.25")
        self.nodes["refusing"][0].inject("status:code=502")
        self.nodes["stopped"][0].stop()
        self.nodes["deployed"][0].stop()
        self.nodes["silent-node"][1].inject("drop:channel=session")
        key.unlink()


def _config(nodes: dict[str, list[Node]], key: Path) -> JsonObject:
    urls = {name: [node.url for node in of] for name, of in nodes.items()}
    relays = [relay(name, urls[name][0]) for name in CONDITIONS]
    for item in relays:
        if item["name"] == "silent-node":
            item["endpoints"] = urls["silent-node"]
        if item["name"] == "no-credentials":
            item["headers"] = {"dapp": {"X-Api-Key": {"file": str(key)}}, "wallet": {"X-Api-Key": {"file": str(key)}}}
    return {
        "location": "eu-west",
        "locations": ["eu-west"],
        "state_dir": str(key.parent / "troubles" / "state"),
        "relays": relays,
        "probes": PROBES,
        "slos": SLOS,
        "maintenance": [
            {
                "relays": ["deployed"],
                "cron": "* * * * *",
                "timezone": "UTC",
                "duration": "1h",
                "reason": "deploy 1234",
            }
        ],
    }
