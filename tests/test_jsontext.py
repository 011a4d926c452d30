"""`jsontext` reads and writes the same as `json`, but faster."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.jsontext import raw_integer, raw_members, raw_string, reader, writer

read, write = reader(), writer()
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(values)
def test_it_writes_the_same_as_json_and_reads_it_back(value: Any) -> None:
    assert write(value) == json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    assert read(write(value)) == value


@given(st.text())
def test_it_reads_and_refuses_the_same_texts_as_json(text: str) -> None:
    try:
        value = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            read(text)
    else:
        assert repr(read(text)) == repr(value)  # NaN is not equal to itself


numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)


@given(numbers)
def test_it_reads_numbers_of_any_size_like_json(text: str) -> None:
    assert repr(read(text)) == repr(json.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        r'"\ud800"',
        r'{"\ude00": "\ud800\u0041"}',
        '"\ud800"',
        r'"\ud83d\ude00 \u0000 \/"',
        '{"a": 1, "a": [2]}',
        "[NaN, Infinity, -Infinity]",
        "[1e400, -1e400, 1e-400, -0, -0.0]",
        str(2**64 + 10**18 + 1),  # msgspec 0.18 read it modulo 2**64
        f"[{'9' * 4300}, {'9' * 400}.5]",
        "[" * 900 + "]" * 900,
        " \t\r\n[ 1 , 2 ] ",
    ],
)
def test_it_reads_unusual_texts_like_json(text: str) -> None:
    assert repr(read(text)) == repr(json.loads(text))


@pytest.mark.parametrize("text", [b"{}", bytearray(b"1"), memoryview(b"1"), None, {}])
def test_only_str_can_be_read(text: Any) -> None:
    with pytest.raises(TypeError):
        read(text)


@pytest.mark.parametrize("invalid", [{1}, b"", {(1, 2): 3}])
def test_values_that_are_not_json_are_refused(invalid: Any) -> None:
    with pytest.raises(TypeError):
        write(invalid)


def test_a_recursive_value_is_refused() -> None:
    recursive: list[Any] = []
    recursive.append(recursive)
    with pytest.raises(RecursionError):
        write(recursive)


RAW_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), RAW_VALUES, max_size=6), st.sampled_from([None, 1]), st.booleans())
def test_raw_members_are_the_original_texts(
    values: dict[str, object],
    indent: int | None,
    escaped: bool,
) -> None:
    written = {name: json.dumps(value, ensure_ascii=escaped, indent=indent) for name, value in values.items()}
    text = "{" + " , ".join(f"{json.dumps(name)} : {value}" for name, value in written.items()) + "}"
    assert raw_members(text) == written


@pytest.mark.parametrize("value", ["1.50", "1e400", "-0", "123456789012345678901234567890", r'"\ud800 \u00e9"'])
def test_texts_that_python_would_write_differently_are_kept(value: str) -> None:
    assert raw_members(f'{{"data":{value}}}') == {"data": value}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "3", '{"a"}', '{"a":}', '{"a":1,}', '{"a":1 "b":2}', "x {}", '{"a":NaN}', '{"a":"\x01"}',
     '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"],
    ids=range(13),
)  # fmt: skip
def test_texts_that_are_not_one_object_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        raw_members(text)


@pytest.mark.parametrize(("value", "read"), [(None, ""), ("null", ""), (r'"\u00e9"', "é")])
def test_a_string_can_be_absent(value: str | None, read: str) -> None:
    assert raw_string(value) == read


@pytest.mark.parametrize("value", ["1.0", '"1"', "true", "[]"])
def test_only_integers_are_integers(value: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        raw_integer(value)
