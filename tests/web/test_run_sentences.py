"""What is said of a failed run."""

from __future__ import annotations

from datetime import timedelta

import pytest

from monitor.pairs.diagnosis import SKIPPED
from monitor.results import Failure, Mark, MessageFate
from monitor.vocabulary import Finding, Outcome, Reason, Step, Verdict
from monitor.web.meanings import meanings
from monitor.web.run_sentences import EXPECTED, attempts, findings, observed, runbook, verdict
from tests.journal.sample import START, run
from tests.relays import ROOT


def found(*notes: str) -> list[str]:
    return findings(run(1, failed=True, timeline=tuple(Mark("wallet", Step.HISTORY, 1.0, 1.0, note) for note in notes)))


@pytest.mark.parametrize(
    ("note", "sentence"),
    [
        (
            "stored_not_pushed: the persistent connection: stored; a new connection: stored",
            "Stored by the relay, not pushed to this connection; a fresh connection got it from the history.",
        ),
        (
            f"not_stored: the persistent connection: not stored; {SKIPPED}",
            (
                "Acknowledged by the relay, and not in the channel's history; the history read over this connection "
                "lacks it; no other connection asked: the relay's last diagnosis began less than 20 s before."
            ),
        ),
        (
            "not known: the persistent connection: no reply within 1 s; another endpoint: not among the oldest 50",
            (
                "The history does not show what became of it; this connection could not read the history: no reply "
                "within 1 s; a connection to another endpoint found it not among the oldest 50 of the history."
            ),
        ),
        ("something else", "something else"),
    ],
)
def test_a_finding_is_a_sentence(note: str, sentence: str) -> None:
    assert found(note) == [sentence]


def test_equal_findings_are_counted() -> None:
    assert [text.partition(":")[0] for text in found("not_stored", "not_stored", "not_accepted")] == [
        "2 messages",
        "1 message",
    ]


def test_every_step_and_finding_has_its_words() -> None:
    assert set(EXPECTED) == set(Step)
    known = meanings()
    assert set(known.steps) == {step.value for step in Step}
    assert set(known.reasons) == {reason.value for reason in Reason}
    assert set(known.findings) == {finding.value for finding in Finding}
    for finding in Finding:
        assert found(finding.value) != [finding.value]


def test_what_came_has_the_status_once() -> None:
    assert observed(Failure(step=Step.UPGRADE, reason=Reason.HTTP_STATUS, status="502")) == "http status 502"
    closed = Failure(step=Step.HOLD, reason=Reason.DISCONNECTED, status="3001", detail="close code 3001 shutdown")
    assert observed(closed) == "disconnected: close code 3001 shutdown"


def test_each_reason_has_a_runbook_that_exists() -> None:
    for reason in Reason:
        for step in (Step.DELIVER, Step.HOLD):
            name = runbook(Failure(step=step, reason=reason))
            assert (ROOT / "docs" / "runbooks" / f"{name}.md").exists()


def test_the_attempts_that_followed_are_summed_up() -> None:
    failed = run(0, failed=True)
    refused = Failure(step=Step.TCP, reason=Reason.REFUSED)
    first = run(1, failed=True, failure=refused, started_at=START + timedelta(seconds=1))
    second = run(2, started_at=START + timedelta(seconds=3))
    assert attempts(failed, ()) == ""
    assert attempts(failed, (second,)) == "1 fresh attempt with a new pair within 3 s: delivered."
    both = "2 fresh attempts with a new pair within 3 s: 1 of 2 failed (tcp refused)."
    assert attempts(failed, (first, second)) == both
    assert attempts(failed, (second, second)).endswith("all delivered.")


@pytest.mark.parametrize(
    ("fate", "seconds_later", "said"),
    [
        (MessageFate("request", 1, Verdict.LOST), 1, "lost"),
        (MessageFate("request", 1, None), 1, "not judged yet"),
        (MessageFate("request", 1, None), 3600, "not judged"),  # the monitor ended before
        (MessageFate("request", 1, None, note="not judged: the pair was closed"), 1, "not judged"),
    ],
)
def test_a_message_without_a_verdict_is_not_pending_for_ever(fate: MessageFate, seconds_later: int, said: str) -> None:
    shown = run(0, outcome=Outcome.FAILED)
    assert verdict(fate, shown, START + timedelta(seconds=seconds_later)) == said
