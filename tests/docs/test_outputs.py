"""When what a page shows agrees with what is printed."""

from __future__ import annotations

import pytest

from tests.docs.outputs import difference

SHOWN = (
    "Drill 7539b05e3fa095ac: a page must arrive within 180 s.",
    "  firing    ≤ 20.3 s   the alert RelayMonitorDrill, seen at Prometheus",
    "eu-1 in maintenance until 10:20:00 UTC (in 20 min), window k7m2xq",
)
PRINTED = """\
Drill 0123456789abcdef: a page must arrive within 90 s.
  firing      7.1 s    the alert RelayMonitorDrill, seen at Prometheus

eu-1 in maintenance until 23:59:59 UTC (in 20 min), window abcdef
"""


def test_numbers_times_and_ids_may_differ() -> None:
    assert difference(SHOWN, PRINTED) is None


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ("firing ", "fired ", f"did not print {SHOWN[1]!r} in its place"),
        ("eu-1", "eu", f"did not print {SHOWN[2]!r} in its place"),
        ("until 23:59:59 UTC", "until tomorrow", f"did not print {SHOWN[2]!r} in its place"),
        ("abcdef\n", "abcdef\nmore\n", f"printed more after {SHOWN[2]!r}"),
    ],
)
def test_words_may_not(old: str, new: str, wrong: str) -> None:
    assert difference(SHOWN, PRINTED.replace(old, new)) == wrong


def test_an_ellipsis_stands_for_anything() -> None:
    assert difference(["Drill … must arrive …", "…", "eu-1 …"], PRINTED) is None
    assert difference(["Drill …", "…"], PRINTED) is None
    assert difference(["…", "us-1 …"], PRINTED) == "did not print 'us-1 …' in its place"
