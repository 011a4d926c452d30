from __future__ import annotations

from tests.dashboards.variables import Chosen, Variables, escape

VARIABLES = Variables(
    {
        "install": Chosen(("staging.eu",)),
        "relay": Chosen(("a.b", "c"), several=True),
        "one": Chosen(("a.b",), several=True),
        "job": Chosen(("x", "y"), several=True, everything=".+"),
    }
)


def test_a_single_value_is_not_escaped() -> None:
    """Grafana escapes the values of variables with several values only."""
    assert VARIABLES.put_into('install="$install"') == 'install="staging.eu"'


def test_several_values_are_alternatives() -> None:
    assert VARIABLES.put_into('relay=~"$relay", one=~"${one}"') == r'relay=~"(a\\.b|c)", one=~"a\\.b"'


def test_all_is_the_text_for_all() -> None:
    assert VARIABLES.put_into('job=~"$job"') == 'job=~".+"'


def test_formats_are_applied() -> None:
    assert VARIABLES.put_into("${relay:csv} ${relay:pipe} ${install:raw}") == "a.b,c a.b|c staging.eu"


def test_macros_come_first_and_unknown_names_stay() -> None:
    assert VARIABLES.put_into("x[$__interval] $unknown", {"__interval": "15s"}) == "x[15s] $unknown"


def test_signs_of_regular_expressions_are_escaped_for_a_string() -> None:
    assert escape("a+b|c") == r"a\\+b\\|c"
