"""A relay in this very process without any socket, so that time may be virtual: each way takes exactly `way` seconds.

It stands where the dial does. The relay's side is the embedded one's own protocol (`embedded.faulty`), as it is.
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


class StandIn:
    """Notes when each connection was dialled and when its client left; `refuse` so many dials, with `refusal`."""

    def __init__(self, way: float = 0.01) -> None:
        self.way = way
        self.refuse = 0
        self.refusal = ProbeError(Step.TCP, Reason.REFUSED)
        self.silent = False
        self.clock = LoopClock()
        self.broker = Broker(PRODUCTION)
        self.plan = FaultPlan()
        self.lines: list[Line] = []
        self.dialled: list[float] = []
        self.left: list[float] = []

    def arm(self, *specs: str) -> None:
        """Let connections from now on suffer faults, as `--fault` names them."""
        self.plan = FaultPlan(map(parse_fault, specs), clock=self.clock.monotonic)

    async def dial(self, _target: Target, *, observer: DialObserver, on_text: Any, on_closed: Any, **_: Any) -> Line:
        """In the place of `monitor.relay.dial.dial`."""
        now = self.clock.monotonic()
        self.dialled.append(now)
        observer.entered(Step.TCP)
        if self.refuse:
            self.refuse -= 1
            raise self.refusal
        observer.phase(Phase.TCP, now, now)
        line = Line(self, on_text, on_closed)
        self.lines.append(line)
        return line


class Line:
    """One connection: what the client uses of a transport, and the relay's session at the other end."""

    flowing = False

    def __init__(
        self, relay: StandIn, on_text: Callable[[str, float], None], on_closed: Callable[[Closed], None]
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
            asyncio.get_running_loop().call_later(self._relay.way / 2, self._reach, text)
        return now

    def cut(self, code: int | None = 3000) -> None:
        """The relay drops the connection."""
        if self.open:
            self._end()
            self._on_closed(Closed(code=code, reason="cut", fault=None))

    def close(self, *_: Any) -> None:
        if self.open:
            self._relay.left.append(self._relay.clock.monotonic())
            self._end()

    def abort(self) -> None:
        self.close()

    def _end(self) -> None:
        self.open = False
        self.session.gone()
        if self._due is not None:
            self._due.cancel()

    def _reach(self, text: str) -> None:
        if self.open:
            self.session.receive(text, self._relay.clock.monotonic())
            self._wake()
            if self.session.closing is not None:
                code, _ = self.session.closing
                self.cut(None if code == CUT else code)

    def _wake(self) -> None:
        if lines := self.session.lines():
            asyncio.get_running_loop().call_later(self._relay.way / 2, self._come, "\n".join(lines))

    def _come(self, text: str) -> None:
        if self.open:
            self._on_text(text, self._relay.clock.monotonic())

    def _tick(self) -> None:
        now = self._relay.clock.monotonic()
        self.session.tick(now)
        due = self.session.deadline()
        if due is not None:
            self._due = asyncio.get_running_loop().call_later(max(0.001, due - now), self._tick)
