"""Map error replies, close codes, deadlines and operating system errors to (step, reason) errors."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from monitor.errors import LocalError, ProbeError, SettingsError
from monitor.relay.routes import NETWORK, NO_ROUTE
from monitor.vocabulary import Reason, Step
from monitor.wire.codes import CloseCode, ErrorCode

if TYPE_CHECKING:
    from monitor.relay.proxy import Proxy
    from monitor.relay.token import TokenLife
    from monitor.wire.events import Dropped, ErrorReply

CLOCK_LEEWAY: Final = 5.0
"""Seconds by which the relay's clock may be ahead when it judges a token."""

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
    CloseCode.BAD_REQUEST: Reason.UNAUTHORIZED,  # of a well-formed hello: it lacks the token that the relay wants
    CloseCode.PERMISSION_DENIED: Reason.UNAUTHORIZED,
    CloseCode.EXPIRED: Reason.EXPIRED,
}

_REASONS_OF_ERRNO: Final = {
    errno.ECONNREFUSED: Reason.REFUSED,
    errno.EHOSTUNREACH: Reason.UNREACHABLE,
    errno.ETIMEDOUT: Reason.TIMEOUT,
    errno.ECONNRESET: Reason.RESET,
    errno.EPIPE: Reason.RESET,
    errno.ECONNABORTED: Reason.RESET,
}
# The local kernel reports these, like `NO_ROUTE`: no packet reached the relay.
_FORBIDDEN: Final = {errno.EPERM, errno.EACCES}
_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def of_error(step: Step, error: ErrorReply, endpoint: str = "") -> ProbeError:
    """Return the error for an error reply to the command of `step`, by `endpoint`."""
    known = _HELLO_ERRORS if step is Step.HELLO else _ERRORS
    reason = known.get(error.code, Reason.RELAY_ERROR)
    return ProbeError(step, reason, f"error {error.code} {error.message}".strip(), status=error.code, endpoint=endpoint)


def of_drop(step: Step, dropped: Dropped, endpoint: str = "") -> ProbeError:
    """Return the error for a connection to `endpoint` that dropped during `step`."""
    reason: Reason
    if dropped.fault is not None:
        # Once a connection is established, a reset is one way of disconnecting.
        reason = Reason.DISCONNECTED if dropped.fault is Reason.RESET else dropped.fault
    else:
        known = _HELLO_CLOSES if step is Step.HELLO else _CLOSES
        reason = known.get(dropped.code, Reason.DISCONNECTED)
    if dropped.code is None:
        closed = f"no close frame: {dropped.reason}" if dropped.reason else "no close frame"
    else:
        closed = f"close code {dropped.code} {dropped.reason}".rstrip()
    # If this side closed the connection, as after silence, the relay had no close frame to send.
    own = dropped.fault not in {None, Reason.RESET} and dropped.reason
    detail = dropped.reason if own else closed
    return ProbeError(step, reason, detail, status=dropped.code or "", endpoint=endpoint)


def of_own_token(error: ProbeError, life: TokenLife, now: float) -> ProbeError:
    """Return the error, or a `SettingsError` if the relay refused a token that had expired at the wall time `now`."""
    if error.step is not Step.HELLO or error.reason not in {Reason.EXPIRED, Reason.UNAUTHORIZED}:
        return error
    if life.expires is None or life.expires > now + CLOCK_LEEWAY:
        return error
    ended = datetime.fromtimestamp(life.expires, UTC).isoformat(timespec="seconds")
    detail = f"this monitor's token expired at {ended}; renew token or token_file ({error.detail})"
    return SettingsError(error.step, Reason.EXPIRED, detail, status=error.status, endpoint=error.endpoint)


def of_deadline(step: Step, *, partially_received: bool = False) -> ProbeError:
    """Return the error for a deadline that passed during `step` before a complete answer arrived.

    `partially_received`: part of the answer arrived. The reason is `silent` if an established connection sent nothing,
    and `timeout` otherwise.
    """
    if partially_received:
        return ProbeError(step, Reason.TIMEOUT, "the answer arrived only in part")
    not_connected = step in {Step.RESOLVE, Step.TCP}
    return ProbeError(step, Reason.TIMEOUT if not_connected else Reason.SILENT, "no answer in time")


def of_own_deadline(step: Step, proxy: Proxy | None) -> SettingsError:
    """Return the error for a deadline that passed before `proxy` was reached, or before the settings were read."""
    if proxy is not None:
        return proxy.error(Reason.TIMEOUT, "no answer in time")
    return SettingsError(step, Reason.INTERNAL, "the files of this relay's settings are not read yet; do mounts hang?")


def is_local_fault(error: OSError) -> bool:
    """Return True if the fault lies on this machine, so that it says nothing about the relay."""
    return error.errno in NO_ROUTE | _FORBIDDEN | _EXHAUSTED


def of_os_error(step: Step, error: OSError, where: str = "") -> ProbeError:
    """Return the error for a socket error at `step`; a `LocalError` if the fault is local.

    `where` is the address that the detail names.
    """
    what = os.strerror(error.errno) if error.errno else str(error)
    if where:
        what = f"{where}: {what}"
    if error.errno in NO_ROUTE:
        return SettingsError(step, Reason.UNREACHABLE, f"no local route: {what}", shared=NETWORK)
    if error.errno in _FORBIDDEN:
        detail = f"forbidden by this machine: {what}; allow it in its firewall or sandbox"
        return SettingsError(step, Reason.UNREACHABLE, detail, shared=NETWORK)
    if error.errno in _EXHAUSTED:
        return LocalError(step, Reason.INTERNAL, f"this machine is out of resources: {what}")
    return ProbeError(step, _REASONS_OF_ERRNO.get(error.errno or 0, Reason.UNREACHABLE), what)
