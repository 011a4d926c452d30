"""Results: the values that probes publish.

A `Run` is published when it has ended. Everything else is a `Report`: phases of a connect, dropped connections,
verdicts, which are reached at a message's horizon. The frequent ones are named tuples: an exchange makes twenty, and a
frozen dataclass takes several times as long to make. Times are monotonic and durations are seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import random
    from datetime import datetime

    from monitor.scenarios import Scenario
    from monitor.vocabulary import Condition, Outcome, Phase, Reason, Step, Verdict

ATTEMPT: Final = "(attempt)"
"""The probe's name in the runs of attempts, which belong to no probe."""

_RANDOM_62_BITS: Final = (1 << 62) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The first cause of a failed exchange; `status` and `endpoint` as in `errors.ProbeError`."""

    step: Step
    reason: Reason
    detail: str = ""
    status: str = ""
    endpoint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why a relay is not up: that of the latest real attempt, which ended `at` (monotonic)."""

    step: Step
    reason: Reason
    status: str = ""
    detail: str = ""
    endpoint: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayStatus:
    """What is said of one relay at one time.

    up, accepting: `relay_up` and `relay_accepting`; None if they are absent.
    attempts, failed: fresh attempts since the condition began, and how many of them failed; of a degraded relay the
        exchanges within the window.
    slow: how many of these exchanges were over the latency threshold.
    attempts_alone: the relay is said to be down by fresh attempts alone, since this monitor restarted while new
        connections failed: it has no persistent pair that could show whether existing ones deliver.
    reason_unknown: why nothing is known, in words a person can act on.
    """

    relay: str
    condition: Condition
    since: datetime
    up: bool | None
    accepting: bool | None
    cause: Cause | None = None
    attempts: int = 0
    failed: int = 0
    slow: int = 0
    attempts_alone: bool = False
    reason_unknown: str = ""


class Mark(NamedTuple):
    """One step in the timeline of a run; `started` and `ended` are seconds since the run began.

    The step with which an exchange or the run failed has `failed`, and a note with the reason.
    """

    side: str  # "dapp", "wallet" or "pair"
    step: Step
    started: float
    ended: float
    note: str = ""
    failed: bool = False


class LogLine(NamedTuple):
    """One line of the log that belongs to a run; `fields` are texts, with secrets masked."""

    at: datetime
    level: str
    event: str
    fields: dict[str, str]


class MessageFate(NamedTuple):
    """The state of one message at the end of its run. `verdict` is None before its horizon.

    `sent` is when it was to be sent, in seconds since the run began; None if that is not known.
    """

    direction: str  # "request" or "response"; "offline" for a message to an absent wallet
    sequence: int
    verdict: Verdict | None
    latency: float | None = None  # intended send → receipt
    wire: float | None = None  # bytes to the socket → bytes from the other socket
    note: str = ""
    sent: float | None = None


class Exchange(NamedTuple):
    """One exchange, the event that SLIs count.

    A latency is None if it was not measured. `ended` is in seconds since the run began, None if that was at its end; a
    failed one ended with the fault.
    """

    outcome: Outcome
    failure: Failure | None = None
    round_trip: float | None = None
    wire_request: float | None = None
    wire_response: float | None = None
    recovery: float | None = None
    ended: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """One pairing. `seconds` from the wallet's start until both are connected, `wallet_seconds` until the wallet is."""

    outcome: Outcome
    seconds: float | None = None
    wallet_seconds: float | None = None
    failure: Failure | None = None


class Untried(NamedTuple):
    """Why a slot or a time without a connection had no attempt of its own.

    failed_at: when the latest attempt failed or the connection dropped, on the monotonic clock; None if neither did.
    withheld: limits or a Retry-After keep the next attempt back; otherwise the client waits as any client would.
    """

    failed_at: float | None = None
    withheld: bool = False


class Run(NamedTuple):
    """One execution of a bounded probe, or one slot of a persistent pair or connection.

    `outcome` is the worst of its exchanges, `failure` the first cause. `id` is a UUIDv7 in canonical form. The slot was
    due at `due`, and its outcome was known at `known_at`. If it is `untried`, what it counts is not known yet.
    """

    id: str
    relay: str
    probe: str
    scenario: Scenario
    started_at: datetime
    duration: float
    outcome: Outcome
    failure: Failure | None
    exchanges: tuple[Exchange, ...] = ()
    pairing: Pairing | None = None
    timeline: tuple[Mark, ...] = ()
    messages: tuple[MessageFate, ...] = ()
    pair: int | None = None  # number of the persistent pair
    due: float = 0.0
    known_at: float = 0.0
    untried: Untried | None = None
    log: tuple[LogLine, ...] = ()

    @property
    def failed_at(self) -> datetime | None:
        """When the first fault of a failed run was; None if the run did not fail.

        An idle connection's fault can be at the end of a run of half a minute, or shortly before its start.
        """
        if self.failure is None:
            return None
        ended = (item.ended for item in self.exchanges if item.failure is not None)
        return self.started_at + timedelta(seconds=next((at for at in ended if at is not None), 0.0))

    def with_verdict(self, message: UnjudgedMessage, verdict: Verdict | None) -> Run:
        """Return the run with the verdict that one of its messages got after it."""
        key = message.direction, message.sequence
        return self._replace(
            messages=tuple(
                fate._replace(verdict=verdict, note=message.note) if (fate.direction, fate.sequence) == key else fate
                for fate in self.messages
            )
        )


