"""The words of this project, and every combination of them that can occur.

Steps, reasons, outcomes and verdicts become label values on `/metrics` and names on pages and in runbooks, so
they are listed once, here. `pairs_of` gives the (step, reason) pairs a scenario can fail with: each of its
series exists at 0 from the start, because a counter born at 1 is invisible to `rate()`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Scenario(StrEnum):
    """What a probe plays, named as the relay team's load test names it."""

    STEADY_MESSAGING = "steady-messaging"
    ASYNC_DELIVERY = "async-delivery"
    REALISTIC_SESSION = "realistic-session"
    CONNECTION_STORM = "connection-storm"
    STEADY_STATE = "steady-state"


class Step(StrEnum):
    """Where in the protocol a run was."""

    RESOLVE = "resolve"
    PROXY = "proxy"
    TCP = "tcp"
    TLS = "tls"
    UPGRADE = "upgrade"
    HELLO = "hello"
    SUBSCRIBE = "subscribe"
    HISTORY = "history"
    PUBLISH = "publish"
    DELIVER = "deliver"
    ANSWER = "answer"
    HANDSHAKE = "handshake"
    RESUME = "resume"
    RECOVER = "recover"
    HOLD = "hold"
    CLOSE = "close"


class Finding(StrEnum):
    """What the history says of a message that never came: the layer that broke."""

    NOT_ACCEPTED = "not_accepted"  # the relay never took it: no ack, and it is in no history
    NOT_STORED = "not_stored"  # acked, and in no history
    STORED_NOT_PUSHED = "stored_not_pushed"  # in the history, and no push brought it
    DROPPED_BY_REFERENCE_CLIENT = "dropped_by_reference_client"  # it came, and de-duplication discards it


class Reason(StrEnum):
    """What went wrong there."""

    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    DNS = "dns"
    TIMEOUT = "timeout"
    RESET = "reset"
    TLS_UNTRUSTED = "tls_untrusted"
    TLS_EXPIRED = "tls_expired"
    TLS_NAME = "tls_name"
    TLS_CLIENT_CERTIFICATE = "tls_client_certificate"
    HTTP_STATUS = "http_status"
    BAD_UPGRADE = "bad_upgrade"
    PROTOCOL = "protocol"
    TOO_LARGE = "too_large"
    UNAUTHORIZED = "unauthorized"
    DENIED = "denied"
    RATE_LIMITED = "rate_limited"
    LIMIT = "limit"
    RELAY_ERROR = "relay_error"
    DISCONNECTED = "disconnected"
    SILENT = "silent"
    LOST = "lost"
    DUPLICATED = "duplicated"
    REORDERED = "reordered"
    CORRUPTED = "corrupted"
    MISROUTED = "misrouted"
    UNDECRYPTABLE = "undecryptable"
    WRONG_PEER = "wrong_peer"
    UNRECOVERED = "unrecovered"
    EPOCH_CHANGED = "epoch_changed"
    EXPIRED = "expired"
    OVERLOADED = "overloaded"
    INTERNAL = "internal"


class Outcome(StrEnum):
    """How an exchange or a run ended. `ABORTED` and `EXCLUDED` count for no SLI."""

    OK = "ok"
    FAILED = "failed"
    ABORTED = "aborted"
    EXCLUDED = "excluded"


class Verdict(StrEnum):
    """What became of one message. A message that fits several gets the first that fits in `PRECEDENCE`."""

    DELIVERED = "delivered"
    LATE = "late"
    LOST = "lost"
    DUPLICATED = "duplicated"
    REORDERED = "reordered"
    CORRUPTED = "corrupted"
    MISROUTED = "misrouted"


PRECEDENCE: Final = (
    Verdict.CORRUPTED,
    Verdict.LOST,
    Verdict.LATE,
    Verdict.REORDERED,
    Verdict.DUPLICATED,
    Verdict.DELIVERED,
)


class Phase(StrEnum):
    """The separately timed parts of reaching a relay and using it."""

    RESOLVE = "resolve"
    PROXY = "proxy"
    TCP = "tcp"
    TLS = "tls"
    UPGRADE = "upgrade"
    HELLO = "hello"
    SUBSCRIBE = "subscribe"
    PUBLISH_ACK = "publish_ack"
    HISTORY = "history"


class Sli(StrEnum):
    """What an SLO measures; see the SLO section of the configuration reference."""

    AVAILABILITY = "availability"
    LATENCY = "latency"
    PAIRING = "pairing"
    STABILITY = "stability"
    TREND = "trend"


BUCKETS: Final = (
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3,
    0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0,
)  # fmt: skip
"""Upper bounds, in seconds, of every latency histogram: 1 ms to 60 s, with an edge at the 400 ms objective."""

