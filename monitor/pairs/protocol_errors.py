"""Errors of the wallet protocol as probe errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.errors import ErrorCode, ProbeError
from monitor.vocabulary import Reason, Step

if TYPE_CHECKING:
    from monitor.errors import WalletProtocolError

_REASONS: Final = {
    ErrorCode.SESSION_EXPIRED: Reason.EXPIRED,
    ErrorCode.SESSION_NOT_FOUND: Reason.EXPIRED,
    ErrorCode.REQUEST_EXPIRED: Reason.EXPIRED,
    ErrorCode.OTP_ENTRY_TIMEOUT: Reason.EXPIRED,
    ErrorCode.INVALID_KEY: Reason.WRONG_PEER,
    ErrorCode.DECRYPTION_FAILED: Reason.UNDECRYPTABLE,
    ErrorCode.TRANSPORT_PARSE_FAILED: Reason.CORRUPTED,
}
_OF_PUBLISH: Final = {ErrorCode.TRANSPORT_PUBLISH_FAILED, ErrorCode.TRANSPORT_DISCONNECTED}
_OF_RESUME: Final = {ErrorCode.SESSION_EXPIRED, ErrorCode.SESSION_NOT_FOUND}


def of_protocol(error: WalletProtocolError, publish_error: ProbeError | None) -> ProbeError:
    """Return what stopped the protocol. `publish_error` is that of the latest publish, if the relay refused it."""
    if error.code in _OF_PUBLISH and publish_error is not None:
        return publish_error
    step = Step.RESUME if error.code in _OF_RESUME else Step.HANDSHAKE
    return ProbeError(step, _REASONS.get(error.code, Reason.PROTOCOL), f"{error.code.value}: {error}")
