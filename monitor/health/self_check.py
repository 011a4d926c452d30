"""The monitor's trust in itself, and why it has none.

A sign of trouble holds for `DISTRUST` seconds after it was last seen: pairs that were cut off by it need time to come
back. What can be seen is looked at all the time; whether the network is ours to blame is asked only when a relay seems
down, and again and again until it is not.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from monitor.errors import LocalError, ProbeError
from monitor.health import resources
from monitor.health.loopback import out_of_order
from monitor.health.references import References
from monitor.schedule import ClockWatch, LoopLag
from monitor.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitor.clock import Clock

_log = structlog.get_logger(__name__)

LAG_LIMIT: Final = 1.0
"""Seconds of event-loop lag past which the monitor does not trust its own numbers."""

PULSE: Final = 0.25
"""Seconds between two readings of that lag."""

DISTRUST: Final = 15.0
"""Seconds for which it does not, after the last sign."""

LOOK: Final = 1.0
"""Seconds between two looks at descriptors and memory."""

ASK_AGAIN: Final = 5.0
"""Seconds between two inquiries while the network is suspected."""

FRESH: Final = 2.0
"""Seconds for which an inquiry that found nothing answers others too: many relays may seem down at once."""

LOOP, CLOCK, DESCRIPTORS, MEMORY, LOOPBACK, NETWORK = (
    "event loop", "clock", "descriptors", "memory", "loopback", "network",
)  # fmt: skip
_ASKED: Final = frozenset({LOOPBACK, NETWORK})


class Health:
    """The monitor's trust in itself: `healthy`, and the `reasons` where it is not.

    `on_lag` gets every reading of the event loop's lag, in seconds; `on_change` each change of `healthy`.
    `crosses_elsewhere` says whether a message crossed some relay over the network within so many seconds.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        on_lag: Callable[[float], None],
        on_change: Callable[[bool], None],
        references: Sequence[str] = (),
        crosses_elsewhere: Callable[[float], bool] = lambda _: False,
    ) -> None:
        self.healthy = True
        self._clock = clock
        self._on_lag = on_lag
        self._on_change = on_change
        self._references = References(references)
        self._crosses_elsewhere = crosses_elsewhere
        self._signs: dict[str, tuple[str, float]] = {}  # what is suspected → why, and until when
        self._beat = clock.monotonic()
        self._watches: list[asyncio.Task[None]] = []
        self._inquiry: asyncio.Task[None] | None = None
        self._asked_at = float("-inf")
        self._stopped = False

    @property
    def reasons(self) -> list[str]:
        """Why it does not trust itself; empty where it does."""
        return [why for why, _ in self._signs.values()]

    @property
    def references(self) -> tuple[str, ...]:
        """Whom it asks whether the network is there."""
        return self._references.places

    @references.setter
    def references(self, places: Sequence[str]) -> None:
        self._references = References(places)

    def start(self) -> None:
        """Watch, until `stop`."""
        self._beat = self._clock.monotonic()
        self._watches = [
            asyncio.ensure_future(LoopLag(self._clock, self._lag, interval=PULSE).run()),
            asyncio.ensure_future(ClockWatch(self._clock, self._stepped).run()),
            asyncio.ensure_future(self._see_to_it()),
        ]

    async def stop(self) -> None:
        """Watch no more, and ask nobody; leaves nothing behind."""
        self._stopped = True
        running = {task for task in (*self._watches, self._inquiry) if task is not None}
        self._watches.clear()  # nobody feels the pulse any more, so nobody may miss it
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=2)

    def feel_pulse(self) -> None:
        """Tell a blocked loop before its watch wakes up: a deadline that passed meanwhile may be due before it."""
        late = self._clock.monotonic() - self._beat
        if self.healthy and self._watches and late > LAG_LIMIT + PULSE:
            self.suspect(LOOP, f"event loop blocked for {late:.1f} s")

    def suspect(self, what: str, why: str) -> None:
        """Trust nothing for a while."""
        if what not in self._signs:
            _log.warning("monitor distrusts itself", why=why)
        self._signs[what] = (why, self._clock.monotonic() + DISTRUST)
        self._set()

    async def ours(self, error: ProbeError | None) -> bool:
        """Whether the fault is ours that a relay seems down, for `obstacle` if that is known. Never raises.

        Answered at once where it is known; else own loop, sockets, crypto and network are tried, within a few seconds.
        """
        self.feel_pulse()
        self._look()
        no_way_out = isinstance(error, LocalError) and error.reason is Reason.UNREACHABLE
        # Nobody else to ask; but where other relays answer, it is only to this one that there is no way from here.
        if error is not None and no_way_out and not self.references and not self._crosses_elsewhere(DISTRUST):
            self.suspect(NETWORK, f"no network: {error.detail}")
        if self.healthy:
            await self._inquire()
        return not self.healthy

    async def _inquire(self) -> None:
        """Ask, unless somebody is asking already or has asked just now."""
        if self._inquiry is None or self._inquiry.done():
            if self._stopped or self._clock.monotonic() - self._asked_at < FRESH:
                return
            self._inquiry = asyncio.ensure_future(self._ask())
        await asyncio.wait({self._inquiry})

    async def _ask(self) -> None:
        loopback, network = await asyncio.gather(out_of_order(self._clock), self._references.unreachable())
        if loopback is not None:
            self.suspect(LOOPBACK, loopback)
        if network is not None:
            self.suspect(NETWORK, network)
        if loopback is None and network is None:
            self._asked_at = self._clock.monotonic()

    def _lag(self, seconds: float) -> None:
        self._beat = self._clock.monotonic()
        self._on_lag(seconds)
        if seconds > LAG_LIMIT:
            self.suspect(LOOP, f"event loop blocked for {seconds:.1f} s")

    def _stepped(self, seconds: float) -> None:
        self.suspect(CLOCK, f"wall clock stepped by {seconds:+.1f} s")

    def _look(self) -> None:
        for why in resources.exhausted():
            self.suspect(MEMORY if why.startswith(MEMORY) else DESCRIPTORS, why)

    async def _see_to_it(self) -> None:
        asked_at = float("-inf")
        while True:
            await asyncio.sleep(LOOK)
            self._look()
            now = self._clock.monotonic()
            if self._signs.keys() & _ASKED and now - asked_at >= ASK_AGAIN:
                asked_at = now
                await self._inquire()
            self._set()

    def _set(self) -> None:
        now = self._clock.monotonic()
        self._signs = {what: sign for what, sign in self._signs.items() if sign[1] > now}
        healthy = not self._signs
        if healthy is not self.healthy:
            self.healthy = healthy
            if healthy:
                _log.info("monitor trusts itself again")
            self._on_change(healthy)
