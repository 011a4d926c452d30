"""What a client reports beside its events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from monitor.vocabulary import Phase

if TYPE_CHECKING:
    from monitor.vocabulary import Step

PHASE_OF_COMMAND: Final = {
    "connect": Phase.HELLO,
    "subscribe": Phase.SUBSCRIBE,
    "publish": Phase.PUBLISH_ACK,
    "history": Phase.HISTORY,
}
"""The commands whose replies are timed."""


class Reporter(Protocol):
    """Callbacks for the timings and observations of a client."""

    def phase(self, phase: Phase, seconds: float) -> None:
        """One phase of a connect, or one command's reply, took `seconds`."""

    def address_failed(self, family: str) -> None:
        """One address ("ip4" or "ip6") could not be reached."""

    def certificate(self, not_after: float) -> None:
        """The relay's certificate expires at `not_after`, seconds since the epoch."""

    def step_completed(self, step: Step, started: float, ended: float) -> None:
        """A step of the protocol took from `started` to `ended`, on the monotonic clock."""


class NullReporter:
    """A `Reporter` that ignores everything."""

    def phase(self, phase: Phase, seconds: float) -> None:
        """Ignore it."""

    def address_failed(self, family: str) -> None:
        """Ignore it."""

    def certificate(self, not_after: float) -> None:
        """Ignore it."""

    def step_completed(self, step: Step, started: float, ended: float) -> None:
        """Ignore it."""
