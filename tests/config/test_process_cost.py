"""What a configuration costs its process."""

from __future__ import annotations

import pytest

from monitor.config import Config, parse, process_cost
from monitor.config.process_cost import MAX_CPU, MAX_SHARDS, ProcessCosts
from tests.relays import ROOT

SERIES = 500


def shipped(relays: int, more: str = "", shards: int = 1) -> Config:
    """Return the shipped configuration with so many relays."""
    text = (ROOT / "config.yaml").read_text("utf-8").replace("\nshards: 1 ", f"\nshards: {shards} ")
    before, _, after = text.partition("\nrelays:\n")
    probes = after.partition("\nprobes:\n")[2]
    added = "".join(f"  - {{name: relay-{number}, url: 'ws://relay/x'{more}}}\n" for number in range(relays))
    return parse(f"{before}\nrelays:\n{added}\nprobes:\n{probes}", "config.yaml", {})


def costs(config: Config) -> ProcessCosts:
    return ProcessCosts(config, {relay.name: SERIES for relay in config.relays}, 40)


def test_a_process_holds_the_connections_of_its_relays_and_those_of_running_probes() -> None:
    """Six persistent connections a relay; a run of each of both bounded probes and each attempt of a round take two."""
    cost = costs(shipped(10)).largest
    assert (cost.relays, cost.connections) == (10, 60)
    assert cost.descriptors == process_cost.DESCRIPTORS + 10 * (6 + 2 + 2 + 3 * 2)


def test_each_relay_costs_the_same() -> None:
    one, two, many = (costs(shipped(number)).largest for number in (1, 2, 200))
    assert many.cpu - one.cpu == pytest.approx(199 * (two.cpu - one.cpu))
    assert many.memory - one.memory == pytest.approx(199 * (two.memory - one.memory))


def test_attempts_are_part_of_the_cost() -> None:
    """Every five seconds, instead of every 30, they make 20 more connects and messages a minute."""
    usual, frequent = (costs(shipped(1, more)).largest for more in ("", ", confirm: {every: 5s}"))
    more = 20 / 60 * (process_cost.CPU_OF_CONNECT + process_cost.CPU_OF_MESSAGE)
    assert frequent.cpu - usual.cpu == pytest.approx(more)


def test_shards_divide_the_cost_of_the_relays() -> None:
    found = costs(shipped(100))
    (undivided,), parts = found.divided(1), found.divided(4)
    assert sum(part.relays for part in parts) == 100
    assert sum(part.connections for part in parts) == undivided.connections
    assert sum(part.cpu for part in parts) > undivided.cpu > max(part.cpu for part in parts)


def test_the_largest_has_the_most_of_each() -> None:
    found = costs(shipped(3, shards=2))
    parts = found.divided(2)
    assert len({part.descriptors for part in parts}) == 2
    assert found.largest.descriptors == max(part.descriptors for part in parts)
    assert found.largest.cpu == max(part.cpu for part in parts)


def test_the_shards_that_are_needed_bring_each_process_below_the_limits() -> None:
    found = costs(shipped(1000))
    needed = found.shards_needed(descriptors=None, memory=None)
    assert needed is not None
    enough, fewer = (max(cost.cpu for cost in found.divided(count)) for count in (needed, needed - 1))
    assert enough <= MAX_CPU < fewer
    more = found.shards_needed(descriptors=1024, memory=None)
    assert more is not None
    assert max(cost.descriptors for cost in found.divided(more)) <= 1024


def test_no_number_of_shards_helps_if_one_relay_is_too_much() -> None:
    assert costs(shipped(2)).shards_needed(descriptors=None, memory=1_000_000) is None


def test_more_shards_may_be_needed_than_there_can_be() -> None:
    """Memory is enough for one relay and not for two: a hundred processes are too few for 200 relays."""
    found = costs(shipped(200))
    one, two = (costs(shipped(number)).largest.memory for number in (1, 2))
    assert found.shards_needed(descriptors=None, memory=round((one + two) / 2)) == MAX_SHARDS + 1
