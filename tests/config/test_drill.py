"""What drills need to know of the configuration."""

from __future__ import annotations

import pytest

from monitor.config import drill_timeout, drill_webhook, parse

RELAYS = """
relays: [{name: demo, url: embedded}]
probes: [{name: steady, scenario: steady-messaging}]
"""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 180),
        ("drill: {timeout: 90s}", 90),
        ("prometheus: {scrape_interval: 5m, evaluation_interval: 1m}", 750),
        ("prometheus: {scrape_interval: 5m, evaluation_interval: 1m}\ndrill: {timeout: 8m}", 480),
    ],
)
def test_a_drill_lasts_for_two_of_each_interval_at_least(text: str, seconds: float) -> None:
    assert drill_timeout(parse(RELAYS + text, "config.yaml", {})) == seconds


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("", "http://127.0.0.1:9464/-/drill"),
        ("alerts: {external_url: 'https://{location}-{shard}.example.com/m/'}", "https://eu-1.example.com/m/-/drill"),
        (
            "alerts: {external_url: 'https://mon.example.com'}\ndrill: {webhook_url: 'http://{location}:9464'}",
            "http://eu:9464/-/drill",
        ),
    ],
)
def test_alertmanager_reaches_each_monitor_at_its_own_address(text: str, url: str) -> None:
    assert drill_webhook(parse(RELAYS + text, "config.yaml", {}), "eu", 1) == url
