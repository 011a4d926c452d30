"""The models as Python code uses them."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from monitor.config import (
    AlertsConfig,
    Config,
    Continuous,
    Cron,
    Every,
    OverrideConfig,
    ProbeConfig,
    RelayConfig,
    ServerConfig,
    SloConfig,
)
from monitor.scenarios import Scenario
from monitor.vocabulary import Sli


def probe(**changes: Any) -> ProbeConfig:
    return ProbeConfig(**({"name": "p", "scenario": Scenario.STEADY_MESSAGING} | changes))


def test_values_are_frozen_down_to_their_mappings() -> None:
    relay = RelayConfig(name="demo", url="embedded", labels={"team": "wallets"})
    with pytest.raises(ValidationError):
        relay.name = "other"  # type: ignore[misc] # that is what this shows
    with pytest.raises(TypeError):
        relay.labels["team"] = "other"  # type: ignore[index] # likewise


def test_a_config_can_be_copied_and_compared() -> None:
    config = Config(relays=(RelayConfig(name="demo", url="embedded"),), probes=(probe(),))
    assert copy.copy(config) == config
    assert config.model_copy(update={"location": "there"}) != config


def test_python_code_passes_seconds_where_yaml_has_text() -> None:
    assert Every(every=0.1).every == 0.1
    assert probe(timeout=5).timeout == 5.0
    with pytest.raises(ValidationError, match="is out of bounds; expected 100ms to 1m"):
        probe(timeout=61.0)


def test_an_override_holds_for_its_relay_only() -> None:
    slo = SloConfig(
        name="a",
        probe=("p",),
        sli=Sli.LATENCY,
        threshold=0.4,
        objective=Decimal("0.99"),
        overrides={"far": OverrideConfig(threshold=0.8)},
    )
    assert (slo.threshold_for("far"), slo.objective_for("far")) == (0.8, Decimal("0.99"))
    assert (slo.threshold_for("near"), slo.objective_for("near")) == (0.4, Decimal("0.99"))


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [("127.0.0.1:9464", "127.0.0.1", 9464), ("[::1]:0", "::1", 0), ("localhost:80", "localhost", 80)],
)
def test_a_listen_address_has_a_host_and_a_port(listen: str, host: str, port: int) -> None:
    server = ServerConfig(listen=listen)
    assert (server.host, server.port) == (host, port)


@pytest.mark.parametrize("listen", ["", ":9464", "9464", "::1:9464", "[::1]", "a b:1", "host:65536", "host:-1", "h:٣"])
def test_an_invalid_address_is_refused(listen: str) -> None:
    with pytest.raises(ValidationError):
        ServerConfig(listen=listen)


def test_the_period_is_the_shortest_time_between_two_runs() -> None:
    assert probe().period is None
    assert probe(schedule=Every(every=30.0)).period == 30.0
    assert probe(schedule=Cron(cron="0,10 * * * *")).period == 600.0
    assert probe(schedule=Cron(cron="0 3 29 2 *")).period == pytest.approx(4 * 365.25 * 86400)


def test_the_longest_gap_is_the_period_or_that_of_the_cron_line() -> None:
    assert probe(schedule=Every(every=300.0)).longest_gap == 300.0
    assert probe(schedule=Cron(cron="0 */6 * * *")).longest_gap == 6 * 3600


@pytest.mark.parametrize(
    ("changes", "exchanges", "deadline"),
    [
        ({"schedule": Continuous()}, 1, 5 + 10.5 + 15.5),
        ({"schedule": Every(every=300.0)}, 5, 5 + 10.5 + 5 * 15.5),
        ({"scenario": Scenario.REALISTIC_SESSION, "wallet_delay": 2.0}, 3, 2 + 5 + 3 * (0.5 + 1 + 5)),
        ({"scenario": Scenario.ASYNC_DELIVERY}, 1, 5 + 30 + 2 * 5),
        ({"scenario": Scenario.CONNECTION_STORM, "connections": 9}, 9, 10 + 5),
        ({"scenario": Scenario.STEADY_STATE, "schedule": Every(every=300.0)}, 2, 10 + 5 + 60),
    ],
)
def test_a_deadline_is_the_sum_of_waits_and_timeouts(changes: dict[str, Any], exchanges: int, deadline: float) -> None:
    assert probe(**changes).exchanges == exchanges
    assert probe(**changes).deadline == deadline


@pytest.mark.parametrize(
    "url",
    ["https://monitor.example.com", "https://{location}.example.com/monitor", "http://monitor-{shard}.{location}:9464"],
)
def test_the_external_url_may_name_location_and_shard(url: str) -> None:
    assert AlertsConfig(external_url=url).external_url == url
