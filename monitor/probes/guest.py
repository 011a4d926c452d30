"""A polite guest at one relay: its limits, its endpoints, and how each side gets in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import monitor
from monitor.catalogue import Reason, Step
from monitor.config.relay import DnsEndpoint
from monitor.errors import OwnFault, StartupError
from monitor.relay.access import Access
from monitor.relay.limits import Limiter
from monitor.relay.target import Target, TlsOptions
from monitor.session.peer import HISTORY_LIMIT
from monitor.wire.commands import Connect

if TYPE_CHECKING:
    import random

    from monitor.clock import Arrivals, Clock
    from monitor.config import RelayConfig
    from monitor.deadlines import Deadlines
    from monitor.relay.limits import Permit

NAME = "relay-monitor"


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a client gets in.

    `together`: both sides of a pair meet the same endpoint. `last`: it may take the very last permits of the relay's
    limits, those which are kept for confirmations.
    """

    together: bool = False
    last: bool = False


USUAL = Terms()
CONFIRMING = Terms(together=True, last=True)
MENDING = Terms(together=True)


class Guest:
    """What every probe of one relay shares. `url` is where the relay really is (an embedded one has a port by now).

    `together`: where the relay asks one client to wait, all of them do.
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
        together: bool = True,
    ) -> None:
        self.connects = Limiter(config.limits.connects_per_minute, clock)
        self.messages = Limiter(config.limits.messages_per_minute, clock)
        self.adjust(config)
        self._url = url
        self._postpone = self.connects.pause if together else _alone
        self._clock = clock
        self._arrivals = arrivals
        self.deadlines = deadlines
        self._rng = rng
        self._turn = rng.randrange(1 << 16)
        self._examined_at = float("-inf")
        self.handshake_at = float("-inf")  # when the relay's certificate was seen last, on the monotonic clock

    def has_room(self, connects: int) -> bool:
        """Whether so many planned connects could be made now, beside those kept for a confirmation."""
        return (
            self.connects.wait(min(connects + self.reserve, max(connects, self.config.limits.connects_per_minute))) <= 0
        )

    def wait_to_mend(self, connects: int) -> float:
        """Seconds until so many connects would leave half to others, as a client that comes back does."""
        # Of a limit too small for both there is no half to leave: it is waited for as a whole, and not for ever.
        return self.connects.wait(min(connects + self.spare, self.config.limits.connects_per_minute))

    def adjust(self, config: RelayConfig) -> None:
        """Take up what may change while connections stand: other limits, from now on."""
        self.config = config
        self.connects.allow(config.limits.connects_per_minute)
        self.messages.allow(config.limits.messages_per_minute)
        self.reserve = config.limits.reserve
        self.spare = max(config.limits.connects_per_minute // 2, self.reserve)

    def turn(self) -> int:
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

    def may_examine(self, spacing: float) -> bool:
        """Whether the last autopsy here lies `spacing` seconds back; if so, another one begins."""
        now = self._clock.monotonic()
        if now - self._examined_at < spacing:
            return False
        self._examined_at = now
        return True

    async def admit_pair(self) -> list[Permit]:
        """Wait for the permits of both connects of a pair, so that neither end waits for the other's in vain.

        Only one where the relay's limits never allow two.
        """
        return await self.connects.ahead(2, spare=self.reserve)

    def access(
        self, side: str, turn: int, timeout: float, terms: Terms = USUAL, permit: Permit | None = None
    ) -> Access:
        """How `side`, "dapp" or "wallet", gets in. The two of one turn meet different endpoints, if there are several.

        `terms` may put them together. `permit` is what its first connect has already.
        A connect raises `OwnFault` where the file of a header or of the token cannot be read.
        """
        return Access(
            target=partial(self._target, side, turn + (side == "wallet" and not terms.together)),
            hello=self._hello,
            admit=partial(self._admit, terms, permit),
            postpone=self._postpone,
            clock=self._clock,
            arrivals=self._arrivals,
            deadlines=self.deadlines,
            rng=self._rng,
            timeout=timeout,
        )

    async def _admit(self, terms: Terms, permit: Permit | None, returning: bool) -> None:  # noqa: FBT001 - `Access.admit`
        """Wait for a permit of the relay's limits. There are three ranks.

        A confirmation may take the last one. What is planned leaves it what it needs. A client that comes back leaves
        half: a relay that drops everyone must not use up what tells that it is down, and up again.
        """
        if permit is not None and not returning:
            await permit.use()
        else:
            await self.connects.acquire(spare=0 if terms.last else self.spare if returning else self.reserve)

    def _hello(self) -> Connect:
        try:
            token = self.config.read_token()
        except StartupError as error:
            raise OwnFault(Step.HELLO, Reason.INTERNAL, str(error)) from error
        return Connect(name=NAME, version=monitor.__version__, token=token)

    def _target(self, side: str, turn: int) -> Target:
        config = self.config
        try:
            headers = tuple(config.read_headers(side).items())
        except StartupError as error:
            raise OwnFault(Step.UPGRADE, Reason.INTERNAL, str(error)) from error
        url, connect_to = self._url, None
        if config.endpoints:
            endpoint = config.endpoints[turn % len(config.endpoints)]
            if isinstance(endpoint, DnsEndpoint):
                # The certificate and the Host header are the relay's; only the address is a node's.
                connect_to = endpoint.dns
                turn //= len(config.endpoints)
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
            pick=turn if connect_to is not None else None,
        )


def _alone(_: float) -> None:
    """Whoever was asked to wait does, and nobody else."""
