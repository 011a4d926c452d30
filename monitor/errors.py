"""Every exception of this project, under one root.

::

    MonitorError
    ├── ConfigError             the configuration is wrong: one `ConfigProblem` per mistake, each with its line
    ├── StartupError            the machine will not let us start: a port in use, an unreadable file
    ├── MisuseError             this program called itself wrongly: a bug here, never the relay's fault
    ├── ProbeError                what stopped a run: a step and a reason of `vocabulary`, raised inside a probe only
    │   └── LocalError            the same, on this side of the wire: the run is aborted, the relay not blamed
    └── WalletProtocolError     the wallet protocol's own errors, named by its own codes (`ErrorCode`)
        ├── SessionError
        ├── TransportError
        └── CryptoError

What a relay did wrong is a value: an `ProbeError` travels no further than the probe that met it, where it
becomes the `Failure` of a `Run`. Foreign exceptions (sockets, TLS, WebSocket) are translated once, at the
edge, in `relay/transport.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.vocabulary import Reason, Step


MAX_DETAIL: Final = 500
"""Characters kept of what is said about a failure: a relay may have chosen them, and runs are kept by the hundred."""


class MonitorError(Exception):
    """The root: catch it to catch everything this project raises on purpose."""


@dataclass(frozen=True, slots=True, order=True)
class ConfigProblem:
    """One mistake in a configuration file.

    `line` counts from 1 (0: the file as a whole); `key` is the dotted path, empty for the document itself.
    """

    line: int
    key: str
    message: str

    def show(self, filename: str) -> str:
        """`config.yaml:12: probes[0].timeout: what is wrong, what is allowed`."""
        where = f"{filename}:{self.line}" if self.line else filename
        return f"{where}: {self.key}: {self.message}" if self.key else f"{where}: {self.message}"


class ConfigError(MonitorError):
    """The configuration cannot be used. `problems` holds every mistake found, in the order of the file."""

    def __init__(self, filename: str, problems: Sequence[ConfigProblem]) -> None:
        self.filename = filename
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(problem.show(filename) for problem in self.problems))


class StartupError(MonitorError):
    """The program cannot start here; the message is one clear line for a person."""


class MisuseError(MonitorError):
    """Local code used an interface against its rules (h11's LocalProtocolError): fix the caller."""


class ProbeError(MonitorError):
    """What stopped a run, and where: `step` and `reason` of the catalogue, `detail` for people.

    `detail` is shown on pages and in logs, so it never holds a token, a header's value or a key; it is cut off past
    `MAX_DETAIL`.
    """

    def __init__(self, step: Step, reason: Reason, detail: str = "") -> None:
        self.step = step
        self.reason = reason
        self.detail = detail[:MAX_DETAIL]
        super().__init__(f"{step}: {reason}" + (f": {self.detail}" if detail else ""))

    def reword(self, detail: str) -> None:
        """Put other words in the place of `detail`."""
        if detail != self.detail:
            ProbeError.__init__(self, self.step, self.reason, detail)


class LocalError(ProbeError):
    """What stopped a run on this side: no route of our own, no descriptors, our own limits. Never the relay's fault."""


class RateLimitedError(ProbeError):
    """The relay asks to come back later: in `retry_after` seconds."""

    def __init__(self, step: Step, reason: Reason, detail: str, retry_after: float) -> None:
        super().__init__(step, reason, detail)
        self.retry_after = retry_after


class ErrorCode(StrEnum):
    """The error codes of the Mobile Wallet Protocol, as its own clients spell them."""

    SESSION_EXPIRED = "SESSION_EXPIRED"
    SESSION_NOT_FOUND = "SESSION_NOT_FOUND"
    SESSION_INVALID_STATE = "SESSION_INVALID_STATE"
    SESSION_SAVE_FAILED = "SESSION_SAVE_FAILED"
    TRANSPORT_DISCONNECTED = "TRANSPORT_DISCONNECTED"
    TRANSPORT_PUBLISH_FAILED = "TRANSPORT_PUBLISH_FAILED"
    TRANSPORT_SUBSCRIBE_FAILED = "TRANSPORT_SUBSCRIBE_FAILED"
    TRANSPORT_HISTORY_FAILED = "TRANSPORT_HISTORY_FAILED"
    TRANSPORT_PARSE_FAILED = "TRANSPORT_PARSE_FAILED"
    TRANSPORT_RECONNECT_FAILED = "TRANSPORT_RECONNECT_FAILED"
    DECRYPTION_FAILED = "DECRYPTION_FAILED"
    INVALID_KEY = "INVALID_KEY"
    REQUEST_EXPIRED = "REQUEST_EXPIRED"
    OTP_INCORRECT = "OTP_INCORRECT"
    OTP_MAX_ATTEMPTS_REACHED = "OTP_MAX_ATTEMPTS_REACHED"
    OTP_ENTRY_TIMEOUT = "OTP_ENTRY_TIMEOUT"
    UNKNOWN = "UNKNOWN"


class WalletProtocolError(MonitorError):
    """A fault in the wallet protocol's own terms; `code` is the name its clients use."""

    def __init__(self, code: ErrorCode, message: str = "") -> None:
        self.code = code
        super().__init__(message or code.value)


class SessionError(WalletProtocolError):
    """A session or its pairing: expired, not found, wrong state, OTP."""


class TransportError(WalletProtocolError):
    """The wallet protocol's transport: publish, subscribe, history, parsing of envelopes."""


class CryptoError(WalletProtocolError):
    """A key that is none, or a payload that does not decrypt."""
