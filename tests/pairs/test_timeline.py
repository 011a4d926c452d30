"""The row of a failed step in the timeline of a run."""

from __future__ import annotations

from monitor.errors import ProbeError
from monitor.pairs.timeline import MAX_FAILED_MARKS, mark_failed, refine_reason
from monitor.results import Mark
from monitor.vocabulary import Reason, Step

TCP = Mark("dapp", Step.TCP, 0.0, 0.1)


def test_a_step_without_a_row_gets_one_that_begins_when_the_step_before_it_ended() -> None:
    marks = [TCP, Mark("wallet", Step.TCP, 0.0, 0.4)]
    mark_failed(marks, ProbeError(Step.HELLO, Reason.SILENT, "no reply").noticed_by("dapp"), None, 5.0)
    assert marks[-1] == Mark("dapp", Step.HELLO, 0.1, 5.0, "silent: no reply", failed=True)


def test_the_row_of_a_connect_that_failed_is_marked() -> None:
    marks = [TCP]
    mark_failed(marks, ProbeError(Step.TCP, Reason.REFUSED).noticed_by("dapp"), None, 0.1)
    assert marks == [TCP._replace(note="refused", failed=True)]


def test_a_row_of_the_other_side_is_not_marked() -> None:
    marks = [TCP]
    mark_failed(marks, ProbeError(Step.TCP, Reason.REFUSED).noticed_by("wallet"), None, 0.2)
    assert marks == [TCP, Mark("wallet", Step.TCP, 0.0, 0.2, "refused", failed=True)]


def test_a_publish_before_the_failed_one_is_not_marked() -> None:
    published = Mark("dapp", Step.PUBLISH, 0.1, 0.2)
    marks = [published]
    mark_failed(marks, ProbeError(Step.PUBLISH, Reason.SILENT).noticed_by("dapp"), 1.0, 6.0)
    assert marks == [published, Mark("dapp", Step.PUBLISH, 1.0, 6.0, "silent", failed=True)]


def test_a_handshake_that_is_in_the_timeline_is_marked_and_encloses_other_steps() -> None:
    handshake = Mark("pair", Step.HANDSHAKE, 0.0, 5.0)
    marks = [TCP, handshake]
    mark_failed(marks, ProbeError(Step.SUBSCRIBE, Reason.DENIED).noticed_by("dapp"), None, 5.0)
    assert marks[1:] == [handshake, Mark("dapp", Step.SUBSCRIBE, 0.1, 5.0, "denied", failed=True)]
    mark_failed(marks, ProbeError(Step.HANDSHAKE, Reason.SILENT).noticed_by("wallet"), None, 5.0)
    assert marks[1] == handshake._replace(note="silent", failed=True)


def test_a_finding_of_the_diagnosis_is_no_step_before_the_failed_one() -> None:
    marks = [Mark("wallet", Step.RESUME, 0.0, 0.1), Mark("wallet", Step.HISTORY, 5.0, 5.0, "not_stored")]
    mark_failed(marks, ProbeError(Step.RECOVER, Reason.LOST).noticed_by("wallet"), None, 5.1)
    assert marks[-1] == Mark("wallet", Step.RECOVER, 0.1, 5.1, "lost", failed=True)


def test_the_diagnosis_refines_the_reason_of_the_latest_failed_row() -> None:
    marks = [Mark("wallet", Step.DELIVER, 0.0, 5.0, "unrecovered: not delivered", failed=True), TCP]
    refine_reason(marks, Reason.UNRECOVERED, Reason.LOST)
    assert marks[0].note == "lost: not delivered"


def test_failed_rows_are_bounded() -> None:
    marks: list[Mark] = []
    for _ in range(2 * MAX_FAILED_MARKS):
        mark_failed(marks, ProbeError(Step.HOLD, Reason.DISCONNECTED), None, 1.0)
    assert len(marks) == MAX_FAILED_MARKS
