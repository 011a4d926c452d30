"""`jsontext`: what it writes and reads is what `json` does, only sooner."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.jsontext import reader, writer

read, write = reader(), writer()
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(values)
def test_it_writes_what_json_writes_and_reads_it_again(value: Any) -> None:
    assert write(value) == json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    assert read(write(value)) == value


@given(st.text())
def test_it_reads_what_json_reads_and_refuses_what_json_refuses(text: str) -> None:
    try:
        value = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            read(text)
    else:
        assert repr(read(text)) == repr(value)  # NaN is no equal of itself


@pytest.mark.parametrize("odd", [{1}, b"", {(1, 2): 3}])
def test_what_is_no_json_is_refused_as_json_refuses_it(odd: Any) -> None:
    with pytest.raises(TypeError):
        write(odd)


def test_what_holds_itself_is_no_endless_text() -> None:
    round_and_round: list[Any] = []
    round_and_round.append(round_and_round)
    with pytest.raises(RecursionError):
        write(round_and_round)
