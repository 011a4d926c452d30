"""Whether all relays became unreachable at once: without an answering reference, that may be our own network.

Each relay is asked for a TCP connection, through its proxy if it uses one; nothing is sent. A relay that is down for
other reasons, such as an error of its own at the upgrade, still accepts one, which shows that our network works.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from monitor.errors import ProbeError, SettingsError
from monitor.relay import routes
from monitor.relay.dial import reach
from monitor.relay.proxy import proxy_of
from monitor.relay.resolve import look_up

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable

    from monitor.clock import Clock
    from monitor.relay.proxy import Proxy
    from monitor.relay.resolve import AddressInfo
    from monitor.relay.target import Target
    from monitor.relays import MonitoredRelay

TIMEOUT: Final = 2.0
"""Seconds until a relay must accept a connection."""

MIN_RELAYS: Final = 3
"""Relays of which a common failure is suspicious."""

MIN_SHARE: Final = 0.8
"""Share of the relays that must be unreachable."""

MAX_SPREAD: Final = 30.0
"""Seconds within which they must have become so."""

PARTIAL_LIMIT: Final = 60.0
"""Seconds after which the others count as down if a relay answers all the time: our network carries it."""


@dataclass(frozen=True, slots=True)
class _Reachability:
    """Whether a relay accepted a connection, and the hosts or addresses that were addresses."""

    reached: bool
    addresses: frozenset[str]


class Egress:
    """Suspects our own network while most relays are unreachable that became so together.

    `relays` returns the monitored relays. `unreachable` says how many could not be reached when they were last asked,
    if those are most of three or more, since whatever time; otherwise it is None.
    """

    def __init__(self, clock: Clock, relays: Callable[[], Iterable[MonitoredRelay]]) -> None:
        self._clock = clock
        self._relays = relays
        self.unreachable: str | None = None
        self._unreachable_since: dict[str, float] = {}
        self._suspected_at: float | None = None

    def ways(self) -> set[Proxy | None]:
        """Return the proxies through which the relays are reached; None is the direct way."""
        ways: set[Proxy | None] = set()
        for relay in self._relays():
            if not relay.is_embedded:
                for target in relay.admission.addresses():
                    ways.add(_way(target))
        return ways or {None}

    async def suspicion(self) -> str | None:
        """Ask all relays; return why our network is suspected, or None. Never raises."""
        relays = self._asked()
        self.unreachable = None
        if len(relays) < MIN_RELAYS:
            self._suspected_at = None
            return None
        results = dict(zip(relays, await asyncio.gather(*(self._check(relay) for relay in relays)), strict=True))
        now = self._clock.monotonic()
        failing = [relay for relay, result in results.items() if not result.reached]
        since = {relay.config.name: self._failing_since(relay, now) for relay in failing}
        self._unreachable_since = since
        why = f"all relays, or our network: {len(failing)} of {len(relays)} relays cannot be reached from here"
        self.unreachable = why if len(failing) >= MIN_SHARE * len(relays) else None
        where = frozenset().union(*(results[relay].addresses for relay in failing))
        known = self._suspected_at is not None
        recent = [began for began in since.values() if known or now - began <= MAX_SPREAD]
        if len(recent) < MIN_SHARE * len(relays) or len(where) < 2:  # noqa: PLR2004 - several addresses
            self._suspected_at = None
            return None
        self._suspected_at = now if self._suspected_at is None else self._suspected_at
        if len(failing) < len(relays) and now - self._suspected_at >= PARTIAL_LIMIT:
            self._suspected_at = None
            return None
        return why

    def _asked(self) -> list[MonitoredRelay]:
        """Return the relays that show whether our network works."""
        remote = [relay for relay in self._relays() if not relay.is_embedded]
        # Without a route to one relay, that relay says nothing; without a route to any, all are unreachable. Probes
        # find that one after the other: while the network is suspected, relays without a route still count.
        observable = [relay for relay in remote if relay.settings_fault.error is None]
        unrouted = [
            relay for relay in remote if (error := relay.settings_fault.error) and error.shared == routes.NETWORK
        ]
        relays = observable + unrouted if self._suspected_at is not None else observable or unrouted
        # A relay on this host is reached without any network, unless there are no others.
        return [relay for relay in relays if not relay.is_local] or relays

    def _failing_since(self, relay: MonitoredRelay, now: float) -> float:
        """Return since when a relay has been unreachable: it was reached, or delivered, later than it was noted."""
        since = self._unreachable_since.get(relay.config.name)
        last = max(relay.reached_at, relay.verdict.delivered_at)
        return now if since is None or last > since else since

    async def is_observable(self, relay: MonitoredRelay) -> bool:
        """Return True unless a relay cannot be asked because of this side: its proxy, or a missing route."""
        for target in relay.admission.addresses():
            try:
                await reach(target, clock=self._clock, proxy=_way(target), timeout=TIMEOUT)
            except SettingsError:
                continue
            except (ProbeError, UnicodeError):
                pass
            return True
        return False

    async def _check(self, relay: MonitoredRelay) -> _Reachability:
        addresses: set[str] = set()

        async def resolver(host: str, port: int, family: socket.AddressFamily) -> list[AddressInfo]:
            found = await look_up(host, port, family)
            addresses.update(str(item[4][0]) for item in found)
            return found

        results = await asyncio.gather(*(self._reaches(target, resolver) for target in relay.admission.addresses()))
        names = {target.host for target in relay.admission.addresses()}
        return _Reachability(any(results), frozenset(addresses or names))

    async def _reaches(self, target: Target, resolver: Any) -> bool:
        try:
            way = _way(target)
            await reach(target, clock=self._clock, proxy=way, timeout=TIMEOUT, resolver=look_up if way else resolver)
        except (ProbeError, UnicodeError):
            return False
        return True


def _way(target: Target) -> Proxy | None:
    """Return the proxy of a target; none if it is not usable, which the connects report."""
    try:
        return proxy_of(target)
    except SettingsError:
        return None
