"""What the message of a problem expects is accepted."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config import parse
from monitor.errors import ConfigError

HOURS = 3600


def problems(**values: object) -> list[str]:
    """The problems of an SLO with one probe."""
    keys = {"every": "5m", "objective": "99%", "window": "30d", "scrape": "15s", "evaluation": "15s"} | values
    text = """
relays: [{{name: demo, url: embedded, history: {{ttl: 1d}}}}]
probes: [{{name: away, scenario: async-delivery, schedule: {{every: {every}}}, delay: 0s, timeout: 1s}}]
slos: [{{name: recovery, probe: away, sli: availability, objective: {objective}, window: {window}}}]
prometheus: {{scrape_interval: {scrape}, evaluation_interval: {evaluation}}}
""".format(**keys)
    try:
        parse(text, "config.yaml", {})
    except ConfigError as error:
        return [problem.message for problem in error.problems]
    return []


@settings(deadline=None)
@given(
    every=st.integers(5, 7 * 24 * HOURS),
    objective=st.sampled_from(["1%", "70%", "83.3%", "83.4%", "90%", "99%", "99.5%", "99.9%", "99.95%", "99.999%"]),
    window=st.integers(1, 90 * 24),
    scrape=st.sampled_from(["1s", "15s", "60s", "5m"]),
    evaluation=st.sampled_from(["1s", "15s", "60s", "5m"]),
)
def test_what_a_problem_expects_is_accepted(
    every: int, objective: str, window: int, scrape: str, evaluation: str
) -> None:
    given_ = {
        "every": f"{every}s",
        "objective": objective,
        "window": f"{window}h",
        "scrape": scrape,
        "evaluation": evaluation,
    }
    for message in problems(**given_):
        kind = re.split(" (?:makes events too rarely|never pages|has the same effect)", message)
        assert len(kind) == 2, message
        for key, pattern in (
            ("every", r"at least every ([0-9dhms]+)"),
            ("window", r"a window of at least ([0-9dhms]+)"),
            ("objective", r"expected at (?:least|most) ([0-9.]+%)"),
        ):
            for better in re.findall(pattern, message):
                if key == "every" and (better.endswith("ms") or re.fullmatch(r"[0-4]s", better)):
                    continue  # a run of this probe takes longer than that
                same = [each for each in problems(**given_ | {key: better}) if _of(each) == _of(message)]
                assert not same, f"{message}\n{key} {better}: {same}"


def _of(message: str) -> str:
    """The kind of problem."""
    return re.sub(r"\S*\d\S*|'.*?'", "", message)[:40]


def test_an_objective_of_100_percent_needs_no_number_of_events() -> None:
    assert not problems(every="6h", objective="100%")
    assert len(problems(every="6h", objective="99.9%")) == 2


def test_a_problem_elsewhere_in_the_probe_hides_its_frequency() -> None:
    """How often it runs is not known."""
    (problem,) = problems(every="6 hours")
    assert problem.startswith("'6 hours' is not a duration")


def test_a_trend_of_too_few_round_trips_is_a_problem() -> None:
    """The P99 of an hour with fewer than a hundred of them never alerts."""
    text = """
relays: [{{name: demo, url: embedded}}]
probes: [{{name: slow, scenario: realistic-session, schedule: {{every: {every}}}, messages: 3}}]
slos: [{{name: trend, probe: slow, sli: trend}}]
"""
    parse(text.format(every="90s"), "config.yaml", {})
    with pytest.raises(ConfigError) as raised:
        parse(text.format(every="5m"), "config.yaml", {})
    (problem,) = raised.value.problems
    assert problem.key == "slos[0].probe"
    assert "makes 36 round trips an hour, and a trend needs more than 100" in problem.message
