"""The series of a relay: condition, verdicts, cause, maintenance, credentials."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from monitor.metrics import Metrics
from monitor.metrics.exporter import SLICE
from monitor.results import Cause, CertificateSeen
from monitor.vocabulary import Condition, Reason, Step
from tests.metrics.sample import RUN_ID, config, exchange, exporter, of_relay, run, series, status, value
from tests.metrics.test_footprint import shipped

if TYPE_CHECKING:
    from tests.metrics.sample import Series


@pytest.fixture
def metrics() -> Metrics:
    return exporter()


def of_alpha(metrics: Metrics, name: str) -> Series:
    return {key: found for key, found in series(metrics, name).items() if ("relay", "alpha") in key[1]}


class TestCondition:
    def test_a_relay_without_a_verdict_is_unknown(self, metrics: Metrics) -> None:
        assert of_relay(metrics, "relay_state", state="unknown") == 1
        assert of_relay(metrics, "relay_up") is None
        assert of_relay(metrics, "relay_accepting") is None
        assert of_relay(metrics, "relay_maintenance") == 0
        assert of_alpha(metrics, "relay_cause_info") == {}

    @pytest.mark.parametrize("condition", Condition)
    def test_exactly_one_condition_is_1(self, metrics: Metrics, condition: Condition) -> None:
        for each in (*Condition, condition):
            metrics.set_relay_status(status(up=True, condition=each))
        found = {dict(labels)["state"]: value for (_, labels), value in of_alpha(metrics, "relay_state").items()}
        assert found == {each.value: float(each is condition) for each in Condition}

    def test_a_relay_that_refuses_newcomers_is_up_and_not_accepting(self, metrics: Metrics) -> None:
        metrics.set_relay_status(status(up=True, accepting=False, condition=Condition.NOT_ACCEPTING))
        assert of_relay(metrics, "relay_up") == 1
        assert of_relay(metrics, "relay_accepting") == 0

    def test_verdicts_are_absent_while_nothing_can_be_said(self, metrics: Metrics) -> None:
        metrics.set_relay_status(status(up=True))
        metrics.set_relay_status(status(up=None))
        assert of_relay(metrics, "relay_up") is None
        assert of_relay(metrics, "relay_accepting") is None
        assert of_relay(metrics, "relay_state", state="unknown") == 1

    def test_a_relay_has_one_cause_which_ends_when_it_is_up(self, metrics: Metrics) -> None:
        metrics.set_relay_status(status(up=False))
        assert of_relay(metrics, "relay_cause_info", step="upgrade", reason="http_status", status="502") == 1
        metrics.set_relay_status(status(up=False, cause=Cause(step=Step.TCP, reason=Reason.REFUSED)))
        ((_, labels),) = of_alpha(metrics, "relay_cause_info")
        assert {dict(labels)[name] for name in ("step", "reason", "status")} == {"tcp", "refused", ""}
        metrics.set_relay_status(status(up=True))
        assert of_alpha(metrics, "relay_cause_info") == {}

    def test_the_condition_has_the_time_of_its_start(self, metrics: Metrics) -> None:
        assert of_alpha(metrics, "relay_state_since_timestamp_seconds") == {}
        down = status(up=False)
        metrics.set_relay_status(down)
        assert of_relay(metrics, "relay_state_since_timestamp_seconds") == down.since.timestamp()
        metrics.forget({"alpha"})
        assert of_alpha(metrics, "relay_state_since_timestamp_seconds") == {}

    def test_a_relay_with_another_address_begins_anew(self, metrics: Metrics) -> None:
        metrics.set_relay_status(status(up=False))
        metrics.publish(CertificateSeen("alpha", "steady", RUN_ID, 1.9e9))
        metrics.forget({"alpha"})
        assert of_relay(metrics, "relay_state", state="unknown") == 1
        assert of_relay(metrics, "relay_up") is None
        assert of_alpha(metrics, "relay_cause_info") == {}
        assert of_relay(metrics, "relay_probe_certificate_expiry_timestamp_seconds") is None

    def test_a_probe_that_succeeded_is_up_once_its_relay_that_was_down_has_another_address(
        self, metrics: Metrics
    ) -> None:
        metrics.publish(run(exchange()))
        metrics.flush()
        metrics.set_relay_status(status(up=False))
        assert value(metrics, "relay_probe_up") == 0
        metrics.forget({"alpha"})
        assert value(metrics, "relay_probe_up") == 1

    def test_maintenance_is_a_flag_of_the_relay_and_of_its_probes(self, metrics: Metrics) -> None:
        metrics.set_relay_maintenance("alpha", True)  # noqa: FBT003 - a state, named
        assert of_relay(metrics, "relay_maintenance") == 1
        assert set(of_alpha(metrics, "relay_probe_maintenance").values()) == {1}
        assert of_relay(metrics, "relay_maintenance", relay="beta") == 0


class TestCredentials:
    def test_the_expiry_of_a_token_shows_until_there_is_none(self, metrics: Metrics) -> None:
        metrics.set_credentials_expiry("alpha", 1.9e9, 86_400.0)
        assert of_relay(metrics, "relay_probe_token_expiry_timestamp_seconds") == 1.9e9
        assert of_relay(metrics, "relay_probe_token_lifetime_seconds") == 86_400
        metrics.set_credentials_expiry("alpha", None)
        assert of_relay(metrics, "relay_probe_token_expiry_timestamp_seconds") is None
        assert of_relay(metrics, "relay_probe_token_lifetime_seconds") is None


class TestTheMonitor:
    def test_its_checks_journal_and_start_are_there_from_the_start(self, metrics: Metrics) -> None:
        here = {("install", "default"), ("location", "here")}
        found = series(metrics)
        assert found["relay_monitor_journal_healthy", frozenset(here)] == 1
        assert found["relay_monitor_failed_check", frozenset(here | {("check", "all_relays")})] == 0
        assert found["relay_monitor_start_time_seconds", frozenset(here | {("shard", "0/2")})] > 1.7e9
        metrics.set_failed_checks({"clock"})
        assert series(metrics)["relay_monitor_failed_check", frozenset(here | {("check", "clock")})] == 1

    def test_one_hash_is_shown(self, metrics: Metrics) -> None:
        for config_hash in ("a", "b"):
            metrics.set_config_info(config_hash)
        ((_, labels),) = series(metrics, "relay_monitor_config_info")
        assert dict(labels)["hash"] == "b"


async def test_a_reload_with_many_relays_lets_the_loop_go_on() -> None:
    """With all series at once the loop was blocked for half a second from 40 to 80 relays."""
    metrics = Metrics(shipped(5), version="1")
    rounds = 0
    done = asyncio.ensure_future(metrics.reconfigure_in_slices(shipped(60)))
    while not done.done():
        await asyncio.sleep(0)
        rounds += 1
    assert rounds > 5
    assert SLICE <= 0.005
    relays = {dict(labels)["relay"] for _, labels in series(metrics, "relay_state")}
    assert len(relays) == 60
    await metrics.reconfigure_in_slices(config().model_copy(update={"location": "local"}))
    assert {dict(labels)["relay"] for _, labels in series(metrics, "relay_state")} == {"alpha", "beta"}
