from __future__ import annotations

from typing import Any

import pytest

from monitor.config import Config, Cron, Every, HistoryConfig, ProbeConfig, RelayConfig
from monitor.config.capacity import RelayFootprint, footprint, footprint_of
from monitor.scenarios import Scenario

HOURLY = Every(every=3600.0)
MINUTELY = Every(every=60.0)


def of(scenario: Scenario, **fields: Any) -> RelayFootprint:
    relay = RelayConfig(name="demo", url="embedded", history=HistoryConfig(ttl=300.0))
    return footprint_of(relay, [ProbeConfig(name="p", scenario=scenario, **fields)])


def test_continuous_pairs_cost_their_messages_and_their_renewals() -> None:
    # A cycle is 10.5 s; each pair is renewed every 15 minutes: two connects, one offer, two channels.
    found = of(Scenario.STEADY_MESSAGING, pairs=3)
    assert found.connections == 6
    assert found.connects == found.peak_connects == pytest.approx(2 * 3 / 15)
    assert found.messages == found.peak_messages == pytest.approx(3 * 2 * 60 / 10.5 + 3 / 15)
    assert found.channels == pytest.approx(3 * 4 * 2)
    # Their own session channels, and what five minutes of renewals leave behind: two thirds of 6/3 channels.
    assert found.history_keys == 3 + 2


def test_idle_connections_cost_no_connects_or_messages() -> None:
    found = of(Scenario.STEADY_STATE, connections=7)
    assert (found.connections, found.connects, found.messages, found.channels, found.history_keys) == (7, 0, 0, 0, 0)


def test_a_reused_session_costs_three_connects_a_run_and_a_pairing_an_hour() -> None:
    found = of(Scenario.ASYNC_DELIVERY, schedule=MINUTELY, messages=4)
    assert found.connects == found.peak_connects == pytest.approx(3)
    assert found.messages == pytest.approx(4 + 1 / 60)
    assert found.channels == pytest.approx(2)
    assert found.history_keys == 2


def test_a_new_pairing_costs_two_channels_a_run() -> None:
    found = of(Scenario.ASYNC_DELIVERY, schedule=MINUTELY, pairing="fresh")
    assert found.connects == pytest.approx(3)
    assert found.messages == pytest.approx(2)
    assert found.channels == pytest.approx(120)
    assert found.history_keys == 10


def test_a_run_less_often_than_hourly_pairs_each_time() -> None:
    found = of(Scenario.ASYNC_DELIVERY, schedule=Every(every=7200.0))
    assert found.channels == pytest.approx(1)


def test_a_realistic_session_costs_two_connects_and_its_messages() -> None:
    found = of(Scenario.REALISTIC_SESSION, schedule=Every(every=300.0), messages=3)
    assert found.connects == pytest.approx(2 / 5)
    assert found.messages == pytest.approx(7 / 5)
    assert (found.peak_connects, found.peak_messages) == (2, 7)
    assert found.channels == pytest.approx(24)


def test_all_connects_of_a_storm_count_even_if_its_ramp_takes_longer_than_a_minute() -> None:
    found = of(Scenario.CONNECTION_STORM, schedule=HOURLY, connections=120, ramp_up=600.0)
    assert found.connects == pytest.approx(2)
    assert found.peak_connects == pytest.approx(120)


def test_several_runs_a_minute_add_up() -> None:
    assert of(Scenario.CONNECTION_STORM, schedule=Every(every=20.0), ramp_up=5.0).peak_connects == pytest.approx(6)


def test_a_bounded_steady_run_costs_its_pairing_and_its_exchanges() -> None:
    found = of(Scenario.STEADY_MESSAGING, schedule=HOURLY, pairs=1, duration=600.0)
    # 57 exchanges fit into ten minutes.
    assert found.messages == pytest.approx((1 + 2 * 57) / 60)
    assert found.peak_messages == pytest.approx(1 + 2 * 57)


def test_a_cron_line_counts_by_its_shortest_gap() -> None:
    found = of(Scenario.REALISTIC_SESSION, schedule=Cron(cron="0,10 * * * *"))
    assert found.connects == pytest.approx(2 / 10)


def test_the_footprint_on_a_relay_is_that_of_its_probes() -> None:
    config = Config(
        relays=(RelayConfig(name="a", url="embedded"), RelayConfig(name="b", url="embedded")),
        probes=(
            ProbeConfig(name="all", scenario=Scenario.STEADY_STATE, connections=1),
            ProbeConfig(name="one", scenario=Scenario.STEADY_STATE, connections=5, relays=("b",)),
        ),
    ).resolved()
    assert [(each.relay, each.connections) for each in footprint(config)] == [("a", 1), ("b", 6)]
