"""Worlds: an install each, with relays in one kind of trouble, which begins while everything is recorded.

The relays of `REAL` are embedded ones with faults, watched by real monitors. Those of `SIMULATED` are too many, or too
odd, to be run for a picture: their monitors export the product's own series, with results drawn at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.browser.daemon import relay
from tests.browser.many_relays import SIZE, STOPPABLE
from tests.e2e.monitoring import shipped

if TYPE_CHECKING:
    from tests.browser.relays import Node, Relays
    from tests.cluster.cluster import Cluster

JsonObject = dict[str, Any]

NAMES: Final = ("tokyo", "dublin", "oregon")
TROUBLED: Final = "dublin"
"""The relay that is in trouble, where there is one."""

MAINTENANCE: Final[JsonObject] = {
    "relays": [TROUBLED],
    "cron": "* * * * *",
    "duration": "1h",
    "reason": "deploy 1234",
}
CENTRIFUGO: Final = "centrifugo"
"""The job by which Prometheus scrapes the nodes of a cluster."""

BEFORE: Final = 150.0
"""Seconds for which everything is well."""

FAULT_SECONDS: Final = 330.0
"""Seconds from the begin of the faults to the end of the recording."""

PROBES: Final[list[JsonObject]] = [
    {
        "name": "steady", "scenario": "steady-messaging", "message_interval": "1s", "settle": "200ms", "timeout": "2s",
        "pairs": 2,
    },
    {"name": "idle", "scenario": "steady-state", "connections": 1},
    {
        "name": "offline", "scenario": "async-delivery", "schedule": {"every": "20s"}, "delay": "5s", "timeout": "2s",
        "messages": 1,
    },
    {
        "name": "session", "scenario": "realistic-session", "schedule": {"every": "20s"}, "messages": 1,
        "timeout": "2s",
    },
]  # fmt: skip
SLOS: Final[list[JsonObject]] = [
    {"name": "round-trip", "probe": "steady", "sli": "latency", "threshold": "400ms", "objective": "99%"},
    {"name": "delivery", "probe": "steady", "sli": "availability", "objective": "99.9%"},
    {"name": "stability", "probe": ["steady", "idle"], "sli": "stability", "objective": "99.9%"},
    {"name": "recovery", "probe": "offline", "sli": "availability", "objective": "100%"},
]
PROBES_OF_MANY: Final[list[JsonObject]] = [
    {"name": "steady", "scenario": "steady-messaging", "message_interval": "5s", "timeout": "2s", "pairs": 1},
    {"name": "idle", "scenario": "steady-state", "connections": 1},
]


@dataclass(frozen=True, slots=True)
class World:
    """A world; its name is that of its install. `detail` is the relay whose own dashboard is drawn.

    faults: faults of the last node of the troubled relay. nodes: its number of nodes. stopped: relays that are stopped.
    maintenance: the troubled relay is in maintenance. cluster: it is two Centrifugos on a Redis, one of which is killed
    and started again.
    """

    name: str
    caption: str
    detail: str = TROUBLED
    relays: tuple[str, ...] = NAMES
    faults: tuple[str, ...] = ()
    nodes: int = 1
    stopped: tuple[str, ...] = ()
    maintenance: bool = False
    cluster: bool = False

    def start(self, relays: Relays) -> dict[str, list[Node]]:
        """Start the relays that run in this process; all others are embedded in the monitor."""
        own = {*self.stopped, TROUBLED} if self.faults or self.stopped else set()
        return {name: relays.cluster(self.nodes) for name in self.relays if name in own}

    def config(self, nodes: dict[str, list[Node]], cluster: Cluster | None = None) -> JsonObject:
        """Return the configuration of its monitor."""
        many = len(self.relays) > len(NAMES)
        relays = [self._relay(name, nodes.get(name)) for name in self.relays if cluster is None or name != TROUBLED]
        if cluster is not None:
            of_cluster = {
                "endpoints": [node.url for node in cluster.nodes],
                "centrifugo_selector": f'job="{CENTRIFUGO}"',
            }
            relays.append(relay(TROUBLED, cluster.nodes[0].url, **of_cluster))
        return shipped(
            install=self.name,
            location="eu-west",
            locations=["eu-west"],
            relays=relays,
            maintenance=[MAINTENANCE] if self.maintenance else [],
            metrics={"detail": "lean" if many else "standard"},
            probes=PROBES_OF_MANY if many else PROBES,
            slos=[slo for slo in SLOS if not many or slo["probe"] != "offline"],
        )

    def _relay(self, name: str, nodes: list[Node] | None) -> JsonObject:
        if nodes is None:
            return relay(name)
        urls = [node.url for node in nodes]
        return relay(name, urls[0], **({"endpoints": urls} if len(urls) > 1 else {}))

    def cause(self, nodes: dict[str, list[Node]]) -> None:
        """Cause the trouble."""
        for name in self.stopped:
            for node in nodes[name]:
                node.stop()
        if self.faults:
            nodes[TROUBLED][-1].inject(*self.faults)


REAL: Final = (
    World("healthy", "three relays, all up"),
    World("outage", "one of three relays is down", stopped=(TROUBLED,)),
    World(
        "degraded",
        "one of three relays loses a tenth of all messages",
        faults=("drop:channel=session,probability=0.1",),
    ),
    World("not-accepting", "one of three relays refuses new connections", faults=("status:code=502",)),
    World(
        "silent-node",
        "one node of a relay's two stores messages and pushes none",
        faults=("drop:channel=session",),
        nodes=2,
    ),
    World(
        "maintenance", "one of three relays is down while it is in maintenance", stopped=(TROUBLED,), maintenance=True
    ),
    World("centrifugo", "one of a relay's two Centrifugos was killed and started again", cluster=True),
    World(
        "many",
        "three of forty relays are down",
        detail=STOPPABLE[0],
        relays=tuple(f"relay-{number:02}" for number in range(1, SIZE + 1)),
        stopped=STOPPABLE,
    ),
)


@dataclass(frozen=True, slots=True)
class SimulatedWorld:
    """A world without relays: its configuration for a location, and the share of failures by relay."""

    name: str
    caption: str
    relays: tuple[str, ...]
    detail: str
    locations: tuple[str, ...] = ("eu-west",)
    slos: int = 2
    shares: tuple[tuple[str, float], ...] = ()

    def config(self, location: str) -> JsonObject:
        """Return the configuration of the monitor at a location."""
        more = [
            {
                "name": f"objective-{number:02}",
                "probe": "steady",
                "sli": "latency",
                "threshold": f"{100 + 50 * number}ms",
                "objective": "99%",
            }
            for number in range(1, self.slos - 1)
        ]
        return shipped(
            install=self.name,
            location=location,
            locations=list(self.locations),
            relays=[relay(name, "wss://relay.example.com/connection/websocket") for name in self.relays],
            metrics={"detail": "lean" if len(self.relays) > len(NAMES) else "standard"},
            probes=PROBES_OF_MANY if len(self.relays) > len(NAMES) else PROBES,
            slos=[*SLOS[:2], *more],
            prometheus={"url": None, "scrape_interval": "15s", "evaluation_interval": "15s"},
        )


def _long(name: str) -> str:
    return f"{name}-{'x' * 62}"[:63]


SIMULATED: Final = (
    SimulatedWorld("three-relays", "three relays, all up", NAMES, TROUBLED),
    SimulatedWorld(
        "lossy-relay", "one of three relays fails a tenth of all exchanges", NAMES, TROUBLED, shares=((TROUBLED, 0.1),)
    ),
    SimulatedWorld(
        "forty-relays",
        "three of forty relays are down",
        tuple(f"relay-{number:02}" for number in range(1, SIZE + 1)),
        STOPPABLE[0],
        shares=tuple((name, 1.0) for name in STOPPABLE),
    ),
    SimulatedWorld("one-relay", "a single relay", ("tokyo",), "tokyo"),
    SimulatedWorld(
        "hundred-relays",
        "a hundred relays, of which two are down and three lose messages",
        tuple(f"relay-{number:03}" for number in range(1, 101)),
        "relay-017",
        shares=(("relay-017", 1.0), ("relay-093", 1.0), ("relay-002", 0.1), ("relay-050", 0.2), ("relay-088", 0.05)),
    ),
    SimulatedWorld("twelve-slos", "twelve SLOs", NAMES, TROUBLED, slos=12, shares=((TROUBLED, 0.05),)),
    SimulatedWorld(
        "five-locations",
        "five locations, each with its own monitor",
        NAMES,
        TROUBLED,
        locations=("eu-west", "eu-north", "us-east", "us-west", "ap-south"),
        shares=((TROUBLED, 1.0),),
    ),
    SimulatedWorld(
        "long-names",
        "names of 63 characters",
        tuple(_long(name) for name in NAMES),
        _long(TROUBLED),
        locations=(_long("location"),),
        shares=((_long(TROUBLED), 1.0),),
    ),
)
