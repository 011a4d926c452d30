"""Objects are taken apart without a byte of their values changing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.embedded import verbatim

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), VALUES, max_size=6), st.sampled_from([None, 1]), st.booleans())
def test_each_value_is_the_text_that_stood_there(
    values: dict[str, object],
    indent: int | None,
    escaped: bool,
) -> None:
    written = {name: json.dumps(value, ensure_ascii=escaped, indent=indent) for name, value in values.items()}
    text = "{" + " , ".join(f"{json.dumps(name)} : {value}" for name, value in written.items()) + "}"
    assert verbatim.members(text) == written


@pytest.mark.parametrize("value", ["1.50", "1e400", "-0", "123456789012345678901234567890", r'"\ud800 \u00e9"'])
def test_what_python_would_write_differently_survives(value: str) -> None:
    assert verbatim.members(f'{{"data":{value}}}') == {"data": value}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "3", '{"a"}', '{"a":}', '{"a":1,}', '{"a":1 "b":2}', "{} {}", '{"a":NaN}', '{"a":"\x01"}',
     '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"],
    ids=range(13),
)  # fmt: skip
def test_anything_but_one_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        verbatim.members(text)


@pytest.mark.parametrize(("value", "read"), [(None, ""), ("null", ""), (r'"\u00e9"', "é")])
def test_a_string_may_be_absent(value: str | None, read: str) -> None:
    assert verbatim.text(value) == read


@pytest.mark.parametrize("value", ["1.0", '"1"', "true", "[]"])
def test_a_whole_number_is_no_other_value(value: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        verbatim.whole(value)
