"""The kinds of fault: what each does to connections, how often it comes, for how long, and whether it is to page."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Final


class New(StrEnum):
    """What happens to a new connection and its message."""

    OK = auto()
    REFUSED = auto()  # fails at once
    SILENT = auto()  # fails by its timeout
    LIMITED = auto()  # the relay asks for less: 429


class Persistent(StrEnum):
    """What happens to persistent connections."""

    OK = auto()
    CLOSED = auto()  # closed at once; they reconnect as new connections do
    RECONNECT = auto()  # closed once; a new connection succeeds
    SILENT = auto()  # messages are not delivered


class Due(StrEnum):
    """Whether a fault is to page."""

    MUST = auto()  # users notice it; it counts for recall from `MUST_AFTER` seconds on
    MAY = auto()  # a page about it is right, none is right too
    NEVER = auto()


class Scope(StrEnum):
    """Whom a fault affects."""

    RELAY = auto()  # one relay, for all locations
    GROUP = auto()  # several relays behind one load balancer, for all locations
    PATH = auto()  # one relay as seen from one location
    LOCATION = auto()  # all relays as seen from one location
    MONITOR = auto()  # the monitor of one location itself


MUST_AFTER: Final = 120.0
"""Seconds from which on an outage must page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of fault.

    a_year: how many a year, for each relay, group, path or location by `scope`.
    duration: shortest and longest duration in seconds; drawn evenly on a logarithmic scale.
    loss: share of exchanges that fail; nodes: number of nodes of which one fails, 1 if all do.
    slow: share of round trips that exceed the latency threshold.
    repeats: how often it comes again, each after a pause of its own duration.
    maintenance: it is announced: a window begins a minute before it and ends `overrun` of the time before it.
    absent, unhealthy: the monitor does not answer scrapes, or says that it is unhealthy.
    """

    name: str
    due: Due
    a_year: float
    duration: tuple[float, float]
    scope: Scope = Scope.RELAY
    new: New = New.OK
    persistent: Persistent = Persistent.OK
    loss: float = 0.0
    nodes: int = 1
    slow: float = 0.0
    repeats: int = 0
    maintenance: bool = False
    overrun: float = 0.0
    absent: bool = False
    unhealthy: bool = False

    @property
    def of_relay(self) -> bool:
        """Whether the relay, and not a path or a monitor, has the fault."""
        return self.scope in {Scope.RELAY, Scope.GROUP}


MINUTE: Final = 60.0
HOUR: Final = 3600.0

KINDS: Final = (
    Kind(name="killed", due=Due.MUST, a_year=3, duration=(30, HOUR), new=New.REFUSED, persistent=Persistent.CLOSED),
    Kind(name="silent", due=Due.MUST, a_year=1, duration=(30, HOUR), new=New.SILENT, persistent=Persistent.SILENT),
    Kind(name="unavailable, 503", due=Due.MUST, a_year=1, duration=(30, HOUR),
         new=New.REFUSED, persistent=Persistent.CLOSED),
    Kind(name="asks for less, 429", due=Due.MUST, a_year=1, duration=(60, HOUR),
         new=New.LIMITED, persistent=Persistent.CLOSED),
    Kind(name="newcomers refused", due=Due.MUST, a_year=1, duration=(60, HOUR), new=New.REFUSED),
    Kind(name="load balancer down", due=Due.MUST, a_year=2, duration=(30, HOUR), scope=Scope.GROUP, new=New.REFUSED,
         persistent=Persistent.CLOSED),
    Kind(name="silent node of 3", due=Due.MAY, a_year=1, duration=(5 * MINUTE, 2 * HOUR), new=New.SILENT,
         persistent=Persistent.SILENT, nodes=3),
    Kind(name="loses 30 %", due=Due.MAY, a_year=1, duration=(10 * MINUTE, 2 * HOUR), loss=0.3),
    Kind(name="loses 5 %", due=Due.MAY, a_year=1, duration=(10 * MINUTE, 3 * HOUR), loss=0.05),
    Kind(name="slow", due=Due.MAY, a_year=1, duration=(10 * MINUTE, 3 * HOUR), slow=0.6),
    Kind(name="flaps, 45 s", due=Due.MAY, a_year=1, duration=(45, 45),
         new=New.REFUSED, persistent=Persistent.CLOSED, repeats=8),
    Kind(name="failover, 10–25 s", due=Due.NEVER, a_year=20, duration=(10, 25),
         new=New.REFUSED, persistent=Persistent.CLOSED),
    Kind(name="deploy", due=Due.NEVER, a_year=52, duration=(60, 300), persistent=Persistent.RECONNECT),
    Kind(name="drain", due=Due.NEVER, a_year=12, duration=(60, 600), persistent=Persistent.RECONNECT, nodes=3),
    Kind(name="planned outage", due=Due.NEVER, a_year=4, duration=(5 * MINUTE, HOUR), new=New.REFUSED,
         persistent=Persistent.CLOSED, maintenance=True),
    Kind(name="planned outage, overrun", due=Due.MUST, a_year=0.5, duration=(10 * MINUTE, HOUR), new=New.REFUSED,
         persistent=Persistent.CLOSED, maintenance=True, overrun=0.5),
    Kind(name="path down from one location", due=Due.NEVER, a_year=1, duration=(30, HOUR),
         scope=Scope.PATH, new=New.SILENT,
         persistent=Persistent.SILENT),
    Kind(name="one location rate-limited", due=Due.NEVER, a_year=1, duration=(60, HOUR), scope=Scope.PATH,
         new=New.LIMITED),
    Kind(name="egress of one location cut", due=Due.NEVER, a_year=4, duration=(20, 10 * MINUTE), scope=Scope.LOCATION,
         new=New.SILENT, persistent=Persistent.SILENT),
    Kind(name="monitor dead", due=Due.NEVER, a_year=6, duration=(60, 30 * MINUTE), scope=Scope.MONITOR, absent=True),
    Kind(name="monitor restarted", due=Due.NEVER, a_year=26, duration=(10, 30), scope=Scope.MONITOR, absent=True),
    Kind(name="monitor unhealthy", due=Due.NEVER, a_year=4, duration=(30, 10 * MINUTE),
         scope=Scope.MONITOR, unhealthy=True),
)  # fmt: skip
"""The year of a production relay, and of its monitors. The rates are assumptions, rather too many than too few."""
