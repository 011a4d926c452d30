"""Who watches over an end of a pair, and hears of everything that happens there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from monitor.errors import ProbeError
    from monitor.pairs.participant import Participant
    from monitor.session import actions, notices
    from monitor.session.envelope import Envelope
    from monitor.vocabulary import Phase, Step
    from monitor.wire.events import Publication


class ParticipantObserver(Protocol):
    """Who watches over an end; none of these may raise or wait."""

    def mark(self, end: Participant, step: Step, started: float, ended: float) -> None:
        """A step took from `started` to `ended`."""

    def phase(self, phase: Phase, seconds: float) -> None:
        """A phase of connecting, or a command's reply, took `seconds`."""

    def address_failed(self, family: str) -> None:
        """One address could not be reached."""

    def certificate(self, not_after: float) -> None:
        """The relay's certificate was seen."""

    def sending(self, end: Participant, publish: actions.Publish) -> bool:
        """Whether a message may be sent now, for the first time or again."""

    def sent(self, publish: actions.Publish, at: float) -> None:
        """Its bytes were handed to the socket."""

    def acked(self, publish: actions.Publish) -> None:
        """The relay accepted a message."""

    def raw(self, envelope: Envelope | None, publication: Publication, *, live: bool) -> None:
        """A publication of the other side came; `envelope` is None where its data is none."""

    def delivered(self, end: Participant, notice: notices.MessageReceived, at: float) -> None:
        """The wallet protocol gave a message to its application, once."""

    def trouble(self, end: Participant, error: ProbeError) -> None:
        """Something went wrong that nobody was waiting for."""

    def changed(self) -> None:
        """The end became whole, or stopped being so."""

    def dropped(self, code: int | None) -> None:
        """A connection or a subscription that stood was taken away, with this code."""
