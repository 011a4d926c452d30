from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import document
from monitor.config.document import MAX_DEPTH, Document, DocumentError, show_path


def read(text: str, **environ: str) -> Document:
    return document.read(text, environ)


def test_scalars_stay_text_and_only_null_is_none() -> None:
    text = "{a: no, b: 1.10, c: 0x1F, d: 12:30:00, e: 2024-01-01, f: ~, g: null, h: , i: 'null', j: ''}"
    assert read(text).root.data() == {
        "a": "no", "b": "1.10", "c": "0x1F", "d": "12:30:00", "e": "2024-01-01",
        "f": None, "g": None, "h": None, "i": "null", "j": "",
    }  # fmt: skip


def test_every_node_has_the_line_of_its_key() -> None:
    root = read("a:\n  - b: 1\n    c:\n      d: 2\n  -\n    e: |\n      x\n").root
    lines = {}
    for path in [("a",), ("a", 0), ("a", 0, "b"), ("a", 0, "c"), ("a", 0, "c", "d"), ("a", 1, "e")]:
        node = root
        for part in path:
            child = node.child(part)
            assert child is not None
            node = child
        lines[path] = node.line
    assert list(lines.values()) == [1, 2, 2, 3, 4, 6]


def test_the_first_of_two_equal_keys_counts() -> None:
    found = read("a: {b: 1,\n b: 2}")
    assert found.root.data() == {"a": {"b": "1"}}
    assert [(problem.line, problem.key) for problem in found.problems] == [(2, "a.b")]


def test_an_alias_is_a_copy_with_the_line_of_the_alias() -> None:
    root = read("a: &x {b: 1}\nc: *x\nd: [*x]").root
    assert root.data() == {"a": {"b": "1"}, "c": {"b": "1"}, "d": [{"b": "1"}]}
    copy = root.child("c")
    assert copy is not None
    inner = copy.child("b")
    assert inner is not None
    assert (copy.line, inner.line) == (2, 2)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "one"),
        ("x${A}y${A}", "xoneyone"),
        ("${NONE:-two}", "two"),
        ("${EMPTY:-two}", "two"),
        ("${NONE:-}", None),
        ("'${NONE:-}'", ""),
        ("${NONE:-null}", None),
        ("$$", "$"),
        ("$${A}", "${A}"),
        ("$$$$", "$$"),
        ("${DOLLAR}", "${A}"),
        ("${TREE}", "{a: [b]}"),
        ("|\n  ${A}", "one"),
    ],
)
def test_variables_are_expanded_once_and_as_text(text: str, value: str | None) -> None:
    found = read(f"key: {text}", A="one", EMPTY="", DOLLAR="${A}", TREE="{a: [b]}")
    assert found.problems == []
    assert found.root.data() == {"key": value}


@pytest.mark.parametrize("text", ["$", "a$b", "${", "${A", "${1}", "${A-b}", "$A", "$$$", "${A:-${B:-c}}"])
def test_a_single_dollar_is_a_problem_that_does_not_show_the_value(text: str) -> None:
    found = read(f"key: 'secret {text}'", A="one")
    assert [(problem.line, problem.key) for problem in found.problems] == [(1, "key")]
    assert "secret" not in found.problems[0].message
    assert found.unknown == {("key",)}


def test_keys_are_not_expanded() -> None:
    assert read("'${A}': x").root.data() == {"${A}": "x"}


@pytest.mark.parametrize("opening", ["[", "{a: "])
@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 100_000])
def test_depth_is_bounded_before_anything_is_built(opening: str, levels: int) -> None:
    with pytest.raises(DocumentError, match=f"is nested deeper than {MAX_DEPTH} levels"):
        read(opening * levels)


def test_an_escape_of_an_invalid_character_is_refused() -> None:
    with pytest.raises(DocumentError, match="is not YAML"):
        read('a: "\\xZZ"')


def test_a_path_is_formatted_with_dots_and_brackets() -> None:
    assert show_path(("probes", 0, "schedule", "every")) == "probes[0].schedule.every"


PLAIN = st.recursive(
    st.none() | st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="$")),
    lambda inner: st.lists(inner) | st.dictionaries(st.from_regex(re.compile("[a-z]{1,8}"), fullmatch=True), inner),
    max_leaves=20,
)


@given(PLAIN)
def test_what_yaml_writes_is_read_back(data: object) -> None:
    assert read(yaml.safe_dump(data)).root.data() == data
