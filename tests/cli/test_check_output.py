"""The tables of `check`."""

from __future__ import annotations

import math

import pytest

from monitor.cli.check_output import lines
from monitor.config import Config, load, parse
from monitor.config.attempts import attempt_costs
from monitor.metrics.footprint import series_cost
from tests.relays import ROOT

SHIPPED = load(ROOT / "config.yaml", {})
ONE = """
relays: [{name: demo, url: embedded, limits: {connects_per_minute: CONNECTS, messages_per_minute: MESSAGES}}]
probes: [{name: steady, scenario: steady-messaging}]
"""


def one(connects: int = 60, messages: int = 600) -> Config:
    text = ONE.replace("CONNECTS", str(connects)).replace("MESSAGES", str(messages))
    return parse(text, "config.yaml", {})


def row(config: Config, name: str, number: int = 0) -> list[str]:
    """The words of the row that begins with `name`, of the table with this number."""
    return [line for line in lines(config) if line.startswith(f"{name} ")][number].split()[1:]


def test_the_load_of_probes_and_attempts_is_one_figure() -> None:
    """Probes make 3.7 connects a minute (at most 5.3) and 25.4 messages (32); attempts 4 and 4."""
    assert " ".join(row(SHIPPED, "demo")) == "6 7.7 (9.3, 60) 29.4 (36, 600) 282 27"
    assert row(SHIPPED, "demo", 1) == ["30s", "1m14s", "1m44s"]


def test_attempts_that_are_stretched_to_fit_the_limits_are_explained() -> None:
    assert " ".join(row(one(connects=4), "demo", 1)) == "44s (30s exceeds its limits) 1m14s 1m58s"


def test_limits_without_room_for_attempts_are_a_warning() -> None:
    text = """
relays: [{name: demo, url: embedded, limits: {connects_per_minute: 3}}]
probes: [{name: offline, scenario: async-delivery, schedule: {every: 1m}, pairing: fresh}]
"""
    config = parse(text, "config.yaml", {})
    (cost,) = attempt_costs(config)
    assert math.isinf(cost.every)
    assert row(config, "demo", 1)[-1] == "never"
    assert any(line.startswith("Warning: demo: its limits leave no room for attempts") for line in lines(config))


def test_a_start_that_takes_minutes_because_of_the_limits_is_mentioned() -> None:
    text = """
relays: [{name: demo, url: embedded, limits: {connects_per_minute: 60}}]
probes: [{name: idle, scenario: steady-state, schedule: continuous, connections: CONNECTIONS}]
"""
    usual, many = (list(lines(parse(text.replace("CONNECTIONS", each), "test", {}))) for each in ("50", "110"))
    said = "demo: with its limits it takes 3 minutes after a start to open all connections."
    assert (said in usual, said in many) == (False, True)


def test_several_locations_and_shards_are_mentioned() -> None:
    config = SHIPPED.model_copy(update={"locations": ("local", "far"), "shards": 2})
    shown = list(lines(config))
    assert "Load on each relay from each of 2 locations while nothing fails, attempts included:" in shown
    cost = series_cost(config)
    assert " ".join(row(config, "all")[:5]) == f"4 processes, without rules {cost.of_all}"
    assert sorted(line.split()[1] for line in shown if line.startswith(("0/2", "1/2"))) == ["demo", "no"]


def test_every_line_fits_a_terminal_of_80_columns() -> None:
    assert max(map(len, lines(SHIPPED, width=80))) <= 80


@pytest.mark.parametrize(
    ("url", "secret", "warned"),
    [
        ("ws://relay.example.com/ws", "token: abc", True),
        ("ws://relay.example.com/ws", "headers: {wallet: {X-Api-Key: abc}}", True),
        ("ws://relay.example.com/ws", "origin: https://wallet.example.com", False),
        ("wss://relay.example.com/ws", "token: abc", False),
        ("ws://127.0.0.1/ws", "token: abc", False),
        ("ws://[::1]/ws", "token: abc", False),
        ("ws://localhost/ws", "token: abc", False),
    ],
)
def test_a_secret_that_leaves_the_host_unencrypted_is_a_warning(url: str, secret: str, warned: bool) -> None:
    text = f"""
relays: [{{name: demo, url: "{url}", {secret}}}]
probes: [{{name: steady, scenario: steady-messaging}}]
"""
    said = "Warning: demo: ws:// sends its token and headers unencrypted; use wss://."
    assert (said in lines(parse(text, "config.yaml", {}))) is warned
