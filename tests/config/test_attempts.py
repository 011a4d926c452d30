"""How often attempts fit into the limits, and what `check` says of it."""

from __future__ import annotations

import pytest

from monitor.config import parse
from monitor.config.attempts import AttemptCost, attempt_costs

CONFIG = """
relays: [{name: demo, url: embedded, limits: {connects_per_minute: 60, messages_per_minute: 600}}]
probes: [{name: steady, scenario: steady-messaging}]
"""


def cost(text: str = CONFIG) -> AttemptCost:
    (found,) = attempt_costs(parse(text, "config.yaml", {}))
    return found


def limited(connects: int, messages: int = 600) -> str:
    return CONFIG.replace("minute: 60,", f"minute: {connects},").replace("minute: 600", f"minute: {messages}")


def test_an_attempt_costs_two_connects_two_messages_and_two_channels() -> None:
    found = cost()
    assert (found.every, found.connects, found.messages, found.channels) == (30.0, 4.0, 4.0, 4.0)
    assert found.history_keys == 20


def test_a_longer_interval_costs_less_and_pages_later() -> None:
    every = cost(CONFIG.replace("url: embedded", "url: embedded, confirm: {every: 2m}"))
    assert every.connects == 1.0
    assert every.refused - cost().refused == 90.0
    assert every.killed == cost().killed


@pytest.mark.parametrize(("connects", "messages", "every"), [(6, 600, 30.0), (4, 600, 43.9), (60, 26, 39.9)])
def test_the_interval_is_stretched_to_fit_the_limits(connects: int, messages: int, every: float) -> None:
    """4 connects a minute less one for confirmations and 0.27 for renewals leave 2.73 for two at a time."""
    assert cost(limited(connects, messages)).every == pytest.approx(every, abs=0.1)


@pytest.mark.parametrize(("endpoints", "attempts"), [(8, 8), (12, 12), (40, 16)])
def test_a_round_covers_each_endpoint_up_to_sixteen(endpoints: int, attempts: int) -> None:
    urls = ", ".join(f"'ws://n{number}.example.com/x'" for number in range(endpoints))
    many = CONFIG.replace("url: embedded", f"url: 'ws://n.example.com/x', endpoints: [{urls}]")
    assert cost(many).killed == pytest.approx(cost().killed + (attempts - 3) * 2.0)


def test_attempts_have_the_timeout_of_the_first_probe() -> None:
    """That of the shortest was taken, and the time to a page was too short."""
    more = CONFIG.replace(
        "steady-messaging}]", "steady-messaging}, {name: quick, scenario: steady-messaging, timeout: 1s}]"
    )
    assert cost(more).killed == cost().killed


def test_a_round_of_one_attempt_an_endpoint_has_the_usual_pauses() -> None:
    urls = "['ws://n1.example.com/x', 'ws://n2.example.com/x']"
    keys = f"url: 'ws://n.example.com/x', endpoints: {urls}, confirm: {{attempts: 1, within: 5s}}"
    assert cost(CONFIG.replace("url: embedded", keys)).killed == 2.0 + 5.0 + 30.0 + 15.0 + 15.0 + 5.0
