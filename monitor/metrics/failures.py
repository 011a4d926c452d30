"""Which failures and close codes have a series from the start, and how many a probe can have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.vocabulary import Reason, Step
from monitor.wire.codes import CloseCode, UnsubscribeCode

if TYPE_CHECKING:
    from monitor.scenarios import ScenarioSpec

MAX_FAILURES: Final = 40
"""Pairs of step and reason of one probe at one relay; others are counted as `OTHER`, of which there is one more."""

MAX_CODES: Final = 12
"""Codes of the dropped connections of one probe at one relay; others are counted as `OTHER`."""

OTHER: Final = "other"

KNOWN_CODES: Final = frozenset(int(code) for code in (*CloseCode, *UnsubscribeCode))

_R = Reason
_COMMON: Final[dict[Step, tuple[Reason, ...]]] = {
    Step.RESOLVE: (_R.DNS, _R.TIMEOUT),
    Step.TCP: (_R.REFUSED, _R.UNREACHABLE, _R.TIMEOUT, _R.RESET),
    Step.TLS: (_R.TLS_UNTRUSTED, _R.TLS_EXPIRED, _R.TLS_NAME),
    Step.UPGRADE: (_R.HTTP_STATUS, _R.RATE_LIMITED, _R.SILENT, _R.TIMEOUT),
    Step.HELLO: (_R.SILENT, _R.UNAUTHORIZED, _R.DISCONNECTED, _R.RATE_LIMITED),
    Step.SUBSCRIBE: (_R.SILENT, _R.RELAY_ERROR),
    Step.PUBLISH: (_R.SILENT,),
    Step.HANDSHAKE: (_R.SILENT, _R.LOST),
    Step.DELIVER: (_R.LOST, _R.TIMEOUT, _R.SILENT),
    Step.ANSWER: (_R.LOST, _R.TIMEOUT),
    Step.RESUME: (_R.DISCONNECTED, _R.SILENT),
    Step.RECOVER: (_R.LOST, _R.TIMEOUT, _R.SILENT, _R.EPOCH_CHANGED),
    Step.HOLD: (_R.DISCONNECTED, _R.SILENT),
}
"""What usually fails. Any other pair gets its series when it first fails, at 0 for as long as two scrapes take."""

COMMON_CODES: Final = ("none", str(int(CloseCode.SHUTDOWN)))
"""A connection that breaks, and one that the relay closes to restart."""


def common_failures(spec: ScenarioSpec, *, tls: bool) -> list[tuple[str, str]]:
    """The pairs of step and reason that a probe has from the start; `tls`: its relay is reached by TLS."""
    return [
        (step.value, reason.value)
        for step, reasons in _COMMON.items()
        for reason in reasons
        if reason in spec.failures.get(step, ()) and (tls or step is not Step.TLS)
    ]
