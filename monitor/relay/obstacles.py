"""From what a relay did to the words of the catalogue: the one place where codes become reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.errors import ProbeError
from monitor.vocabulary import Reason, Step
from monitor.wire.codes import CloseCode, ErrorCode

if TYPE_CHECKING:
    from monitor.wire.events import Dropped, ErrorReply

_ERRORS: Final[dict[int, Reason]] = {
    ErrorCode.UNAUTHORIZED: Reason.DENIED,
    ErrorCode.UNKNOWN_CHANNEL: Reason.DENIED,
    ErrorCode.PERMISSION_DENIED: Reason.DENIED,
    ErrorCode.TOKEN_EXPIRED: Reason.DENIED,
    ErrorCode.EXPIRED: Reason.DENIED,
    ErrorCode.LIMIT_EXCEEDED: Reason.LIMIT,
    ErrorCode.TOO_MANY_REQUESTS: Reason.RATE_LIMITED,
    ErrorCode.UNRECOVERABLE_POSITION: Reason.UNRECOVERED,
}
_HELLO_ERRORS: Final[dict[int, Reason]] = {
    ErrorCode.UNAUTHORIZED: Reason.UNAUTHORIZED,
    ErrorCode.PERMISSION_DENIED: Reason.UNAUTHORIZED,
    ErrorCode.TOKEN_EXPIRED: Reason.EXPIRED,
    ErrorCode.EXPIRED: Reason.EXPIRED,
    ErrorCode.LIMIT_EXCEEDED: Reason.LIMIT,
    ErrorCode.TOO_MANY_REQUESTS: Reason.RATE_LIMITED,
}
_CLOSES: Final[dict[int | None, Reason]] = {
    CloseCode.MESSAGE_TOO_BIG: Reason.TOO_LARGE,
    CloseCode.TOO_MANY_REQUESTS: Reason.RATE_LIMITED,
    CloseCode.CONNECTION_LIMIT: Reason.LIMIT,
    CloseCode.CHANNEL_LIMIT: Reason.LIMIT,
}
_HELLO_CLOSES: Final[dict[int | None, Reason]] = _CLOSES | {
    CloseCode.INVALID_TOKEN: Reason.UNAUTHORIZED,
    CloseCode.PERMISSION_DENIED: Reason.UNAUTHORIZED,
    CloseCode.EXPIRED: Reason.EXPIRED,
}


def of_error(step: Step, error: ErrorReply) -> ProbeError:
    """What an error reply to the command of `step` means."""
    known = _HELLO_ERRORS if step is Step.HELLO else _ERRORS
    reason = known.get(error.code, Reason.RELAY_ERROR)
    return ProbeError(step, reason, f"error {error.code} {error.message}".strip())


def of_drop(step: Step, dropped: Dropped) -> ProbeError:
    """What a connection that dropped during `step` means."""
    reason: Reason
    if dropped.fault is not None:
        # A reset is how a connection drops, not another thing to have gone wrong once it stood.
        reason = Reason.DISCONNECTED if dropped.fault is Reason.RESET else dropped.fault
    else:
        known = _HELLO_CLOSES if step is Step.HELLO else _CLOSES
        reason = known.get(dropped.code, Reason.DISCONNECTED)
    code = "no close frame" if dropped.code is None else f"close code {dropped.code}"
    return ProbeError(step, reason, f"{code} {dropped.reason}".strip())


def of_deadline(step: Step, *, flowing: bool = False, proxied: bool = False) -> ProbeError:
    """A deadline passed during `step`, before the relay said anything whole there.

    `flowing`: bytes were on their way. Until a connection stands, nobody was there to be silent: that is a `timeout`
    too; `proxied`: the connection to a proxy stood.
    """
    if flowing:
        return ProbeError(step, Reason.TIMEOUT, "bytes were coming, and too slowly to be an answer in time")
    waiting_for_an_address = step in {Step.RESOLVE, Step.TCP} or (step is Step.PROXY and not proxied)
    return ProbeError(step, Reason.TIMEOUT if waiting_for_an_address else Reason.SILENT, "nothing came in time")
