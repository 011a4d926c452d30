"""The waterfall of a run: its rows, its messages and the last good run beside it."""

from __future__ import annotations

from itertools import pairwise

from monitor.results import Mark, MessageFate
from monitor.vocabulary import Step, Verdict
from monitor.web.waterfall import MAX_ROWS, waterfall
from tests.journal.sample import run

STEPS = (
    Mark("dapp", Step.TCP, 0.0, 0.01),
    Mark("wallet", Step.TCP, 0.0, 0.02),
    Mark("dapp", Step.PUBLISH, 0.1, 0.11),
    Mark("wallet", Step.DELIVER, 0.1, 5.1, "lost: not delivered", failed=True),
    Mark("wallet", Step.HISTORY, 5.1, 5.1, "not_stored: the persistent connection: not stored"),
)
MESSAGES = (
    MessageFate("request", 1, Verdict.LOST, sent=0.1),
    MessageFate("response", 2, Verdict.DELIVERED, latency=0.2, sent=0.1),
    MessageFate("request", 3, None),
)
FAILED = run(1, failed=True, duration=5.2, timeline=STEPS, messages=MESSAGES)


def test_each_side_has_a_lane_with_a_row_for_each_step_and_none_for_findings() -> None:
    drawn = waterfall(FAILED, None)
    assert [(lane.title, [row.step for row in lane.rows]) for lane in drawn.lanes] == [
        ("dApp", [Step.TCP, Step.PUBLISH]),
        ("Wallet", [Step.TCP, Step.DELIVER]),
    ]
    assert [row.failed for lane in drawn.lanes for row in lane.rows] == [False, False, False, True]
    assert {row.good for lane in drawn.lanes for row in lane.rows} == {None}


def test_a_step_has_the_duration_of_the_same_step_in_the_last_good_run() -> None:
    """The same by side, step and number."""
    good = run(
        0,
        timeline=(
            Mark("dapp", Step.PUBLISH, 0.1, 0.13),
            Mark("dapp", Step.PUBLISH, 0.2, 0.24),
            Mark("wallet", Step.DELIVER, 0.1, 0.15),
        ),
    )
    again = run(1, timeline=(*STEPS, Mark("dapp", Step.PUBLISH, 5.0, 5.001), Mark("dapp", Step.PUBLISH, 5.1, 5.101)))
    dapp, wallet = waterfall(again, good).lanes
    assert [None if row.good is None else round(row.good, 3) for row in dapp.rows] == [None, 0.03, 0.04, 0.04]
    assert [None if row.good is None else round(row.good, 3) for row in wallet.rows] == [None, 0.05]


def test_a_message_is_an_arrow_from_its_sender_and_one_that_did_not_arrive_has_no_end() -> None:
    request, response = waterfall(FAILED, None).arrows  # when the third was sent is not known
    assert (request.from_dapp, request.right, request.verdict) == (True, None, "lost")
    assert not response.from_dapp
    assert response.right is not None
    assert response.right > response.left
    assert (request.label, response.label) == ("1", "")  # two labels at one place are not readable


def test_a_failed_step_is_drawn_however_many_there_are() -> None:
    many = tuple(Mark("dapp", Step.PUBLISH, float(number), number + 0.1) for number in range(2 * MAX_ROWS))
    drawn = waterfall(run(1, failed=True, timeline=(*many, STEPS[3])), None)
    rows = [row for lane in drawn.lanes for row in lane.rows]
    assert len(rows) == MAX_ROWS
    assert sum(row.failed for row in rows) == 1
    assert drawn.omitted == MAX_ROWS + 1


def test_labels_of_the_axis_are_far_enough_apart() -> None:
    ticks = waterfall(FAILED, None).ticks
    positions = [position for position, _ in ticks]
    assert (positions[0], positions[-1]) == (0.0, 100.0)
    assert all(later - earlier >= 12 for earlier, later in pairwise(positions))
    assert waterfall(run(1), None).lanes == ()
