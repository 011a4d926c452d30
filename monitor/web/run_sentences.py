"""What a failed run says, in plain sentences: what was expected, what was observed, what the diagnosis found."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from monitor.pairs.diagnosis import SKIPPED
from monitor.vocabulary import Finding, Outcome, Reason, Step, cause_name
from monitor.web.waterfall import is_finding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from monitor.results import Failure, Mark, MessageFate, Run

EXPECTED: Final[Mapping[Step, str]] = {
    Step.RESOLVE: "an address for the relay's name",
    Step.PROXY: "a connection through the proxy",
    Step.TCP: "a TCP connection",
    Step.TLS: "a TLS session with a valid certificate",
    Step.UPGRADE: "status 101, the switch to WebSocket",
    Step.HELLO: "a reply to the connect command",
    Step.SUBSCRIBE: "a reply to the subscribe command",
    Step.HISTORY: "the stored messages of the channel",
    Step.PUBLISH: "an acknowledgement of the published message",
    Step.DELIVER: "the dApp's request at the wallet",
    Step.ANSWER: "the wallet's response at the dApp",
    Step.HANDSHAKE: "a paired dApp and wallet",
    Step.RESUME: "a resumed session",
    Step.RECOVER: "each message that was sent while the wallet was away, once and in order",
    Step.HOLD: "a connection that stays open",
    Step.CLOSE: "the end of the run",
}
"""What a step waits for."""

_FINDINGS: Final[Mapping[str, str]] = {
    Finding.NOT_ACCEPTED: "Never acknowledged by the relay, and in no history",
    Finding.NOT_STORED: "Acknowledged by the relay, and not in the channel's history",
    Finding.STORED_NOT_PUSHED: "Stored by the relay, not pushed to this connection",
    Finding.DROPPED_BY_REFERENCE_CLIENT: "Arrived after a later message, so the wallets that users have drop it",
    "not known": "The history does not show what became of it",
}

_CONNECTIONS: Final = {
    "the persistent connection": "this connection",
    "a new connection": "a fresh connection",
    "another endpoint": "a connection to another endpoint",
}

UNJUDGED_AFTER: Final = 300.0
"""Seconds after a run from which on a message without a verdict will get none: its horizon has passed long ago."""

_RUNBOOKS: Final[Mapping[Reason, str]] = {
    Reason.LOST: "RelayMessagesLost",
    Reason.DUPLICATED: "RelayMessagesLost",
    Reason.REORDERED: "RelayMessagesLost",
    Reason.CORRUPTED: "RelayMessagesLost",
    Reason.MISROUTED: "RelayMessagesLost",
    Reason.TLS_EXPIRED: "RelayCertificateExpiring",
    Reason.RATE_LIMITED: "RelayProbeRateLimited",
}


def runbook(failure: Failure) -> str:
    """Return the alert whose runbook is about a failure."""
    if failure.step is Step.HOLD:
        return "RelayPairsUnstable"
    return _RUNBOOKS.get(failure.reason, "RelayProbeFailing")


def observed(failure: Failure) -> str:
    """Return what was observed instead of what was expected: the reason, the status, the detail."""
    status = f" {failure.status}" if failure.status and failure.status not in failure.detail else ""
    head = failure.reason.value.replace("_", " ") + status
    return f"{head}: {failure.detail}" if failure.detail else head


def own_failure(run: Run) -> Mark | None:
    """Return what failed in the run itself, where an attempt at another time names the cause; otherwise None."""
    failed = [mark for mark in run.timeline if mark.failed]
    if run.failure is None or any(mark.step is run.failure.step for mark in failed):
        return None
    return next(iter(failed), None)


def findings(run: Run) -> list[str]:
    """Return the findings of a run's diagnosis, those of several messages together."""
    counted = Counter(mark.note for mark in run.timeline if is_finding(mark))
    several = counted.total() > 1
    return [
        f"{count} {'messages' if count > 1 else 'message'}: " * several + _finding(note)
        for note, count in counted.items()
    ]


def _finding(note: str) -> str:
    finding, _, details = note.partition(": ")
    sentence = _FINDINGS.get(finding)
    if sentence is None:
        return note
    implied = "the persistent connection: stored" if finding == Finding.STORED_NOT_PUSHED else ""
    readings = [_reading(detail) for detail in details.split("; ") if detail not in {"", implied}]
    return "; ".join([sentence, *readings]) + "."


def _reading(detail: str) -> str:
    """Say in words what one connection read: `VIA: stored`, `VIA: not stored` or `VIA: ERROR`."""
    if detail == SKIPPED:
        return detail
    via, _, result = detail.partition(": ")
    connection = _CONNECTIONS.get(via)
    if connection is None:
        return detail
    if result == "stored":
        return f"{connection} got it from the history"
    if result == "not stored":
        return f"the history read over {connection} lacks it"
    if result.startswith("not among"):
        return f"{connection} found it {result} of the history"
    return f"{connection} could not read the history: {result}"


def attempts(run: Run, following: Sequence[Run]) -> str:
    """Say how the fresh attempts ended that followed a failed run; empty without any."""
    if not following:
        return ""
    failed = [item for item in following if item.outcome is Outcome.FAILED]
    last = max(item.started_at for item in following)
    seconds = (last - (run.failed_at or run.started_at)).total_seconds()
    noun = "fresh attempt" if len(following) == 1 else "fresh attempts"
    head = f"{len(following)} {noun} with a new pair within {max(1.0, seconds):.0f} s"
    if not failed:
        return f"{head}: delivered." if len(following) == 1 else f"{head}: all delivered."
    causes = [item.failure for item in failed if item.failure is not None]
    named = ", ".join(dict.fromkeys(cause_name(each.step, each.reason, each.status) for each in causes))
    return f"{head}: {len(failed)} of {len(following)} failed ({named})."


def verdict(fate: MessageFate, run: Run, now: datetime) -> str:
    """Return the verdict on a message, or why there is none."""
    if fate.verdict is not None:
        return fate.verdict.value
    if fate.note or (now - run.started_at).total_seconds() - run.duration > UNJUDGED_AFTER:
        return "not judged"
    return "not judged yet"
