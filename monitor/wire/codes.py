"""Codes of the Centrifuge client protocol.

Source: Centrifugo's documentation of client protocol codes, and Centrifugo 6.9. Unknown codes are valid: their range
decides whether the client reconnects or resubscribes.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class ErrorCode(IntEnum):
    """Codes of error replies."""

    INTERNAL = 100
    UNAUTHORIZED = 101
    UNKNOWN_CHANNEL = 102
    PERMISSION_DENIED = 103
    METHOD_NOT_FOUND = 104
    ALREADY_SUBSCRIBED = 105
    LIMIT_EXCEEDED = 106
    BAD_REQUEST = 107
    NOT_AVAILABLE = 108
    TOKEN_EXPIRED = 109
    EXPIRED = 110
    TOO_MANY_REQUESTS = 111
    UNRECOVERABLE_POSITION = 112


class CloseCode(IntEnum):
    """Close codes of the WebSocket."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS = 1005
    ABNORMAL = 1006
    INVALID_DATA = 1007
    MESSAGE_TOO_BIG = 1009
    CONNECTION_CLOSED = 3000
    SHUTDOWN = 3001
    SERVER_ERROR = 3004
    EXPIRED = 3005
    SUBSCRIPTION_EXPIRED = 3006
    SLOW = 3008
    WRITE_ERROR = 3009
    INSUFFICIENT_STATE = 3010
    FORCE_RECONNECT = 3011
    NO_PONG = 3012
    TOO_MANY_REQUESTS = 3013
    INVALID_TOKEN = 3500
    BAD_REQUEST = 3501
    STALE = 3502
    FORCE_NO_RECONNECT = 3503
    CONNECTION_LIMIT = 3504
    CHANNEL_LIMIT = 3505
    INAPPROPRIATE_PROTOCOL = 3506
    PERMISSION_DENIED = 3507
    NOT_AVAILABLE = 3508
    TOO_MANY_ERRORS = 3509


class UnsubscribeCode(IntEnum):
    """Codes of unsubscribe pushes."""

    CLIENT = 0
    DISCONNECT = 1
    SERVER = 2000
    INSUFFICIENT_STATE = 2500
    EXPIRED = 2501


TEMPORARY_ERRORS: Final = frozenset({ErrorCode.INTERNAL, ErrorCode.TOO_MANY_REQUESTS})
"""Errors worth a retry, even if the server does not set `temporary`."""

TERMINAL: Final = (range(3500, 4000), range(4500, 5000))
"""Close codes after which a client must not reconnect."""


def reconnects_after(code: int | None) -> bool:
    """Return True if a client reconnects after a close with `code`; None means no close frame.

    3500-3999 and 4500-4999 are terminal. Of RFC 6455's codes only 1009 is: the same frame would be too big again.
    """
    if code is None:
        return True
    if code == CloseCode.MESSAGE_TOO_BIG:
        return False
    return not any(code in terminal for terminal in TERMINAL)


def resubscribes_after(code: int) -> bool:
    """Return True if a client resubscribes after an unsubscribe push with `code`: from 2500 on."""
    return code >= UnsubscribeCode.INSUFFICIENT_STATE