class Skipped(NamedTuple):
    """A slot did not begin. It counts only inside a confirmed outage, as the untried `run`; otherwise it is no run."""

    relay: str
    probe: str
    run_id: str
    run: Run


class PhaseTimed(NamedTuple):
    """The duration of one phase of a connect, or of the reply to one command."""

    relay: str
    probe: str
    run_id: str
    phase: Phase
    seconds: float


class Paired(NamedTuple):
    """A pairing outside a bounded run, that of a persistent pair, from `since` until `until` (monotonic).

    `ended_at` is Unix time, 0 if it is not known. A `retry` before the next pairing is due counts for nothing. If it is
    `untried`, it was due at `since`, and what it counts is not known yet.
    """

    relay: str
    probe: str
    run_id: str
    pairing: Pairing
    ended_at: float = 0.0
    since: float = 0.0
    until: float = 0.0
    retry: bool = False
    untried: Untried | None = None


class MessagesSent(NamedTuple):
    """Messages were sent, and are pending until their `MessagesJudged`.

    `acks` are the seconds until the relay accepted a message, where they are not reported as phases.
    """

    relay: str
    probe: str
    run_id: str
    messages: int = 1
    acks: tuple[float, ...] = ()


class UnjudgedMessage(NamedTuple):
    """A message whose run ended before its verdict; `note` explains the verdict that it got after the run."""

    run_id: str
    direction: str
    sequence: int
    note: str = ""


class MessagesJudged(NamedTuple):
    """Messages were judged, at their horizon. A misrouted one is judged on arrival and was not pending.

    `verdict` is None if the pair was closed before, so that the fate of the messages is unknown. The first of them was
    to be sent at `since`, and the last one was judged at `until`. `after_run` are those whose run ended before.
    """

    relay: str
    probe: str
    run_id: str
    verdict: Verdict | None
    messages: int = 1
    pending: bool = True
    since: float = 0.0
    until: float = 0.0
    after_run: tuple[UnjudgedMessage, ...] = ()


class Disconnected(NamedTuple):
    """A persistent connection or subscription was lost, with a close or unsubscribe code if there was one.

    `pair` is the number of its persistent pair, if it belongs to one.
    """

    relay: str
    probe: str
    run_id: str
    code: int | None
    pair: int | None = None


class Reconnected(NamedTuple):
    """A persistent pair or connection is ready again, `seconds` after it dropped. `ended_at` as in `Paired`."""

    relay: str
    probe: str
    run_id: str
    seconds: float
    ended_at: float = 0.0


class PairTime(NamedTuple):
    """Seconds that persistent pairs or connections spent connected, or not, from `since` until `until`.

    Several pairs may be added up. `untried` says why they were not connected.
    """

    relay: str
    probe: str
    run_id: str
    connected: bool
    seconds: float
    since: float = 0.0
    until: float = 0.0
    untried: Untried | None = None


class AddressFailed(NamedTuple):
    """An address of the relay could not be reached; `family` is "ip4" or "ip6"."""

    relay: str
    probe: str
    run_id: str
    family: str


class EndpointFailed(NamedTuple):
    """A fresh attempt at one endpoint of several failed."""

    relay: str
    probe: str
    run_id: str
    endpoint: str


class CertificateSeen(NamedTuple):
    """The earliest expiry in the relay's certificate chain, in seconds since the epoch."""

    relay: str
    probe: str
    run_id: str
    not_after: float


class Confirmed(NamedTuple):
    """A confirmation ended; `via` is "fresh" (a new-pair attempt) or "standing" (a resend over a persistent pair)."""

    relay: str
    probe: str
    run_id: str
    via: str
    ok: bool


Report = (
    PhaseTimed
    | Skipped
    | Paired
    | MessagesSent
    | MessagesJudged
    | Disconnected
    | Reconnected
    | PairTime
    | AddressFailed
    | EndpointFailed
    | CertificateSeen
    | Confirmed
)
"""Every report names its relay, probe and run; `run_id` is empty for one that belongs to no run."""

Publish = Callable[[Run | Report], None]
"""Receives the results of a probe; never blocks, never raises."""


def uuid7(now: float, rng: random.Random) -> str:
    """Return a run id: a UUIDv7 (RFC 9562, section 5.7) in canonical form.

    `now` is in seconds since the epoch. The ids sort by time.
    """
    milliseconds = int(now * 1000) & 0xFFFF_FFFF_FFFF
    random_bits = rng.getrandbits(74)  # 12 of them before the variant's two bits, 62 after
    digits = f"{milliseconds:012x}7{random_bits >> 62:03x}{0b10 << 62 | random_bits & _RANDOM_62_BITS:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
