"""The starter configuration."""

from __future__ import annotations

import pytest

from monitor.config import parse
from monitor.config.starter import TRIAL_PROBE, Starter, relay_name, relay_url, starter_text


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("embedded", "embedded"),
        ("relay.example.com", "wss://relay.example.com/connection/websocket"),
        ("relay.example.com:8443/", "wss://relay.example.com:8443/connection/websocket"),
        ("https://relay.example.com", "wss://relay.example.com/connection/websocket"),
        ("http://127.0.0.1:8000/ws", "ws://127.0.0.1:8000/ws"),
        (" ws://[::1]:8000?a=b ", "ws://[::1]:8000/connection/websocket?a=b"),
        ("ftp://relay.example.com", "ftp://relay.example.com/connection/websocket"),
    ],
)
def test_a_host_or_a_page_means_the_relay_behind_it(text: str, url: str) -> None:
    assert relay_url(text) == url


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("embedded", "relay"),
        ("wss://eu-1.relay.example.com/ws", "eu-1"),
        ("ws://127.0.0.1:8000/ws", "relay"),
        ("ws://[::1]:8000/ws", "relay"),
        ("ws://localhost/ws", "relay"),
        ("wss://münchen.example.com/ws", "relay"),
    ],
)
def test_the_name_is_the_first_label_of_the_host(url: str, name: str) -> None:
    assert relay_name(url) == name


def test_the_shortest_one_is_valid_and_has_the_usual_probes_and_objectives() -> None:
    config = parse(starter_text(Starter(url="wss://relay.example.com/ws", name="relay")), "config.yaml", {})
    assert [probe.name for probe in config.probes] == ["steady", "idle", "offline-30s", "session"]
    assert [slo.name for slo in config.slos] == ["round-trip", "delivery", "stability", "recovery", "pairing", "trend"]
    assert TRIAL_PROBE in {probe.name for probe in config.probes}
    assert config.locations == (config.location,)


def test_each_value_arrives_as_it_was_given() -> None:
    starter = Starter(
        url="wss://relay.example.com/${ws}?q=\"'", name="eu.1", location="eu-west", origin="https://wallet.example.com"
    )
    config = parse(starter_text(starter), "config.yaml", {})
    (relay,) = config.relays
    assert (relay.url, relay.name, relay.origin) == (starter.url, "eu.1", starter.origin)
    assert config.location == "eu-west"
