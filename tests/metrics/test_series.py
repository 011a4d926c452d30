from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from monitor.results import Paired, Pairing, PairTime
from monitor.scenarios import Scenario
from monitor.vocabulary import Outcome, Reason, Step
from tests.metrics.sample import RUN_ID, exchange, exporter, failure, run, slo_events, status, value

if TYPE_CHECKING:
    from monitor.metrics import Metrics

FAILED = Outcome.FAILED


@pytest.fixture
def metrics() -> Metrics:
    return exporter()


class TestExchanges:
    def test_a_successful_exchange_has_its_times(self, metrics: Metrics) -> None:
        metrics.publish(run(exchange(round_trip=0.2, wire_request=0.01, wire_response=0.02)))
        assert value(metrics, "relay_probe_exchanges_total", outcome="ok") == 1
        assert value(metrics, "relay_probe_round_trip_seconds_sum") == 0.2
        assert value(metrics, "relay_probe_wire_seconds_sum", direction="request") == 0.01
        assert value(metrics, "relay_probe_wire_seconds_sum", direction="response") == 0.02

    def test_a_failed_exchange_has_its_first_cause_and_no_round_trip(self, metrics: Metrics) -> None:
        metrics.publish(run(exchange(FAILED, failure=failure(Step.ANSWER, Reason.SILENT))))
        assert value(metrics, "relay_probe_exchanges_total", outcome="failed") == 1
        assert value(metrics, "relay_probe_failures_total", step="answer", reason="silent") == 1
        assert value(metrics, "relay_probe_round_trip_seconds_count") == 0

    def test_a_cause_outside_the_table_is_counted_as_internal(self, metrics: Metrics) -> None:
        metrics.publish(run(exchange(FAILED, failure=failure(Step.DELIVER, Reason.DNS))))
        assert value(metrics, "relay_probe_failures_total", step="deliver", reason="dns") is None
        assert value(metrics, "relay_probe_failures_total", step="deliver", reason="internal") == 1

    def test_a_recovery_is_counted(self, metrics: Metrics) -> None:
        metrics.publish(run(exchange(round_trip=None, recovery=1.5), probe="offline", scenario=Scenario.ASYNC_DELIVERY))
        assert value(metrics, "relay_probe_recovery_seconds_sum", probe="offline") == 1.5

    @pytest.mark.parametrize("outcome", [Outcome.ABORTED, Outcome.EXCLUDED])
    def test_aborted_and_excluded_exchanges_count_for_no_slo(self, metrics: Metrics, outcome: Outcome) -> None:
        metrics.publish(run(exchange(outcome, failure=failure()), pairing=Pairing(outcome=outcome, seconds=1.0)))
        assert value(metrics, "relay_probe_exchanges_total", outcome=outcome.value) == 1
        assert value(metrics, "relay_probe_round_trip_seconds_count") == 0
        assert value(metrics, "relay_probe_failures_total", step="deliver", reason="lost") == 0
        assert value(metrics, "relay_probe_handshakes_total", outcome="ok") == 0
        assert [slo_events(metrics, slo) for slo in ("fast", "delivery", "pairing")] == [(0, 0)] * 3

    @pytest.mark.parametrize("outcome", [Outcome.ABORTED, Outcome.EXCLUDED])
    def test_times_of_aborted_and_excluded_exchanges_are_not_counted(self, metrics: Metrics, outcome: Outcome) -> None:
        """They may be due to a blocked event loop or to maintenance."""
        metrics.publish(run(exchange(outcome, wire_request=3.0, wire_response=3.0)))
        assert value(metrics, "relay_probe_wire_seconds_count", direction="request") == 0
        assert value(metrics, "relay_probe_wire_seconds_count", direction="response") == 0

    def test_a_run_costs_microseconds(self, metrics: Metrics) -> None:
        """40 µs at the most on an idle machine; thrice that tells of a look-up that crept into the hot path."""
        one = run(exchange(wire_request=0.01, wire_response=0.02))
        best = float("inf")
        for _ in range(20):
            started = time.perf_counter()
            for _ in range(100):
                metrics.publish(one)
            best = min(best, (time.perf_counter() - started) / 100)
        assert best < 120e-6


