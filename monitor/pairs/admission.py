"""Admission to one relay: its rate limits, its endpoints, and how each side connects."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from weakref import WeakSet

import monitor
from monitor.config.attempts import CONNECTS
from monitor.config.relay import DnsEndpoint
from monitor.pairs.credentials import Credentials
from monitor.relay.endpoint import EndpointProvider
from monitor.relay.rate_limit import WINDOW_SECONDS, RateLimiter
from monitor.relay.target import Target
from monitor.relay.tls import TlsOptions
from monitor.session.peer import HISTORY_LIMIT
from monitor.wire.commands import Connect

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from monitor.clock import Arrivals, Clock
    from monitor.config import RelayConfig
    from monitor.deadlines import Deadlines
    from monitor.errors import ProbeError
    from monitor.relay.endpoint import Hastened
    from monitor.relay.rate_limit import Permit

CLIENT_NAME = "relay-monitor"

WAKE_SPREAD: Final = 1.0
"""Seconds over which the reconnects are spread that a recovered relay ends the back-off of."""


class ConnectPriority(IntEnum):
    """What a connect is for; each priority waits for permits in a queue of its own.

    All but confirmations leave the permits that are reserved for confirmations.
    """

    CONFIRMATION = 0
    PLANNED = 1
    RECONNECT = 2  # of a client that failed before the relay was up again
    LATE_RECONNECT = 3  # of a client that failed since; leaves a quarter to the others
    RECOVERY = 4  # recovery probing while the relay is down; leaves what reconnects will need

    @property
    def same_endpoint(self) -> bool:
        """True if both sides of a pair connect to the same endpoint."""
        return self in {ConnectPriority.CONFIRMATION, ConnectPriority.RECOVERY}


class RelayAdmission:
    """Limits and endpoints of one relay, shared by all its probes.

    url: the relay's address; that of an embedded relay has its actual port.
    share_retry_after: if the relay asks one client to come back later, all clients wait.
    report: called after each connect with its side and its error, or None if the relay replied to the hello.

    `credentials` reads token and headers.
    """

    def __init__(
        self,
        config: RelayConfig,
        url: str,
        clock: Clock,
        arrivals: Arrivals,
        deadlines: Deadlines,
        rng: random.Random,
        *,
        share_retry_after: bool = True,
        report: Callable[[str, ProbeError | None], None] = lambda _side, _error: None,
    ) -> None:
        self.credentials = Credentials()
        self._report = report
        self.connects = RateLimiter(config.limits.connects_per_minute, clock)
        self.messages = RateLimiter(config.limits.messages_per_minute, clock)
        self._reconnects = RateLimiter(config.limits.connects_per_minute, clock)
        self._attempt_connects = 0  # connects per minute of the regular attempts
        self.reconfigure(config)
        self._url = url
        self._postpone = self.connects.pause if share_retry_after else _ignore
        self._clock = clock
        self._arrivals = arrivals
        self.deadlines = deadlines
        self._rng = rng
        self._endpoint_index = rng.randrange(1 << 16)
        self._nodes: dict[str, int] = {}  # addresses of each DNS endpoint, at the latest lookup
        self._returning: WeakSet[Hastened] = WeakSet()  # clients, some of which wait to reconnect
        self._woken = asyncio.Event()
        self._diagnosed_at = float("-inf")
        self._up_at = float("-inf")  # when the relay was last found up again
        self.handshake_at = float("-inf")  # when the relay's certificate was seen last

    def has_room(self, connects: int) -> bool:
        """Return whether so many planned connects can be made now, without the permits reserved for confirmations."""
        limit = max(connects, self.config.limits.connects_per_minute)
        return self.connects.wait(min(connects + self.reserve, limit)) <= 0

    async def admit_reconnect(self, connects: int, failed_at: float) -> None:
        """Wait until `connects` reconnects of a client that failed at `failed_at` are allowed.

        Reconnects may use 40 % of the connect limit, so that a relay which drops every client leaves permits for
        confirmations and recovery probing. A quarter of that is reserved for clients that failed before the relay was
        up again: an outage uses up the rest, and they would measure nothing for a minute.
        """
        headroom = partial(self._reserved_from, failed_at)
        await self._reconnects.acquire(connects, priority=headroom(), headroom=headroom)

    def _reserved_from(self, failed_at: float) -> int:
        """Return the number of reconnects that a client which failed at `failed_at` must leave to others."""
        return 0 if failed_at < self._up_at else self._reserved_reconnects

    def mark_up(self) -> None:
        """Note that the relay delivered a message while that was in doubt."""
        self._up_at = self._clock.monotonic()

    def wake(self) -> None:
        """End the pause that the relay asked for, and every back-off: an attempt has just delivered."""
        self.mark_up()
        self.connects.end_pause()
        now = self._clock.monotonic()
        for client in list(self._returning):
            client.hasten(now + WAKE_SPREAD * self._rng.random())
        woken, self._woken = self._woken, asyncio.Event()
        woken.set()

    async def back_off(self, seconds: float) -> None:
        """Wait `seconds`, or less if the relay recovers meanwhile."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    def reconfigure(self, config: RelayConfig, attempt_interval: float = math.inf) -> None:
        """Apply other limits from now on; connections stay open. Planned traffic leaves what regular attempts need."""
        self.config = config
        self._attempt_connects = math.ceil(CONNECTS * WINDOW_SECONDS / attempt_interval)
        self.connects.set_limit(config.limits.connects_per_minute)
        self.messages.set_limit(config.limits.messages_per_minute)
        self.reserve = config.limits.reserve + self._attempt_connects
        reconnects = config.limits.connects_per_minute - config.limits.connects_per_minute * 3 // 5
        self._reconnects.set_limit(reconnects)
        self._reserved_reconnects = max(1, reconnects // 4) if reconnects > 1 else 0

    def endpoint_index(self) -> int:
        """Return the next position in the rotation of the relay's endpoints; each pair takes one."""
        self._endpoint_index += 1
        return self._endpoint_index

    def endpoint_indexes(self) -> list[int]:
        """Return one position in the rotation for each endpoint, and for each known address of a DNS endpoint."""
        configured = self.config.endpoints
        return [
            number + len(configured) * pick
            for number, endpoint in enumerate(configured)
            for pick in range(self._nodes.get(endpoint.dns, 1) if isinstance(endpoint, DnsEndpoint) else 1)
        ] or [0]

    @property
    def has_several_endpoints(self) -> bool:
        """True if the next position may lead to another node."""
        endpoints = self.config.endpoints
        return len(endpoints) > 1 or any(isinstance(endpoint, DnsEndpoint) for endpoint in endpoints)

    @property
    def history(self) -> int:
        """Publications to request, so that all that the relay stores of a channel are returned."""
        return max(HISTORY_LIMIT, self.config.history.size)

    def start_diagnosis(self, interval: float) -> bool:
        """Return whether the last diagnosis began at least `interval` seconds ago; if so, another one begins now."""
        now = self._clock.monotonic()
        if now - self._diagnosed_at < interval:
            return False
        self._diagnosed_at = now
        return True

    async def acquire_attempt(self, priority: ConnectPriority) -> list[Permit]:
        """Wait for the permits of a fresh attempt: two connects, the offer and the message.

        Only the limits of this monitor delay it: the relay's "come later" holds for the other traffic.
        """
        await self.messages.acquire(2, priority=priority)
        headroom = self._recovery_headroom if priority is ConnectPriority.RECOVERY else int
        return await self.connects.acquire_ahead(2, priority=priority, headroom=headroom, pausable=False)

    def _recovery_headroom(self) -> int:
        """Return the permits that recovery probing leaves: those of a confirmation, and those reconnects will need."""
        return self.config.limits.reserve + min(self._reserved_reconnects, self._reconnects.available)

    async def acquire_pair(self) -> list[Permit]:
        """Wait for the permits of both connects of a pair, so that neither side waits for the other's.

        Only one permit if the limit is lower than two.
        """
        return await self.connects.acquire_ahead(2, priority=ConnectPriority.PLANNED, headroom=lambda: self.reserve)

    def endpoint(
        self,
        side: str,
        endpoint_index: int,
        timeout: float,
        priority: ConnectPriority = ConnectPriority.PLANNED,
        permit: Permit | None = None,
    ) -> EndpointProvider:
        """Return how `side`, "dapp" or "wallet", connects; `timeout` bounds each connect, in seconds.

        The two sides at one position use different endpoints if there are several, unless `priority` says otherwise.
        `permit` is a permit for the first connect. A connect raises `SettingsError` if the file of a header or of the
        token cannot be read.
        """
        return EndpointProvider(
            target=partial(self._target, side, endpoint_index + (side == "wallet" and not priority.same_endpoint)),
            hello=self._hello,
            admit=partial(self._admit, priority, permit),
            returning=self._returning.add,
            count_nodes=self._nodes.__setitem__,
            postpone=self._postpone,
            clock=self._clock,
            arrivals=self._arrivals,
            deadlines=self.deadlines,
            rng=self._rng,
            timeout=timeout,
            report=partial(self._report, side),
        )

    async def _admit(self, priority: ConnectPriority, permit: Permit | None, failed_at: float | None) -> None:
        """Wait for a permit of the connect limit; `failed_at` is when a reconnecting client dropped or last failed."""
        if permit is not None and failed_at is None:
            await permit.use()
        elif priority is ConnectPriority.CONFIRMATION:
            await self.connects.acquire(priority=priority)
        elif failed_at is not None:
            await self.admit_reconnect(1, failed_at)
            reserved = self._reserved_from(failed_at) > 0
            await self.connects.acquire(
                priority=ConnectPriority.LATE_RECONNECT if reserved else ConnectPriority.RECONNECT,
                headroom=lambda: self.config.limits.reserve + self._reserved_from(failed_at),
            )
        elif priority is ConnectPriority.RECOVERY:
            # Reconnects of this minute will not be needed again.
            await self.connects.acquire(priority=priority, headroom=self._recovery_headroom)
        else:
            await self.connects.acquire(priority=priority, headroom=lambda: self.reserve)

    async def _hello(self) -> Connect:
        token = await self.credentials.token(self.config, self._clock.time())
        return Connect(name=CLIENT_NAME, version=monitor.__version__, token=token)

    def addresses(self) -> list[Target]:
        """Return where the relay's endpoints are, without what only a connect needs: headers and TLS."""
        config = self.config
        endpoints = config.endpoints or (self._url,)
        return [
            Target(
                url=self._url if isinstance(endpoint, DnsEndpoint) else endpoint,
                ip_protocol=config.ip_protocol,
                proxy=self._proxy,
                connect_to=endpoint.dns if isinstance(endpoint, DnsEndpoint) else None,
            )
            for endpoint in endpoints
        ]

    @property
    def _proxy(self) -> str | None:
        return "" if self.config.url == "embedded" else None  # no proxy to this very process

    async def _target(self, side: str, endpoint_index: int) -> Target:
        config = self.config
        headers = await self.credentials.headers(config, side)
        url, connect_to, name = self._url, None, ""
        if config.endpoints:
            endpoint = config.endpoints[endpoint_index % len(config.endpoints)]
            if isinstance(endpoint, DnsEndpoint):
                # Certificate and Host header are the relay's, the address is a node's.
                connect_to = endpoint.dns
                endpoint_index //= len(config.endpoints)
                name = endpoint.dns
            else:
                url = endpoint
                name = urlsplit(endpoint).netloc.rpartition("@")[2]
        tls = config.tls
        return Target(
            url=url,
            headers=headers,
            origin=config.origin,
            user_agent=f"{CLIENT_NAME}/{monitor.__version__}",
            tls=TlsOptions(**dict(tls)) if tls is not None else None,
            ip_protocol=config.ip_protocol,
            proxy=self._proxy,
            connect_to=connect_to,
            endpoint=name,
            pick=endpoint_index if connect_to is not None else None,
        )


def _ignore(_: float) -> None:
    """Do nothing: only the client that was asked to wait waits."""
