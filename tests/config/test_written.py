"""The content of a configuration as JSON types is the same configuration."""

from __future__ import annotations

import json

import pytest
import yaml

from monitor.config import parse, text_of
from monitor.config.written import written
from monitor.errors import ConfigError
from tests.relays import ROOT

NASTY = """\
location: "010"
locations: ["010", 1.10, no, "0x1f"]
shards: 0o3
relays:
  - &first
    name: no
    url: wss://${HOST:-a.example}/$$
    labels: {pairs: 010, on: 1e3, at: 12:30:00}
    history: {size: "20", ttl: 5m}
    owner: null
    group: ~
  - {name: 1.10, url: wss://b.example/ws, limits: {connects_per_minute: 0600, messages_per_minute: 6000}}
probes:
  - {name: on, scenario: steady-messaging, pairs: "2"}
slos:
  - {name: y, probe: on, sli: trend, factor: 1.50}
  - {name: fast, probe: on, sli: latency, threshold: 1s, objective: 99%, overrides: {no: {threshold: 2s}}}
"""


def as_json(text: str) -> str:
    """What Helm makes of it: YAML → JSON → YAML."""
    return json.dumps(written(text, "config.yaml"))


@pytest.mark.parametrize("text", [text_of(ROOT / "config.yaml"), NASTY.replace("0o3", "2")])
def test_it_loads_as_the_same_configuration(text: str) -> None:
    assert parse(as_json(text), "config.yaml", {}) == parse(text, "config.yaml", {})


def test_numbers_are_numbers_and_everything_else_is_text() -> None:
    found = written(NASTY, "config.yaml")
    first, second = found["relays"]
    assert found["locations"] == ["010", "1.10", "no", "0x1f"]
    assert found["shards"] == "0o3"
    assert first == {
        "name": "no",
        "url": "wss://${HOST:-a.example}/$$",
        "labels": {"pairs": "010", "on": "1e3", "at": "12:30:00"},
        "history": {"size": 20, "ttl": "5m"},
    }
    assert second["limits"] == {"connects_per_minute": 600, "messages_per_minute": 6000}
    assert found["probes"][0]["pairs"] == 2
    assert found["slos"][0]["factor"] == 1.5
    assert found["slos"][1]["overrides"] == {"no": {"threshold": "2s"}}


def test_yaml_of_it_reads_the_same_elsewhere() -> None:
    """Go's YAML has booleans like `no` and numbers like `010`, as PyYAML's has."""
    found = written(NASTY, "config.yaml")
    assert yaml.safe_load(yaml.safe_dump(found)) == found


def test_what_is_no_yaml_is_an_error_with_its_line() -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml:2: is not YAML"):
        written("relays:\n\t- a", "config.yaml")