class TestSlos:
    @pytest.mark.parametrize(("seconds", "events"), [(0.1, (1, 0)), (0.4, (1, 0)), (0.400001, (0, 1))])
    def test_latency_is_good_up_to_the_threshold(
        self, metrics: Metrics, seconds: float, events: tuple[int, int]
    ) -> None:
        metrics.publish(run(exchange(round_trip=seconds)))
        assert slo_events(metrics, "fast") == events

    def test_a_relay_can_have_its_own_threshold(self, metrics: Metrics) -> None:
        metrics.publish(run(exchange(round_trip=0.9), relay="beta"))
        assert slo_events(metrics, "fast", relay="beta") == (1, 0)
        assert slo_events(metrics, "fast", relay="alpha") == (0, 0)

    def test_a_failed_exchange_is_bad_for_availability_and_for_latency(self, metrics: Metrics) -> None:
        metrics.publish(run(exchange(), exchange(FAILED)))
        assert slo_events(metrics, "delivery") == (1, 1)
        assert slo_events(metrics, "fast") == (1, 1)

    def test_an_event_counts_for_its_own_probe(self, metrics: Metrics) -> None:
        metrics.publish(run(exchange(), probe="session", scenario=Scenario.REALISTIC_SESSION))
        assert slo_events(metrics, "delivery", probe="session") == (1, 0)
        assert slo_events(metrics, "delivery", probe="steady") == (0, 0)

    def test_pairings_of_runs_and_of_continuous_pairs_count(self, metrics: Metrics) -> None:
        metrics.publish(run(exchange(), pairing=Pairing(outcome=Outcome.OK, seconds=0.5)))
        metrics.publish(Paired(relay="alpha", probe="steady", run_id=RUN_ID, pairing=Pairing(outcome=FAILED)))
        assert slo_events(metrics, "pairing") == (1, 1)
        assert value(metrics, "relay_probe_handshakes_total", outcome="ok") == 1
        assert value(metrics, "relay_probe_handshakes_total", outcome="failed") == 1
        assert value(metrics, "relay_probe_handshake_seconds_count") == 1

    def test_stability_counts_seconds(self, metrics: Metrics) -> None:
        for connected, seconds in ((True, 9.5), (False, 0.5), (True, 10.0)):
            metrics.publish(PairTime(relay="alpha", probe="idle", run_id=RUN_ID, connected=connected, seconds=seconds))
        assert slo_events(metrics, "stability", probe="idle") == (19.5, 0.5)

    def test_a_trend_has_no_events(self, metrics: Metrics) -> None:
        assert b'slo="trend",outcome' not in metrics.render()[0]
        with pytest.raises(KeyError):
            slo_events(metrics, "trend")


class TestProbeUp:
    def up(self, metrics: Metrics) -> float | None:
        return value(metrics, "relay_probe_up")

    def test_a_first_run_that_failed_or_two_failed_in_a_row_are_down(self, metrics: Metrics) -> None:
        seen = []
        for outcome in (FAILED, Outcome.OK, FAILED, FAILED, FAILED, Outcome.OK):
            metrics.publish(run(exchange(outcome)))
            seen.append(self.up(metrics))
        assert seen == [0, 1, 1, 0, 0, 1]

    def test_an_aborted_or_excluded_run_changes_nothing(self, metrics: Metrics) -> None:
        metrics.publish(run(exchange(Outcome.ABORTED)))
        assert self.up(metrics) is None
        metrics.publish(run(exchange()))
        metrics.publish(run(exchange(FAILED)))
        metrics.publish(run(exchange(Outcome.EXCLUDED)))
        assert self.up(metrics) == 1
        metrics.publish(run(exchange(FAILED)))
        assert self.up(metrics) == 0

    def test_it_is_down_while_its_relay_is(self, metrics: Metrics) -> None:
        metrics.set_relay_status(status("alpha", up=False))
        assert self.up(metrics) is None
        metrics.publish(run(exchange()))
        assert self.up(metrics) == 0
        metrics.set_relay_status(status("alpha", up=True))
        assert self.up(metrics) == 1

    def test_it_stays_down_for_its_own_failures_when_its_relay_is_up(self, metrics: Metrics) -> None:
        metrics.publish(run(exchange(FAILED)))
        metrics.publish(run(exchange(FAILED)))
        metrics.set_relay_status(status("alpha", up=True))
        assert self.up(metrics) == 0

    def test_the_verdict_on_another_relay_does_not_change_it(self, metrics: Metrics) -> None:
        metrics.publish(run(exchange()))
        metrics.set_relay_status(status("beta", up=False))
        assert self.up(metrics) == 1

    def test_the_last_success_is_when_the_last_good_run_ended(self, metrics: Metrics) -> None:
        good = run(exchange())
        metrics.publish(good)
        metrics.publish(run(exchange(FAILED)))
        ended = good.started_at.timestamp() + 0.5
        assert value(metrics, "relay_probe_last_success_timestamp_seconds") == ended
