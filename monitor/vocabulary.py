"""Steps, reasons, outcomes, verdicts and the other label values.

They appear on `/metrics`, on pages, in the journal and in runbooks. `scenarios` lists which steps and reasons occur
together.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Step(StrEnum):
    """The steps of a run."""

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
    """The layer that lost a message, according to the channel's history."""

    NOT_ACCEPTED = "not_accepted"  # not acknowledged, and not in the history
    NOT_STORED = "not_stored"  # acknowledged, but not in the history
    STORED_NOT_PUSHED = "stored_not_pushed"  # in the history, but not pushed
    DROPPED_BY_REFERENCE_CLIENT = "dropped_by_reference_client"  # received, but discarded by de-duplication


class Reason(StrEnum):
    """The reasons for which a step can fail."""

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


class Check(StrEnum):
    """The self-checks of the monitor: what all relays share."""

    EVENT_LOOP = "event_loop"
    CLOCK = "clock"
    DESCRIPTORS = "descriptors"
    MEMORY = "memory"
    LOOPBACK = "loopback"
    NETWORK = "network"
    ALL_RELAYS = "all_relays"  # all relays, or our network
    PROXY = "proxy"
    TASKS = "tasks"


class Outcome(StrEnum):
    """The outcomes of exchanges and runs. `ABORTED` and `EXCLUDED` count for no SLI."""

    OK = "ok"
    FAILED = "failed"
    ABORTED = "aborted"
    EXCLUDED = "excluded"


class Verdict(StrEnum):
    """The verdicts on a message. If several apply, it gets the first of them in `PRECEDENCE`."""

    DELIVERED = "delivered"
    LATE = "late"
    LOST = "lost"  # its channel's history was read and lacks it
    UNRECOVERED = "unrecovered"  # it did not arrive, and the history has it or was not read
    DUPLICATED = "duplicated"
    REORDERED = "reordered"
    CORRUPTED = "corrupted"
    MISROUTED = "misrouted"


PRECEDENCE: Final = (
    Verdict.CORRUPTED,
    Verdict.LOST,
    Verdict.UNRECOVERED,
    Verdict.LATE,
    Verdict.REORDERED,
    Verdict.DUPLICATED,
    Verdict.DELIVERED,
)


class Condition(StrEnum):
    """What is said of a relay; `docs/conditions.md` has the rules."""

    UP = "up"
    DEGRADED = "degraded"  # messages cross, and some fail or are slow
    NOT_ACCEPTING = "not_accepting"  # new connections fail, existing ones deliver
    DOWN = "down"  # no message crosses
    UNKNOWN = "unknown"  # not observed


class Phase(StrEnum):
    """The phases of a connect, and the commands, that are timed separately."""

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
    """The service level indicators; see the SLO section of the configuration reference."""

    AVAILABILITY = "availability"
    LATENCY = "latency"
    PAIRING = "pairing"
    STABILITY = "stability"
    TREND = "trend"


def cause_name(step: str, reason: str, status: str = "") -> str:
    """Return a cause in few words: its step, and its status if it has one, or else its reason: "upgrade 503"."""
    return f"{step} {status or reason}".strip()


BUCKETS: Final = (
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3,
    0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0,
)  # fmt: skip
"""Upper bounds of the buckets of every latency histogram, in seconds; 400 ms, the usual objective, is one of them."""