_R = Reason
_REACH: Final[dict[Step, tuple[Reason, ...]]] = {
    Step.RESOLVE: (_R.DNS, _R.TIMEOUT),
    Step.PROXY: (_R.REFUSED, _R.UNREACHABLE, _R.TIMEOUT, _R.RESET, _R.HTTP_STATUS, _R.SILENT, _R.PROTOCOL),
    Step.TCP: (_R.REFUSED, _R.UNREACHABLE, _R.TIMEOUT, _R.RESET),
    Step.TLS: (
        _R.TLS_UNTRUSTED, _R.TLS_EXPIRED, _R.TLS_NAME, _R.TLS_CLIENT_CERTIFICATE, _R.RESET, _R.SILENT, _R.PROTOCOL,
        _R.TIMEOUT,
    ),
    Step.UPGRADE: (_R.HTTP_STATUS, _R.BAD_UPGRADE, _R.RATE_LIMITED, _R.RESET, _R.SILENT, _R.TOO_LARGE, _R.TIMEOUT),
    Step.HELLO: (
        _R.SILENT, _R.TIMEOUT, _R.UNAUTHORIZED, _R.EXPIRED, _R.DISCONNECTED, _R.RELAY_ERROR, _R.LIMIT, _R.RATE_LIMITED,
        _R.PROTOCOL, _R.TOO_LARGE,
    ),
}  # fmt: skip
_COMMAND: Final = (
    _R.SILENT, _R.TIMEOUT, _R.DENIED, _R.LIMIT, _R.RATE_LIMITED, _R.RELAY_ERROR, _R.DISCONNECTED, _R.PROTOCOL,
    _R.TOO_LARGE,
)  # fmt: skip
_TALK: Final[dict[Step, tuple[Reason, ...]]] = {
    Step.SUBSCRIBE: (*_COMMAND, _R.UNRECOVERED),
    Step.HISTORY: (*_COMMAND, _R.UNRECOVERED),
    Step.PUBLISH: (*_COMMAND, _R.UNRECOVERED),
    Step.HANDSHAKE: (
        _R.SILENT, _R.TIMEOUT, _R.LOST, _R.DISCONNECTED, _R.CORRUPTED, _R.UNDECRYPTABLE, _R.WRONG_PEER, _R.EXPIRED,
        _R.PROTOCOL, _R.TOO_LARGE, _R.RATE_LIMITED, _R.LIMIT,
    ),
}  # fmt: skip
_MESSAGE: Final = (
    _R.LOST, _R.TIMEOUT, _R.SILENT, _R.REORDERED, _R.CORRUPTED, _R.MISROUTED, _R.UNDECRYPTABLE, _R.WRONG_PEER,
    _R.DISCONNECTED, _R.EXPIRED, _R.PROTOCOL, _R.TOO_LARGE, _R.RATE_LIMITED, _R.LIMIT,
)  # fmt: skip
_EXCHANGE: Final[dict[Step, tuple[Reason, ...]]] = {Step.DELIVER: _MESSAGE, Step.ANSWER: _MESSAGE}
_ABSENCE: Final[dict[Step, tuple[Reason, ...]]] = {
    Step.RESUME: (
        _R.EXPIRED, _R.DISCONNECTED, _R.SILENT, _R.TIMEOUT, _R.PROTOCOL, _R.TOO_LARGE, _R.RATE_LIMITED, _R.LIMIT,
    ),
    Step.RECOVER: (*_MESSAGE, _R.DUPLICATED, _R.EPOCH_CHANGED),
}  # fmt: skip
_HOLD: Final[dict[Step, tuple[Reason, ...]]] = {
    Step.HOLD: (_R.DISCONNECTED, _R.SILENT, _R.PROTOCOL, _R.TOO_LARGE, _R.RATE_LIMITED, _R.LIMIT),
}

_STEPS: Final[dict[Scenario, dict[Step, tuple[Reason, ...]]]] = {
    Scenario.STEADY_MESSAGING: _REACH | _TALK | _EXCHANGE | _HOLD,
    Scenario.ASYNC_DELIVERY: _REACH | _TALK | _ABSENCE,
    Scenario.REALISTIC_SESSION: _REACH | _TALK | _EXCHANGE,
    Scenario.CONNECTION_STORM: _REACH | _HOLD,
    Scenario.STEADY_STATE: _REACH | _HOLD,
}


def pairs_of(scenario: Scenario) -> tuple[tuple[Step, Reason], ...]:
    """Every (step, reason) a run of `scenario` can fail with.

    Each step can also fail for `internal`: a fault in this program is never booked as the relay's.
    """
    return tuple((step, reason) for step, reasons in _STEPS[scenario].items() for reason in (*reasons, Reason.INTERNAL))


def booked(scenario: Scenario, step: Step, reason: Reason) -> tuple[Step, Reason]:
    """The pair under which a failure is counted: itself, or `internal` at its step where the table has no such pair.

    A pair outside the table is a fault of this program; it must neither invent a series nor vanish.
    """
    steps = _STEPS[scenario]
    if step not in steps:
        return next(iter(steps)), Reason.INTERNAL
    return (step, reason) if reason in steps[step] else (step, Reason.INTERNAL)
