"""The part of a configuration that one shard runs."""

from __future__ import annotations

import pytest

from monitor.config import parse, shard_of
from monitor.config.sharding import relays_of_shards, shard_number
from monitor.daemon.app import Monitor
from tests.daemon.harness import page, shown

CONFIG = """
relays: [{name: a, url: embedded}, {name: b, url: embedded}, {name: c, url: embedded}]
probes:
  - {name: all, scenario: steady-state}
  - {name: one, scenario: steady-state, relays: b}
slos:
  - {name: stability, probe: [all, one], sli: stability, objective: 99%}
  - {name: mine, probe: one, sli: stability, objective: 99%}
"""
THOUSAND = [f"relay-{number}" for number in range(1000)]


class TestShards:
    def shard(self, index: int, count: int) -> tuple[list[str], dict[str, tuple[str, ...]], list[str]]:
        part = shard_of(parse(CONFIG, "monitor.yaml", {}), index, count)
        return (
            [relay.name for relay in part.relays],
            {probe.name: probe.relays for probe in part.probes},
            [slo.name for slo in part.slos],
        )

    def test_a_shard_has_its_relays_and_their_probes_and_slos(self) -> None:
        assert [shard_number(name, 2) for name in "abc"] == [0, 1, 0]
        assert self.shard(0, 2) == (["a", "c"], {"all": ("a", "c")}, ["stability"])
        assert self.shard(1, 2) == (["b"], {"all": ("b",), "one": ("b",)}, ["stability", "mine"])

    def test_a_single_shard_has_everything(self) -> None:
        assert self.shard(0, 1)[0] == ["a", "b", "c"]

    @pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
    def test_each_relay_is_in_one_shard(self, count: int) -> None:
        relays = [name for index in range(count) for name in self.shard(index, count)[0]]
        assert sorted(relays) == ["a", "b", "c"]

    def test_a_fifth_shard_takes_its_share_and_moves_nothing_else(self) -> None:
        four, five = ({name: shard_number(name, count) for name in THOUSAND} for count in (4, 5))
        moved = [name for name in THOUSAND if four[name] != five[name]]
        assert 150 < len(moved) <= 250
        assert {five[name] for name in moved} == {4}
        for number in range(5):
            assert 150 < list(five.values()).count(number) < 250

    def test_a_relay_that_is_inserted_moves_no_other(self) -> None:
        """By position, one at the top moved all."""
        before = parse(CONFIG, "monitor.yaml", {})
        after = parse(CONFIG.replace("relays: [", "relays: [{name: z, url: embedded}, "), "monitor.yaml", {})
        for index in range(3):
            kept = {relay.name for relay in shard_of(after, index, 3).relays} - {"z"}
            assert kept == {relay.name for relay in shard_of(before, index, 3).relays}

    def test_a_relay_that_is_removed_or_renamed_moves_no_other(self) -> None:
        fewer = [name for name in THOUSAND if name != "relay-500"]
        assert {name: shard_number(name, 7) for name in fewer}.items() <= {
            name: shard_number(name, 7) for name in THOUSAND
        }.items()

    def test_every_relay_is_listed_with_its_shard(self) -> None:
        config = parse(f"shards: 3{CONFIG}", "monitor.yaml", {})
        assert sorted(name for names in relays_of_shards(config) for name in names) == ["a", "b", "c"]
        assert len(relays_of_shards(config)) == 3

    async def test_a_shard_exports_its_number(self) -> None:
        monitor = Monitor(shard_of(parse(CONFIG, "monitor.yaml", {}), 0, 2), shard=(0, 2))
        assert shown(monitor, "relay_monitor_shard_info", shard="0/2") == 1
        assert not [key for key in page(monitor) if ("relay", "b") in key[1]]

    async def test_a_shard_without_relays_runs_and_says_that_it_is_there(self) -> None:
        """One that exits would be started again for ever, and reported as absent."""
        monitor = Monitor(shard_of(parse(CONFIG, "monitor.yaml", {}), 3, 50), shard=(3, 50))
        await monitor.start()
        try:
            assert shown(monitor, "relay_monitor_shard_info", shard="3/50") == 1
            assert shown(monitor, "relay_monitor_healthy") == 1
            assert monitor.ready() is None
        finally:
            await monitor.stop()
