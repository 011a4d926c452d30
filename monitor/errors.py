"""All exceptions that this project raises.

::

    MonitorError
    ├── ConfigError             invalid configuration: one `ConfigProblem` for each error
    ├── StartupError            the program cannot start or continue here: port in use, unreadable file
    ├── OutputError             results cannot be written to stdout
    ├── JournalUnavailableError the journal cannot be read: its disk hangs, or its file is damaged
    ├── RequestError            an operator's request that cannot be carried out; the message says what is allowed
    ├── MisuseError             an interface was used against its rules: a bug in this program
    ├── ProbeError              a run failed, at a step and for a reason of `vocabulary`
    │   ├── LocalError          the same, caused by this machine: the run is aborted
    │   │   └── SettingsError   the same, caused by the settings of one relay, or by this machine's way to it
    │   └── RateLimitedError    the same, where the relay asks for fewer connects
    └── WalletProtocolError     an error of the wallet protocol, with one of its codes
        ├── SessionError        expired, not found, invalid state, OTP
        ├── TransportError      publish, subscribe, history, parsing of envelopes
        └── CryptoError         invalid key, failed decryption

A probe catches each `ProbeError` and returns it as the `Failure` of a `Run`. Exceptions of sockets, TLS and WebSocket
are converted to it in `relay`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from monitor.vocabulary import Reason, Step


MAX_DETAIL: Final = 500
"""Largest length of an error's detail in characters: it may come from a relay, and the journal stores many."""

MAX_STATUS: Final = 16
"""Largest length of an error's status in characters: it is a label value."""

MAX_ENDPOINT: Final = 100
"""Largest length of an endpoint's name in characters: it is a label value."""


def printable(text: str) -> str:
    """Replace each character that a terminal or a browser does not show as it is by U+FFFD, and line breaks by a space.

    These are control characters, invisible ones, those that change the direction of text, and lone surrogates.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else " " if letter.isspace() else "\ufffd" for letter in text)


class MonitorError(Exception):
    """Base class of all exceptions of this project."""


@dataclass(frozen=True, slots=True, order=True)
class ConfigProblem:
    """One error in a configuration file.

    `line` counts from 1, 0 means the whole file; `key` is the dotted path, empty for the whole document.
    """

    line: int
    key: str
    message: str

    def show(self, filename: str) -> str:
        """Return `config.yaml:12: probes[0].timeout: MESSAGE`."""
        where = f"{filename}:{self.line}" if self.line else filename
        return f"{where}: {self.key}: {self.message}" if self.key else f"{where}: {self.message}"


class ConfigError(MonitorError):
    """Invalid configuration. `problems` holds all errors found, in the order of the file."""

    def __init__(self, filename: str, problems: Sequence[ConfigProblem]) -> None:
        self.filename = filename
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(problem.show(filename) for problem in self.problems))


class StartupError(MonitorError):
    """The program cannot start or continue on this machine. The message is one line for the operator."""


class JournalUnavailableError(MonitorError):
    """The journal cannot be read now. What it would have said is unknown; the probes go on."""


class OutputError(MonitorError):
    """Results cannot be written to stdout. `reader_gone` is True for a pipe whose reader has gone."""

    def __init__(self, error: OSError) -> None:
        self.reader_gone = isinstance(error, BrokenPipeError)
        super().__init__(f"stdout: {error.strerror}")


class RequestError(MonitorError):
    """An operator's request that cannot be carried out. The message is one line that says what is allowed."""


class MisuseError(MonitorError):
    """An interface was used against its rules: a bug in the caller, like h11's `LocalProtocolError`."""


class ProbeError(MonitorError):
    """A run failed at `step` for `reason`; `detail` explains it to people.

    `detail` is shown on pages and in logs, so it must not contain a token, a header's value or a key. It may contain a
    relay's words: it is truncated to `MAX_DETAIL` characters, and made `printable`. `status` is the HTTP status, close
    code or Centrifugo error code, if there is one; `endpoint` names the endpoint of a relay that has several.
    `side` is the participant that noticed it, "dapp" or "wallet", where that is known.
    """

    side: str = ""

    def __init__(
        self, step: Step, reason: Reason, detail: str = "", *, status: str | int = "", endpoint: str = ""
    ) -> None:
        self.step = step
        self.reason = reason
        self.detail = printable(detail[:MAX_DETAIL])
        self.status = str(status)[:MAX_STATUS]
        self.endpoint = endpoint[:MAX_ENDPOINT]
        super().__init__(f"{step}: {reason}" + (f": {self.detail}" if detail else ""))

    def reword(self, detail: str) -> None:
        """Replace `detail`."""
        if detail != self.detail:
            ProbeError.__init__(self, self.step, self.reason, detail, status=self.status, endpoint=self.endpoint)

    def log_fields(self) -> dict[str, str]:
        """Return what a log line says of the error; empty texts are left out."""
        fields = {"step": self.step.value, "reason": self.reason.value, "status": self.status, "detail": self.detail}
        return {name: text for name, text in fields.items() if text}

    def seen_at(self, endpoint: str) -> Self:
        """Name the endpoint, unless one is named, and return the error."""
        self.endpoint = self.endpoint or endpoint[:MAX_ENDPOINT]
        return self

    def noticed_by(self, side: str) -> Self:
        """Name the side, unless one is named, and return the error."""
        self.side = self.side or side
        return self

    def moved(self, step: Step, detail: str | None = None) -> ProbeError:
        """Return the same error at another step, with another detail if one is given."""
        text = self.detail if detail is None else detail
        error = ProbeError(step, self.reason, text, status=self.status, endpoint=self.endpoint)
        return error.noticed_by(self.side)


class LocalError(ProbeError):
    """A failure caused by this machine: no route, no descriptors, the monitor's own limits. Never the relay's fault."""


class SettingsError(LocalError):
    """A failure that this relay's own settings or this machine's way to it cause: no other relay need be affected.

    Examples are an unreadable token file, a proxy, and an address family without a route. `shared` names what other
    relays may use too, such as the proxy; it is empty if there is no such thing. `detail` says what to do.
    """

    def __init__(
        self,
        step: Step,
        reason: Reason,
        detail: str = "",
        *,
        status: str | int = "",
        endpoint: str = "",
        shared: str = "",
    ) -> None:
        super().__init__(step, reason, detail, status=status, endpoint=endpoint)
        self.shared = shared


class RateLimitedError(ProbeError):
    """The relay asks for fewer connects (429, or any Retry-After); it allows a retry after `retry_after` seconds."""

    def __init__(self, step: Step, reason: Reason, detail: str, retry_after: float, *, status: str | int = "") -> None:
        super().__init__(step, reason, detail, status=status)
        self.retry_after = retry_after


class ErrorCode(StrEnum):
    """Error codes of the Mobile Wallet Protocol, as its clients spell them."""

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
    """An error of the wallet protocol, with its `code`."""

    def __init__(self, code: ErrorCode, message: str = "") -> None:
        self.code = code
        super().__init__(message or code.value)


class SessionError(WalletProtocolError):
    """An error of a session or its pairing: expired, not found, invalid state, OTP."""


class TransportError(WalletProtocolError):
    """An error of the protocol's transport: publish, subscribe, history, parsing of envelopes."""


class CryptoError(WalletProtocolError):
    """An invalid key, or a payload that cannot be decrypted."""
