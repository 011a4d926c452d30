"""The tables of `check`."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from monitor.cli import check_output
from monitor.cli.check_output import lines
from monitor.config import Config, load, parse
from monitor.config.attempts import attempt_costs
from monitor.config.process_cost import DESCRIPTORS, ProcessCosts
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


def costs(config: Config) -> ProcessCosts:
    series = series_cost(config)
    return ProcessCosts(config, series.of_relays, series.own)


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


def test_the_cost_of_the_process_is_a_table() -> None:
    """Six connections; two more for each of both bounded probes, and for each attempt of a round."""
    cells = row(SHIPPED, "this", 0)
    assert cells[:2] == ["one", "1"]
    assert cells[-2:] == ["6", str(DESCRIPTORS + 16)]
    shown = list(lines(SHIPPED.model_copy(update={"shards": 3})))
    assert any(line.startswith("the largest of 3 ") for line in shown)


@pytest.mark.parametrize(
    ("cpu", "shown"), [(0.0042, "0.4 %"), (0.047, "4.7 %"), (0.31, "31 %"), (0.996, "100 %"), (1.234, "123 %")]
)
def test_the_share_of_a_core_has_no_exponent(monkeypatch: pytest.MonkeyPatch, cpu: float, shown: str) -> None:
    monkeypatch.setattr(ProcessCosts, "largest", replace(costs(SHIPPED).largest, cpu=cpu))
    assert f" about {shown} about " in " ".join(row(SHIPPED, "this"))


def many(relays: int) -> Config:
    names = ", ".join(
        f"{{name: relay-{number}, url: 'ws://relay/x', confirm: {{every: 5s}}}}" for number in range(relays)
    )
    return parse(f"relays: [{names}]\nprobes: [{{name: steady, scenario: steady-messaging}}]", "config.yaml", {})


def test_a_process_that_needs_more_than_the_limits_is_a_warning_with_the_shards_to_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = many(500)
    monkeypatch.setattr(check_output, "descriptor_limit", lambda: None)
    monkeypatch.setattr(check_output, "memory_limit", lambda: None)
    (warning,) = [line for line in lines(config) if line.startswith("Warning: this process")]
    assert re.fullmatch(
        r"Warning: this process takes about \d+% of a core; above \d+% it delays the messages that it measures: "
        r"divide the relays among (\d) processes \(shards: \1, run --shard I/\1\)\.",
        warning,
    )
    monkeypatch.setattr(check_output, "descriptor_limit", lambda: 1024)
    monkeypatch.setattr(check_output, "memory_limit", lambda: 200_000_000)
    (warning,) = [line for line in lines(config) if line.startswith("Warning: this process")]
    assert "; it may need 5064 descriptors, and the hard limit here is 1024 (ulimit -Hn)" in warning
    assert "; it needs about" in warning
    assert "the limit of memory here is 200 MB: divide the relays among " in warning
    assert not [line for line in lines(many(3)) if line.startswith("Warning")]


def test_no_number_of_shards_is_advised_where_none_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    """One relay is too much, or more processes are needed than there can be."""
    monkeypatch.setattr(check_output, "descriptor_limit", lambda: None)
    one, two = (many(number) for number in (1, 2))
    monkeypatch.setattr(check_output, "memory_limit", lambda: 1_000_000)
    (warning,) = [line for line in lines(two) if line.startswith("Warning: this process")]
    assert warning.endswith(": a process with one relay exceeds it, so more shards do not help.")
    needs = [costs(config).largest.memory for config in (one, two)]
    monkeypatch.setattr(check_output, "memory_limit", lambda: round(sum(needs) / 2))
    (warning,) = [line for line in lines(many(300)) if line.startswith("Warning: this process")]
    assert warning.endswith(": make fewer runs, or raise the limit: more than 100 processes would be needed.")


def test_many_relays_that_differ_in_nothing_are_one_row() -> None:
    """A table of 500 equal rows hides the one that differs."""
    text = """
relays:
  - {name: slow, url: 'ws://relay/x', limits: {connects_per_minute: 4}}
RELAYS
probes: [{name: steady, scenario: steady-messaging}]
"""
    expected = {
        (1, 5): ["slow", "relay-0", "relay-4"],
        (1, 30): ["slow", "relay-0 and 29 others"],
        (2, 30): ["slow and 1 other", "relay-0 and 29 others"],
    }
    for (slow, number), names in expected.items():
        added = "\n".join(f"  - {{name: relay-{each}, url: 'ws://relay/x'}}" for each in range(number))
        if slow > 1:
            added += "\n  - {name: slower, url: 'ws://relay/x', limits: {connects_per_minute: 4}}"
        shown = list(lines(parse(text.replace("RELAYS", added), "config.yaml", {})))
        for name in names:
            assert sum(line.startswith(f"{name}  ") for line in shown) == 2
    assert not any(line.startswith("relay-4 ") for line in shown)


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
