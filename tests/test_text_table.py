"""Tables as plain text."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from monitor.text_table import Column, paragraph, table, terminal_width

COLUMNS = (Column("relay"), Column("why"), Column("count\nall", right=True))


def test_columns_are_as_wide_as_their_cells() -> None:
    rows = [("eu", "tcp refused", "1"), "one more:", ("staging-3", "", "1200")]
    assert list(table(COLUMNS, rows)) == [
        "                        count",
        "relay      why            all",
        "─────────────────────────────",
        "eu         tcp refused      1",
        "one more:",
        "staging-3                1200",
    ]


def test_a_terminal_wraps_the_widest_cells_at_words() -> None:
    assert list(table(COLUMNS, [("eu-1", "the relay asks for less", "1")], width=24)) == [
        "                   count",
        "relay  why           all",
        "────────────────────────",
        "eu-1   the relay       1",
        "       asks for",
        "       less",
    ]


def test_a_pipe_never_wraps() -> None:
    long = "word " * 80 + "end"
    assert list(table(COLUMNS, [("eu", long, "1")]))[-1].startswith(f"eu     {long}")
    assert paragraph(long) == [long]
    assert max(map(len, paragraph(long, width=40))) <= 40
    assert terminal_width(io.StringIO()) is None


def test_what_a_relay_says_cannot_control_the_terminal() -> None:
    shown = "\n".join(table(COLUMNS, [("eu", "\x1b[2J\x1b]0;title\x07\r\nroot#", "1"), "\x1b[31mred"], width=80))
    assert not set(shown) & {"\x1b", "\x07", "\r"}
    assert shown.count("\n") == 4
    assert len("\n".join(table(COLUMNS, [("eu", "x" * 1_000_000, "1")]))) < 3000


def test_titles_wrap_as_cells_do() -> None:
    columns = (Column("the name of a relay"), Column("page after it\nrefuses new clients", right=True))
    lines = list(table(columns, [("eu", "1m19s")], width=30))
    assert max(map(len, lines)) == 30
    assert lines[:3] == [
        "                 page after it",
        "the name of a      refuses new",
        "relay                  clients",
    ]


@given(st.lists(st.tuples(*[st.text(max_size=60)] * 3), max_size=5), st.integers(40, 200))
def test_a_table_fits_the_terminal(rows: list[tuple[str, str, str]], width: int) -> None:
    assert all(len(line) <= width for line in table(COLUMNS, rows, width=width))
