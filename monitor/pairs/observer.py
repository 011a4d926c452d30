"""Callbacks of one participant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from monitor.errors import ProbeError
    from monitor.session import actions, notices
    from monitor.session.envelope import Envelope
    from monitor.vocabulary import Phase, Step
    from monitor.wire.events import HistoryRead, Publication


class ParticipantObserver(Protocol):
    """Callbacks that a `Participant` invokes; none may raise or block. `side` is "dapp" or "wallet"."""

    def step_completed(self, side: str, step: Step, started: float, ended: float) -> None:
        """A step took from `started` to `ended`, on the monotonic clock."""

    def phase(self, phase: Phase, seconds: float) -> None:
        """A phase of a connect, or the reply to a command, took `seconds`."""

    def address_failed(self, family: str) -> None:
        """One address of the relay could not be reached."""

    def certificate(self, not_after: float) -> None:
        """The relay's certificate expires at `not_after`, in seconds since the epoch."""

    def admit_message(self, side: str, publish: actions.Publish) -> bool:
        """Return whether a message may be sent now, for the first time or again."""

    def sent(self, publish: actions.Publish, at: float) -> None:
        """The bytes of a message were handed to the socket."""

    def acked(self, publish: actions.Publish) -> None:
        """The relay accepted a message."""

    def received(self, envelope: Envelope | None, publication: Publication, *, live: bool) -> None:
        """A publication of the other side arrived, live or with the history; `envelope` is None if it is malformed."""

    def history_read(self, side: str, event: HistoryRead) -> None:
        """The history of a channel was read, and its publications were passed to `received`."""

    def delivered(self, side: str, notice: notices.MessageReceived, at: float) -> None:
        """The wallet protocol delivered a message to its application, once."""

    def on_error(self, side: str, error: ProbeError) -> None:
        """An error occurred that no caller was waiting for."""

    def ready_changed(self) -> None:
        """The participant became ready, or is not ready any more."""

    def dropped(self, code: int | None) -> None:
        """An established connection or subscription was lost, with this close or unsubscribe code."""
