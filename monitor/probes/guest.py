"""A polite guest at one relay: its limits, its endpoints, and how each side gets in."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import monitor
from monitor.catalogue import Reason, Step
from monitor.config.relay import DnsEndpoint
from monitor.errors import OwnFault, StartupError
from monitor.relay.client import Access
from monitor.relay.limits import Limiter
from monitor.relay.target import Target, TlsOptions
from monitor.wire.commands import Connect

if TYPE_CHECKING:
    import random

    from monitor.clock import Arrivals, Clock
    from monitor.config import RelayConfig

NAME = "relay-monitor"


class Guest:
    """What every probe of one relay shares. `url` is where the relay really is (an embedded one has a port by now)."""

    def __init__(self, config: RelayConfig, url: str, clock: Clock, arrivals: Arrivals, rng: random.Random) -> None:
        self.config = config
        self.connects = Limiter(config.limits.connects_per_minute, clock)
        self.messages = Limiter(config.limits.messages_per_minute, clock)
        self.spare = config.limits.connects_per_minute // 4
        self._url = url
        self._clock = clock
        self._arrivals = arrivals
        self._rng = rng
        self._turn = rng.randrange(1 << 16)
        self._examined_at = float("-inf")

    def turn(self) -> int:
        """The next turn round the relay's endpoints: one for each pair."""
        self._turn += 1
        return self._turn

    @property
    def has_several_endpoints(self) -> bool:
        """Whether the next turn may meet another node than this one."""
        endpoints = self.config.endpoints
        return len(endpoints) > 1 or any(isinstance(endpoint, DnsEndpoint) for endpoint in endpoints)

    def may_examine(self, spacing: float) -> bool:
        """Whether the last autopsy here lies `spacing` seconds back; if so, another one begins."""
        now = self._clock.monotonic()
        if now - self._examined_at < spacing:
            return False
        self._examined_at = now
        return True

    def access(self, side: str, turn: int, timeout: float) -> Access:
        """How `side`, "dapp" or "wallet", gets in. The two of one turn meet different endpoints, if there are several.

        A connect raises `OwnFault` where the file of a header or of the token cannot be read.
        """
        return Access(
            target=partial(self._target, side, turn + (side == "wallet")),
            hello=self._hello,
            admit=self._admit,
            postpone=self.connects.pause,
            clock=self._clock,
            arrivals=self._arrivals,
            rng=self._rng,
            timeout=timeout,
        )

    async def _admit(self, returning: bool) -> None:  # noqa: FBT001 - `Access.admit`'s one argument
        """A return leaves some connects spare: a relay that drops everyone must not use up what confirms its repair."""
        await self.connects.acquire(spare=self.spare if returning else 0)

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
            connect_to=connect_to,
            pick=turn if connect_to is not None else None,
        )
