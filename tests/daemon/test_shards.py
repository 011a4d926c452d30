"""The part of a configuration that one shard runs."""

from __future__ import annotations

import pytest

from monitor.config import parse
from monitor.daemon.app import Monitor, shard_of
from monitor.errors import ConfigError
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


class TestShards:
    def shard(self, index: int, count: int) -> tuple[list[str], dict[str, tuple[str, ...]], list[str]]:
        part = shard_of(parse(CONFIG, "monitor.yaml", {}), index, count)
        return (
            [relay.name for relay in part.relays],
            {probe.name: probe.relays for probe in part.probes},
            [slo.name for slo in part.slos],
        )

    def test_a_shard_has_its_relays_and_their_probes_and_slos(self) -> None:
        assert self.shard(0, 2) == (["a", "c"], {"all": ("a", "c")}, ["stability"])
        assert self.shard(1, 2) == (["b"], {"all": ("b",), "one": ("b",)}, ["stability", "mine"])

    def test_a_single_shard_has_everything(self) -> None:
        assert self.shard(0, 1)[0] == ["a", "b", "c"]

    def test_each_relay_is_in_one_shard(self) -> None:
        for count in (1, 2, 3):
            relays = [name for index in range(count) for name in self.shard(index, count)[0]]
            assert sorted(relays) == ["a", "b", "c"]

    def test_a_shard_without_a_relay_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="shard 3/4: relays: there are only 3, none for this shard"):
            self.shard(3, 4)

    async def test_a_shard_exports_its_number(self) -> None:
        monitor = Monitor(shard_of(parse(CONFIG, "monitor.yaml", {}), 0, 2), shard=(0, 2))
        assert shown(monitor, "relay_monitor_shard_info", shard="0/2") == 1
        assert not [key for key in page(monitor) if ("relay", "b") in key[1]]
