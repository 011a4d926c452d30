"""Faults of relays: how each is caused and repaired, and what the documentation promises for it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from monitor.embedded import EmbeddedRelay, FaultPlan, parse_fault
from tests.balancer import Balancer, http_response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AsyncExitStack

    from tests.faults.certificates import Certificates


@dataclass(slots=True, kw_only=True)
class FaultyRelay:
    """A relay under its name in an install's configuration, behind a balancer that can fail."""

    name: str
    balancer: Balancer
    embedded: EmbeddedRelay | None = None
    second: Balancer | None = None
    """A second endpoint."""

    config: dict[str, Any] = field(default_factory=dict)

    def entry(self) -> dict[str, Any]:
        """Return its part of a configuration."""
        return {"name": self.name, "url": self.balancer.url} | self.config


async def kill(relay: FaultyRelay) -> None:
    """Refuse connections, and drop those that exist."""
    await relay.balancer.stop()


async def revive(relay: FaultyRelay) -> None:
    """Accept connections again."""
    relay.balancer.refusal = None
    await relay.balancer.start()


def refuse(response: bytes, *, drop: bool) -> Callable[[FaultyRelay], Awaitable[None]]:
    """Return a fault that answers new connections with a response; with `drop`, it drops those that exist."""

    async def cause(relay: FaultyRelay) -> None:
        relay.balancer.refusal = response
        if drop:
            relay.balancer.drop()

    return cause


async def accept(relay: FaultyRelay) -> None:
    """Accept new connections again."""
    relay.balancer.refusal = None


async def refuse_subscriptions(relay: FaultyRelay) -> None:
    """Answer each subscribe command with an internal error."""
    assert relay.embedded is not None
    assert relay.embedded.plan is not None
    relay.embedded.plan.set([parse_fault("error:at=subscribe,channel=session,code=100")])


async def accept_subscriptions(relay: FaultyRelay) -> None:
    """Answer subscribe commands again."""
    assert relay.embedded is not None
    assert relay.embedded.plan is not None
    relay.embedded.plan.set([])


async def kill_second(relay: FaultyRelay) -> None:
    """Let the second endpoint refuse connections."""
    assert relay.second is not None
    await relay.second.stop()


async def revive_second(relay: FaultyRelay) -> None:
    """Let the second endpoint accept connections again."""
    assert relay.second is not None
    await relay.second.start()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of fault.

    `alert` pages within `page` seconds of the fault, at the median within `median`; None: nothing pages. `seconds` is
    the duration of a fault. `relays` fail at once in one try. A repair is seen within `seen` seconds, and resolved
    within `resolved`.
    """

    name: str
    cause: Callable[[FaultyRelay], Awaitable[None]]
    repair: Callable[[FaultyRelay], Awaitable[None]]
    alert: str | None
    page: float = 90.0
    median: float = 60.0
    seen: float = 60.0
    resolved: float = 240.0
    seconds: tuple[float, float] = (150.0, 150.0)
    relays: int = 1
    tries: int = 3
    rounds: int = 1
    """How often each try's relay fails, one time after the other."""

    embedded: bool = False
    warning: str | None = None
    """An alert that must be received without paging."""

    allowed: frozenset[str] = frozenset()
    """Alerts that may page besides."""


RATE_LIMITED: Final = http_response(429)
UNAVAILABLE: Final = http_response(503, Retry_After="3600")

KINDS: Final = (
    Kind(name="killed", cause=kill, repair=revive, alert="RelayDown"),
    Kind(
        name="503-retry-after-3600",
        cause=refuse(UNAVAILABLE, drop=True),
        repair=accept,
        alert="RelayDown",
        page=120.0,
        median=120.0,
    ),
    Kind(name="429", cause=refuse(RATE_LIMITED, drop=True), repair=accept, alert="RelayDown", page=120.0, median=120.0),
    Kind(
        name="newcomers-502",
        cause=refuse(http_response(502), drop=False),
        repair=accept,
        alert="RelayNotAccepting",
        page=120.0,
        median=120.0,
        seconds=(180.0, 180.0),
    ),
    Kind(
        name="newcomers-subscribe",
        cause=refuse_subscriptions,
        repair=accept_subscriptions,
        alert="RelayNotAccepting",
        page=120.0,
        median=120.0,
        seconds=(180.0, 180.0),
        embedded=True,
    ),
    Kind(name="group", cause=kill, repair=revive, alert="RelayGroupDown", relays=10, page=120.0, median=120.0),
    Kind(name="outage-10-25", cause=kill, repair=revive, alert=None, seconds=(10.0, 25.0), tries=30, rounds=2),
    Kind(
        name="certificate",
        cause=kill_second,
        repair=revive_second,
        alert=None,
        seconds=(300.0, 300.0),
        tries=1,
        warning="RelayProbeFailing",
        # The ends of a pair go to different endpoints: while one of two is dead, no pair delivers.
        allowed=frozenset({"RelayCertificateExpiring", "RelayErrorBudgetBurn"}),
    ),
)


async def relays_of(
    kind: Kind, number: int, upstream: str, stack: AsyncExitStack, certificates: Certificates
) -> list[FaultyRelay]:
    """Start the relays of one try of a kind, all before the relay at `upstream`."""
    relays = []
    for each in range(kind.relays):
        name = f"{kind.name}-{number}" if kind.relays == 1 else f"{kind.name}-{number}-{each}"
        relay = FaultyRelay(name=name, balancer=Balancer(upstream))
        if kind.relays > 1:
            relay.config["group"] = f"{kind.name}-{number}"
        if kind.embedded:
            relay.embedded = EmbeddedRelay(plan=FaultPlan())
            await relay.embedded.start()
            stack.push_async_callback(relay.embedded.stop)
            relay.balancer.backends = [relay.embedded.url.split("/")[2]]
        if kind.name == "certificate":
            relay.balancer = Balancer(upstream, tls=certificates.server(days=3))
            relay.second = await stack.enter_async_context(Balancer(upstream, tls=certificates.server(days=3)))
            relay.config["endpoints"] = [relay.balancer.url, relay.second.url]
            relay.config["tls"] = {"ca_file": str(certificates.ca_file)}
        await stack.enter_async_context(relay.balancer)
        relays.append(relay)
    return relays


def durations(kind: Kind, number: int) -> list[float]:
    """Return the durations of one try's faults in seconds: two short ones burn no more budget than two average ones."""
    low, high = kind.seconds
    if kind.rounds == 1:
        return [low]
    chosen = random.Random(number).uniform(low, high)
    return [chosen, low + high - chosen]
