from __future__ import annotations

import pytest

from monitor.errors import MAX_DETAIL, ProbeError, printable
from monitor.vocabulary import Reason, Step


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("HTTP 502 Bad Gateway", "HTTP 502 Bad Gateway"),
        ("größer als 5 €", "größer als 5 €"),
        ("\x1b[2J and \x9b2J", "\ufffd[2J and \ufffd2J"),
        ("two\r\nlines\tand\u2028more", "two  lines and more"),
        ("\u202ereversed\u2066 \u200bhidden\ufeff", "\ufffdreversed\ufffd \ufffdhidden\ufffd"),
        ("half of a pair: \ud800", "half of a pair: \ufffd"),
    ],
)
def test_what_cannot_be_shown_as_it_is_is_replaced(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_the_detail_of_an_error_is_printable_and_bounded() -> None:
    error = ProbeError(Step.HELLO, Reason.RELAY_ERROR, "\x1b[2J" + "x" * 1_000_000)
    assert error.detail == "\ufffd[2J" + "x" * (MAX_DETAIL - 4)
    assert str(error) == f"hello: relay_error: {error.detail}"
