"""A relay in this process without sockets, for virtual time. It replaces `monitor.relay.dial.dial`.

The relay's side is the protocol of the embedded relay (`embedded.faulty`), unchanged.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from monitor.clock import LoopClock
from monitor.embedded import FaultPlan, parse_fault
from monitor.embedded.broker import Broker
from monitor.embedded.faulty import CUT, FaultySession
from monitor.embedded.namespaces import PRODUCTION
from monitor.embedded.session import ServerSettings
from monitor.errors import ProbeError
from monitor.relay.transport import Closed
from monitor.vocabulary import Phase, Reason, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.relay.dial import DialObserver
    from monitor.relay.target import Target


class InMemoryRelay:
    """A relay whose round trips take exactly `delay` seconds.

    `dialled` and `disconnected` are the times at which clients did so. The next `refuse` dials raise `refusal`. While
    `silent`, the relay receives nothing.
    """

    def __init__(self, delay: float = 0.01) -> None:
        self.delay = delay
        self.refuse = 0
        self.refusal = ProbeError(Step.TCP, Reason.REFUSED)
        self.silent = False
        self.clock = LoopClock()
        self.broker = Broker(PRODUCTION)
        self.plan = FaultPlan()
        self.connections: list[Connection] = []
        self.dialled: list[float] = []
        self.disconnected: list[float] = []

    def arm(self, *specs: str) -> None:
        """Inject faults, in the syntax of `--fault`, into connections from now on."""
        self.plan = FaultPlan(map(parse_fault, specs), clock=self.clock.monotonic)

    async def dial(
        self, _target: Target, *, observer: DialObserver, on_text: Any, on_closed: Any, **_: Any
    ) -> Connection:
        """Connect as `monitor.relay.dial.dial` does."""
        now = self.clock.monotonic()
        self.dialled.append(now)
        observer.entered(Step.TCP)
        if self.refuse:
            self.refuse -= 1
            raise self.refusal
        observer.phase(Phase.TCP, now, now)
        connection = Connection(self, on_text, on_closed)
        self.connections.append(connection)
        return connection


class Connection:
    """One connection: the client's transport, as far as the client uses it, and the relay's session."""

    partially_received = False

    def __init__(
        self, relay: InMemoryRelay, on_text: Callable[[str, float], None], on_closed: Callable[[Closed], None]
    ) -> None:
        self._relay = relay
        self._on_text, self._on_closed = on_text, on_closed
        self.open = True
        self.session = FaultySession(
            relay.broker, ServerSettings(), relay.clock.monotonic(), self._wake, relay.plan, side=""
        )
        self._due: asyncio.TimerHandle | None = None
        self._tick()

    def send(self, text: str) -> float:
        now = self._relay.clock.monotonic()
        if not self._relay.silent:
            asyncio.get_running_loop().call_later(self._relay.delay / 2, self._receive_at_relay, text)
        return now

    def cut(self, code: int | None = 3000) -> None:
        """Drop the connection, as the relay."""
        if self.open:
            self._disconnect()
            self._on_closed(Closed(code=code, reason="cut", fault=None))

    def close(self, *_: Any) -> None:
        if self.open:
            self._relay.disconnected.append(self._relay.clock.monotonic())
            self._disconnect()

    def abort(self) -> None:
        self.close()

    def _disconnect(self) -> None:
        self.open = False
        self.session.disconnected()
        if self._due is not None:
            self._due.cancel()

    def _receive_at_relay(self, text: str) -> None:
        if self.open:
            self.session.receive(text, self._relay.clock.monotonic())
            self._wake()
            if self.session.closing is not None:
                code, _ = self.session.closing
                self.cut(None if code == CUT else code)

    def _wake(self) -> None:
        if lines := self.session.lines():
            asyncio.get_running_loop().call_later(self._relay.delay / 2, self._receive_at_client, "\n".join(lines))

    def _receive_at_client(self, text: str) -> None:
        if self.open:
            self._on_text(text, self._relay.clock.monotonic())

    def _tick(self) -> None:
        now = self._relay.clock.monotonic()
        self.session.tick(now)
        due = self.session.deadline()
        if due is not None:
            self._due = asyncio.get_running_loop().call_later(max(0.001, due - now), self._tick)
