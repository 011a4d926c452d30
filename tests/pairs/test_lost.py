"""Which messages are lost: those that their channel's history lacks."""

from __future__ import annotations

import pytest

from monitor.pairs.ledger import Ledger
from monitor.vocabulary import Verdict
from tests.pairs.test_ledger import message, send, verdicts


@pytest.mark.parametrize(
    ("stored", "asked_at", "complete", "verdict"),
    [
        ((), 2.0, True, Verdict.LOST),
        ((1,), 2.0, True, Verdict.UNRECOVERED),
        ((), 2.0, False, Verdict.UNRECOVERED),  # newer ones were left out
        ((), 0.5, True, Verdict.UNRECOVERED),  # read before it was accepted
        (None, 0.0, True, Verdict.UNRECOVERED),  # not read at all
    ],
)
def test_only_a_message_that_the_history_lacks_is_lost(
    stored: tuple[int, ...] | None, asked_at: float, complete: bool, verdict: Verdict
) -> None:
    ledger, one = Ledger(), message(1)
    send(ledger, one)
    if stored is not None:
        data = {message(number).data for number in stored}
        ledger.history_read(one.key.channel, {"request"}, data, asked_at, complete=complete)
    assert verdicts(ledger.judge_all()) == [verdict]


def test_a_later_reading_that_has_a_message_decides() -> None:
    ledger, one = Ledger(), message(1)
    send(ledger, one)
    ledger.history_read(one.key.channel, {"request"}, set(), 2.0, complete=True)
    ledger.history_read(one.key.channel, {"request"}, {one.data}, 3.0, complete=True)
    assert verdicts(ledger.judge_all()) == [Verdict.UNRECOVERED]
