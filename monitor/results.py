"""What a probe publishes: values, computed once, in one direction.

A `Run` is published when it is over. What cannot wait for that, or belongs to no run (phases of a connect, a
dropped connection, a verdict reached at a message's horizon), is a `Report` of its own. All are frozen, and most are
tuples: an exchange makes twenty of them, and a frozen dataclass takes several times as long.
Times are seconds of `Clock.monotonic` unless a name says otherwise; durations are seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import random
    from datetime import datetime

    from monitor.scenarios import Scenario
    from monitor.vocabulary import Outcome, Phase, Reason, Step, Verdict

_RANDOM_62_BITS: Final = (1 << 62) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an exchange failed: the first cause."""

    step: Step
    reason: Reason
    detail: str = ""


class Mark(NamedTuple):
    """One step of a run's timeline; `started` and `ended` are seconds since the run began."""

    side: str  # "dapp", "wallet" or "pair"
    step: Step
    started: float
    ended: float
    note: str = ""


class MessageFate(NamedTuple):
    """One message as its run saw it end. `verdict` is None while its horizon lies ahead."""

    direction: str  # "request" or "response"; "offline" for a message to an absent wallet
    sequence: int
    verdict: Verdict | None
    latency: float | None = None  # intended send → receipt
    wire: float | None = None  # bytes to the socket → bytes from the other socket
    note: str = ""


class Exchange(NamedTuple):
    """One exchange: what SLIs are made of. Latencies are None where they did not come about."""

    outcome: Outcome
    failure: Failure | None = None
    round_trip: float | None = None
    wire_request: float | None = None
    wire_response: float | None = None
    recovery: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """One pairing of a dApp and a wallet: wallet start → both ends connected; `wallet_seconds`: → the wallet is."""

    outcome: Outcome
    seconds: float | None = None
    wallet_seconds: float | None = None
    failure: Failure | None = None


class Run(NamedTuple):
    """One execution of a bounded probe, or one slot of one standing pair.

    `outcome` is the worst of its exchanges'; `failure` the first cause. `id` is a UUIDv7 in canonical form.
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
    pair: int | None = None  # which standing pair of the probe this slot belongs to


class PhaseTimed(NamedTuple):
    """One phase of a connect, or one command's reply, took `seconds`."""

    relay: str
    probe: str
    run_id: str
    phase: Phase
    seconds: float


class Paired(NamedTuple):
    """A pairing outside a bounded run ended (a standing pair's)."""

    relay: str
    probe: str
    run_id: str
    pairing: Pairing


class MessagesSent(NamedTuple):
    """So many messages went out, each pending until its `MessagesJudged`; in `acks` seconds the relay accepted some.

    Acks that come one by one are reported as phases.
    """

    relay: str
    probe: str
    run_id: str
    messages: int = 1
    acks: tuple[float, ...] = ()


class MessagesJudged(NamedTuple):
    """So many messages reached their horizons. A misrouted publication is judged on arrival and was never pending.

    `verdict` is None where nobody listened until then: the pair was closed while the message was under way.
    """

    relay: str
    probe: str
    run_id: str
    verdict: Verdict | None
    messages: int = 1
    pending: bool = True


class Disconnected(NamedTuple):
    """A standing connection dropped; `code` is its close or unsubscribe code, None where there was none.

    `pair` is the number of the standing pair it belonged to, if it was a pair's.
    """

    relay: str
    probe: str
    run_id: str
    code: int | None
    pair: int | None = None


class Reconnected(NamedTuple):
    """A standing pair is whole again, `seconds` after it dropped."""

    relay: str
    probe: str
    run_id: str
    seconds: float


class PairTime(NamedTuple):
    """`seconds` that a standing pair (or idle connection) spent connected, or not; or several together."""

    relay: str
    probe: str
    run_id: str
    connected: bool
    seconds: float


class AddressFailed(NamedTuple):
    """One address of the relay could not be reached; `family` is "ip4" or "ip6"."""

    relay: str
    probe: str
    run_id: str
    family: str


class CertificateSeen(NamedTuple):
    """The earliest expiry in the certificate chain of a handshake, in seconds since the epoch."""

    relay: str
    probe: str
    run_id: str
    not_after: float


class Confirmed(NamedTuple):
    """One confirming attempt ended; `via` is "standing" or "fresh". See `reachability` for what is counted."""

    relay: str
    probe: str
    run_id: str
    via: str
    ok: bool


Report = (
    PhaseTimed
    | Paired
    | MessagesSent
    | MessagesJudged
    | Disconnected
    | Reconnected
    | PairTime
    | AddressFailed
    | CertificateSeen
    | Confirmed
)
"""Every report says which relay, probe and run it comes of."""

Publish = Callable[[Run | Report], None]
"""Where a probe hands its results; never blocks, never raises."""


def uuid7(now: float, rng: random.Random) -> str:
    """Return a run id: a UUIDv7 (RFC 9562, section 5.7) in canonical form.

    `now` is in seconds since the epoch. The ids sort by time.
    """
    milliseconds = int(now * 1000) & 0xFFFF_FFFF_FFFF
    chance = rng.getrandbits(74)  # 12 of them before the variant's two bits, 62 after
    digits = f"{milliseconds:012x}7{chance >> 62:03x}{0b10 << 62 | chance & _RANDOM_62_BITS:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
