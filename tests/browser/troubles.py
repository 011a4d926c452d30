"""Relays in each kind of trouble, made by faults of embedded relays, and a daemon that watches all of them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.browser.daemon import CONFIRM, Daemon, relay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.browser.daemon import JsonObject
    from tests.browser.relays import Node, Relays

UP: Final = ("tokyo", "dublin")
"""Relays without a fault."""

CONDITIONS: Final = {
    "losing": "degraded",
    "slow": "degraded",
    "refusing": "not_accepting",
    "stopped": "down",
    "silent-node": "degraded",
    "no-credentials": "unknown",
    "deployed": "down",  # in maintenance
    **dict.fromkeys(UP, "up"),
}
"""Relays and the condition that each one's fault leads to."""

TIMEOUT: Final = "4s"
"""Of an exchange: on a busy machine, no exchange without a fault takes as long."""

LOST: Final = 7
"""Messages that `losing` loses, one after the other, of exchanges and of attempts.

A round has one attempt more, so that one of them succeeds: if all failed, the relay would be not_accepting. Attempts
start a second apart, and each pair goes on within half a second: at least three of these messages are of exchanges.
"""

FEW_FAILURES: Final = {"failures": 3, "failure_ratio": "0.1%"}
"""Three failed exchanges degrade a relay, however long the start of all relays took."""

PROBES: Final = [
    {
        "name": "steady",
        "scenario": "steady-messaging",
        "message_interval": "500ms",
        "settle": "100ms",
        "timeout": TIMEOUT,
        "pairs": 2,
    },
    {"name": "idle", "scenario": "steady-state", "connections": 1},
    {
        "name": "session",
        "scenario": "realistic-session",
        "schedule": {"every": "10s"},
        "messages": 1,
        "timeout": TIMEOUT,
    },
]
SLOS: Final = [
    {"name": "round-trip", "probe": "steady", "sli": "latency", "threshold": "1s", "objective": "99%"},
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
        self.nodes["losing"][0].inject(f"unstored:channel=session,count={LOST}")
        self.nodes["slow"][0].inject("delay:channel=session,by=0.75")
        self.nodes["refusing"][0].inject("status:code=502")
        self.nodes["stopped"][0].stop()
        self.nodes["deployed"][0].stop()
        self.nodes["silent-node"][1].inject("drop:channel=session")
        key.unlink()


def _config(nodes: dict[str, list[Node]], key: Path) -> JsonObject:
    urls = {name: [node.url for node in of] for name, of in nodes.items()}
    relays = [relay(name, urls[name][0]) for name in CONDITIONS]
    for item in relays:
        if item["name"] == "losing":
            item["confirm"] = {**CONFIRM, "attempts": LOST + 1}
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
        "degraded": FEW_FAILURES,
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
