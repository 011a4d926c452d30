"""A polite guest at one relay: its limits, its endpoints, and how each side gets in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import monitor
from monitor.config.relay import DnsEndpoint
from monitor.errors import LocalError, StartupError
from monitor.relay.endpoint import EndpointProvider
from monitor.relay.rate_limit import RateLimiter
from monitor.relay.target import Target
from monitor.relay.tls import TlsOptions
from monitor.session.peer import HISTORY_LIMIT
from monitor.vocabulary import Reason, Step
from monitor.wire.commands import Connect

if TYPE_CHECKING:
    import random

    from monitor.clock import Arrivals, Clock
    from monitor.config import RelayConfig
    from monitor.deadlines import Deadlines
    from monitor.relay.rate_limit import Permit

NAME = "relay-monitor"


@dataclass(frozen=True, slots=True)
class ConnectPriority:
    """Which share of a relay's limits a connect may use.

    `same_endpoint`: both sides of a pair use the same endpoint. `confirming`: the permits reserved for confirmations
    may be used. `recovering`: the connect belongs to recovery probing, and leaves reconnects what they will need.
    """

    same_endpoint: bool = False
    confirming: bool = False
    recovering: bool = False


NORMAL = ConnectPriority()
CONFIRMING = ConnectPriority(same_endpoint=True, confirming=True)
RECOVERY = ConnectPriority(same_endpoint=True, recovering=True)

_LAST, _PLANNED, _WELCOME, _RETURNING, _MENDING = range(5)  # ranks: each has a queue of its own


class RelayAdmission:
    """What every probe of one relay shares. `url` is where the relay really is (an embedded one has a port by now).

    `share_retry_after`: where the relay asks one client to wait, all of them do.
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
    ) -> None:
        self.connects = RateLimiter(config.limits.connects_per_minute, clock)
        self.messages = RateLimiter(config.limits.messages_per_minute, clock)
        self._returns = RateLimiter(config.limits.connects_per_minute, clock)  # connects of those who come back
        self.reconfigure(config)
        self._url = url
        self._postpone = self.connects.pause if share_retry_after else _alone
        self._clock = clock
        self._arrivals = arrivals
        self.deadlines = deadlines
        self._rng = rng
        self._turn = rng.randrange(1 << 16)
        self._examined_at = float("-inf")
        self._up_at = float("-inf")  # when the relay was found up, on the monotonic clock
        self.handshake_at = float("-inf")  # when the relay's certificate was seen last, on the monotonic clock

    def has_room(self, connects: int) -> bool:
        """Whether so many planned connects could be made now, beside those kept for a confirmation."""
        return (
            self.connects.wait(min(connects + self.reserve, max(connects, self.config.limits.connects_per_minute))) <= 0
        )

    async def admit_reconnect(self, connects: int, failed_at: float) -> None:
        """Wait until somebody who was away since `failed_at` may come back: with two fifths of all connects at most.

        So a relay that drops everyone never uses up what tells that it is down, and up again. A quarter of that is for
        those who failed before it was found up: an outage uses the rest, and a probe that waits out a minute for it
        measures nothing meanwhile.
        """
        spare = partial(self._kept_from, failed_at)
        await self._returns.acquire(connects, priority=spare(), headroom=spare)

    def _kept_from(self, failed_at: float) -> int:
        """Connects to leave to those who may come back first; fewer for whoever still waits when it is found up."""
        return 0 if failed_at < self._up_at else self._kept

    def mark_up(self) -> None:
        """A message crossed when that was in doubt."""
        self._up_at = self._clock.monotonic()

    def reconfigure(self, config: RelayConfig) -> None:
        """Take up what may change while connections stand: other limits, from now on."""
        self.config = config
        self.connects.set_limit(config.limits.connects_per_minute)
        self.messages.set_limit(config.limits.messages_per_minute)
        self.reserve = config.limits.reserve
        returns = config.limits.connects_per_minute - config.limits.connects_per_minute * 3 // 5
        self._returns.set_limit(returns)
        self._kept = max(1, returns // 4) if returns > 1 else 0

    def endpoint_index(self) -> int:
        """The next turn round the relay's endpoints: one for each pair."""
        self._turn += 1
        return self._turn

    @property
    def has_several_endpoints(self) -> bool:
        """Whether the next turn may meet another node than this one."""
        endpoints = self.config.endpoints
        return len(endpoints) > 1 or any(isinstance(endpoint, DnsEndpoint) for endpoint in endpoints)

    @property
    def history(self) -> int:
        """Publications to ask for, so that all that the relay keeps of a channel come."""
        return max(HISTORY_LIMIT, self.config.history.size)

    def start_diagnosis(self, spacing: float) -> bool:
        """Whether the last autopsy here lies `spacing` seconds back; if so, another one begins."""
        now = self._clock.monotonic()
        if now - self._examined_at < spacing:
            return False
        self._examined_at = now
        return True

    async def acquire_pair(self) -> list[Permit]:
        """Wait for the permits of both connects of a pair, so that neither end waits for the other's in vain.

        Only one where the relay's limits never allow two.
        """
        return await self.connects.acquire_ahead(2, priority=_PLANNED, headroom=lambda: self.reserve)

    def endpoint(
        self,
        side: str,
        endpoint_index: int,
        timeout: float,
        priority: ConnectPriority = NORMAL,
        permit: Permit | None = None,
    ) -> EndpointProvider:
        """How `side`, "dapp" or "wallet", gets in. The two of one turn meet different endpoints, if there are several.

        `priority` may put them together. `permit` is what its first connect has already.
        A connect raises `LocalError` where the file of a header or of the token cannot be read.
        """
        return EndpointProvider(
            target=partial(self._target, side, endpoint_index + (side == "wallet" and not priority.same_endpoint)),
            hello=self._hello,
            admit=partial(self._admit, priority, permit),
            postpone=self._postpone,
            clock=self._clock,
            arrivals=self._arrivals,
            deadlines=self.deadlines,
            rng=self._rng,
            timeout=timeout,
        )

    async def _admit(self, priority: ConnectPriority, permit: Permit | None, failed_at: float | None) -> None:
        """Wait for a permit of the relay's limits.

        A confirmation may take the last one. What is planned leaves it what it needs. So does a client that comes back,
        once it may.
        """
        if permit is not None and failed_at is None:
            await permit.use()
        elif priority.confirming:
            await self.connects.acquire(priority=_LAST)
        elif failed_at is not None:
            await self.admit_reconnect(1, failed_at)
            rank = _RETURNING if self._kept_from(failed_at) else _WELCOME
            await self.connects.acquire(priority=rank, headroom=lambda: self.reserve + self._kept_from(failed_at))
        elif priority.recovering:
            # What they have had in this minute already they will not need.
            await self.connects.acquire(
                priority=_MENDING, headroom=lambda: self.reserve + min(self._kept, self._returns.available)
            )
        else:
            await self.connects.acquire(priority=_PLANNED, headroom=lambda: self.reserve)

    def _hello(self) -> Connect:
        try:
            token = self.config.read_token()
        except StartupError as error:
            raise LocalError(Step.HELLO, Reason.INTERNAL, str(error)) from error
        return Connect(name=NAME, version=monitor.__version__, token=token)

    def _target(self, side: str, endpoint_index: int) -> Target:
        config = self.config
        try:
            headers = tuple(config.read_headers(side).items())
        except StartupError as error:
            raise LocalError(Step.UPGRADE, Reason.INTERNAL, str(error)) from error
        url, connect_to = self._url, None
        if config.endpoints:
            endpoint = config.endpoints[endpoint_index % len(config.endpoints)]
            if isinstance(endpoint, DnsEndpoint):
                # The certificate and the Host header are the relay's; only the address is a node's.
                connect_to = endpoint.dns
                endpoint_index //= len(config.endpoints)
            else:
                url = endpoint
        tls = config.tls
        return Target(
            url=url,
            headers=headers,
            origin=config.origin,
            user_agent=f"{NAME}/{monitor.__version__}",
            tls=TlsOptions(**dict(tls)) if tls is not None else None,
            ip_protocol=config.ip_protocol,
            proxy="" if config.url == "embedded" else None,  # there is none on the way to this very process
            connect_to=connect_to,
            pick=endpoint_index if connect_to is not None else None,
        )


def _alone(_: float) -> None:
    """Whoever was asked to wait does, and nobody else."""
