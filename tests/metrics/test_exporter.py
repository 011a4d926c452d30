from __future__ import annotations

import threading
from typing import Any, get_args

import pytest

from monitor.metrics import Metrics
from monitor.metrics.declared import DECLARED
from monitor.metrics.exporter import MAX_QUEUED_REPORTS
from monitor.metrics.failures import common_failures
from monitor.results import (
    AddressFailed,
    CertificateSeen,
    Confirmed,
    Disconnected,
    MessagesJudged,
    MessagesSent,
    PairTime,
    PhaseTimed,
    Reconnected,
    Report,
    Run,
)
from monitor.scenarios import SPECS, Scenario
from monitor.vocabulary import Outcome, Phase, Verdict
from tests.metrics.sample import (
    CONFIG,
    OPENMETRICS,
    RUN_ID,
    config,
    exchange,
    exporter,
    families,
    filled,
    of_relay,
    probe_labels,
    rendered,
    run,
    series,
    status,
    value,
)

ORIGIN: dict[str, Any] = {"relay": "alpha", "probe": "steady", "run_id": RUN_ID}


ON_DEMAND = {"relay_endpoint_failures_total", "relay_monitor_task_failures_total"}
"""Counters whose label values are not known before."""


def phases(metrics: Metrics) -> set[str]:
    found = families(metrics)["relay_probe_phase_seconds"].samples
    return {sample.labels["phase"] for sample in found if sample.labels["relay"] == "alpha"}


@pytest.fixture
def metrics() -> Metrics:
    return exporter()


class TestThePage:
    def test_every_declared_metric_has_its_type_and_its_labels(self) -> None:
        found = rendered(filled())
        for item in DECLARED:
            family = found[item.name.removesuffix("_total") if item.kind == "counter" else item.name]
            assert family.type == item.kind, item.name
            assert family.documentation == item.help
            own = {"team"} if item.name == "relay_probe_relay_info" else set()
            assert {frozenset(sample.labels) - {"le"} for sample in family.samples} == {frozenset(item.labels) | own}, (
                item.name
            )

    def test_every_metric_is_declared(self) -> None:
        declared = {item.name.removesuffix("_total") for item in DECLARED}
        assert {name for name in rendered(filled()) if not name.startswith("process_")} == declared

    @pytest.mark.parametrize(
        ("accept", "content_type"),
        [
            ("", "text/plain; version=0.0.4; charset=utf-8"),
            ("text/html", "text/plain; version=0.0.4; charset=utf-8"),
            ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", "text/plain; version=0.0.4; charset=utf-8"),
            ("application/openmetrics-text; version=new", "text/plain; version=0.0.4; charset=utf-8"),
            ("text/plain; version=1..0", "text/plain; version=0.0.4; charset=utf-8"),
            (OPENMETRICS + ",text/plain;q=0.5", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ],
    )
    def test_its_format_is_that_of_the_accept_header(self, metrics: Metrics, accept: str, content_type: str) -> None:
        assert metrics.render(accept)[1].startswith(content_type)

    def test_both_formats_have_the_same_samples(self) -> None:
        metrics = filled()
        text, openmetrics = (
            {
                (sample.name, frozenset(sample.labels.items())): sample.value
                for family in rendered(metrics, accept).values()
                for sample in family.samples
                if not sample.name.startswith("process_")
            }
            for accept in ("", OPENMETRICS)
        )
        assert text == openmetrics

    def test_exemplars_with_the_run_id_are_in_openmetrics_alone(self) -> None:
        metrics = filled()
        metrics.publish(run(exchange(Outcome.FAILED)))
        assert b"# {" not in metrics.render()[0]
        found = rendered(metrics, OPENMETRICS)
        for name in ("relay_probe_round_trip_seconds", "relay_probe_handshake_seconds", "relay_probe_failures"):
            assert {sample.exemplar.labels["run_id"] for sample in found[name].samples if sample.exemplar} == {RUN_ID}

    def test_there_are_no_created_series(self) -> None:
        assert b"_created" not in filled().render(OPENMETRICS)[0]

    def test_every_histogram_has_its_buckets(self, metrics: Metrics) -> None:
        edges = {item.name: {*(f"{edge}" for edge in item.buckets), "+Inf"} for item in DECLARED}
        for family in families(metrics).values():
            if family.type == "histogram":
                assert {sample.labels["le"] for sample in family.samples if "le" in sample.labels} == edges[family.name]

    def test_published_reports_show_in_every_way_of_reading(self, metrics: Metrics) -> None:
        labels = {**probe_labels(), "outcome": "ok"}
        for count in (1, 2, 3):
            metrics.publish(run(exchange()))
            assert metrics.registry.get_sample_value("relay_probe_exchanges_total", labels) == count
        metrics.publish(run(exchange()))
        family, *_ = metrics.registry.restricted_registry(["relay_probe_exchanges_total"]).collect()
        assert [sample.value for sample in family.samples if sample.labels == labels] == [4]

    def test_reports_that_are_not_read_do_not_accumulate(self, metrics: Metrics) -> None:
        for _ in range(2 * MAX_QUEUED_REPORTS):
            metrics.publish(run(exchange()))
            assert len(metrics._queue) < MAX_QUEUED_REPORTS
        assert value(metrics, "relay_probe_exchanges_total", outcome="ok") == 2 * MAX_QUEUED_REPORTS

    def test_a_report_that_cannot_be_counted_affects_no_other(self, metrics: Metrics) -> None:
        metrics.publish(PairTime(**ORIGIN, connected=True, seconds=-1.0))  # no counter takes that
        metrics.publish(PairTime(**ORIGIN, connected=True, seconds=2.0))
        assert value(metrics, "relay_probe_pair_seconds_total", state="connected") == 2

    def test_every_kind_of_report_is_handled(self, metrics: Metrics) -> None:
        for probe_series in metrics._series.values():
            assert set(probe_series.handlers) == {Run, *get_args(Report)}

    def test_rendering_in_a_thread_while_runs_are_published_loses_nothing(self, metrics: Metrics) -> None:
        """Neither side may stop the other, whatever is booked or configured meanwhile."""
        less = config(CONFIG.replace("name: offline,", "name: away,"))
        failed: list[BaseException] = []

        def scrape() -> None:
            try:
                for _ in range(3):
                    metrics.render(OPENMETRICS)
            except BaseException as error:  # noqa: BLE001 - told to the test
                failed.append(error)

        scraper = threading.Thread(target=scrape)
        scraper.start()
        runs = 0
        while scraper.is_alive() or runs < 50:
            metrics.publish(run(exchange()))
            metrics.reconfigure(less if runs % 2 else config())
            runs += 1
        scraper.join()
        assert failed == []
        assert value(metrics, "relay_probe_exchanges_total", outcome="ok") == runs


class TestTheStart:
    def test_every_counter_and_histogram_is_there_at_0(self, metrics: Metrics) -> None:
        at: dict[str, set[float]] = {}
        for (name, _), v in series(metrics).items():
            at.setdefault(name, set()).add(v)
        for item in DECLARED:
            if item.kind == "counter" and item.name not in ON_DEMAND:
                assert at[item.name] == {0.0}, item.name
            elif item.kind == "histogram":
                assert at[f"{item.name}_count"] == {0.0}, item.name

    @pytest.mark.parametrize(
        "name",
        ["relay_up", "relay_probe_up", "relay_probe_last_success_timestamp_seconds", "relay_monitor_healthy"],
    )
    def test_a_gauge_without_a_verdict_is_absent(self, metrics: Metrics, name: str) -> None:
        assert name not in {found for found, _ in series(metrics)}

    @pytest.mark.parametrize(
        ("probe", "scenario"),
        [
            ("steady", Scenario.STEADY_MESSAGING),
            ("bounded", Scenario.STEADY_MESSAGING),
            ("idle", Scenario.STEADY_STATE),
            ("offline", Scenario.ASYNC_DELIVERY),
            ("session", Scenario.REALISTIC_SESSION),
            ("storm", Scenario.CONNECTION_STORM),
        ],
    )
    def test_a_probe_has_the_failures_of_its_scenario(self, metrics: Metrics, probe: str, scenario: Scenario) -> None:
        found = {
            (labels["step"], labels["reason"])
            for name, pairs in series(metrics)
            if name == "relay_probe_failures_total"
            and (labels := dict(pairs))["probe"] == probe
            and labels["relay"] == "alpha"
        }
        assert found == set(common_failures(SPECS[scenario], tls=False)) < set(SPECS[scenario].failure_labels)

    @pytest.mark.parametrize(
        ("name", "probes"),
        [
            ("relay_probe_round_trip_seconds", {"steady", "bounded", "session"}),
            ("relay_probe_wire_seconds", {"steady", "bounded", "session"}),
            ("relay_probe_recovery_seconds", {"offline"}),
            ("relay_probe_handshakes", {"steady", "bounded", "session", "offline"}),
            ("relay_probe_messages", {"steady", "bounded", "session", "offline"}),
            ("relay_probe_pair_seconds", {"steady", "idle"}),
            ("relay_probe_disconnects", {"steady", "idle"}),
            ("relay_probe_reconnect_seconds", {"steady", "idle"}),
        ],
    )
    def test_a_probe_has_the_series_of_its_scenario_alone(self, metrics: Metrics, name: str, probes: set[str]) -> None:
        assert {sample.labels["probe"] for sample in families(metrics)[name].samples} == probes

    def test_a_bare_connection_has_no_phases_of_a_subscription(self, metrics: Metrics) -> None:
        assert phases(metrics) == {"resolve", "tcp", "upgrade", "hello", "subscribe", "publish_ack", "history"}
        idle = "relays: [{name: alpha, url: 'wss://a.example.com/x'}]\nprobes: [{name: idle, scenario: steady-state}]"
        connections = Metrics(config("location: here\n" + idle), version="1")
        assert phases(connections) == {"resolve", "tcp", "tls", "upgrade", "hello"}
        connections.publish(PhaseTimed("alpha", "idle", RUN_ID, Phase.PROXY, 0.1))
        assert phases(connections) == {"resolve", "proxy", "tcp", "tls", "upgrade", "hello"}

    @pytest.mark.parametrize(
        ("probe", "seconds"), [("steady", 10.5), ("bounded", 300), ("idle", 30), ("offline", 120), ("storm", 600)]
    )
    def test_an_interval_is_the_longest_gap_between_runs(self, metrics: Metrics, probe: str, seconds: float) -> None:
        assert value(metrics, "relay_probe_interval_seconds", probe=probe) == seconds

    def test_build_and_shard_are_shown(self, metrics: Metrics) -> None:
        found = families(metrics)
        (build,) = found["relay_monitor_build_info"].samples
        (shard,) = found["relay_monitor_shard_info"].samples
        assert (build.labels["version"], shard.labels["shard"], build.value) == ("1.2.3", "0/2", 1.0)

    def test_a_relay_has_its_own_labels(self, metrics: Metrics) -> None:
        common = {"install": "default", "location": "here", "page_after": "30s", "scope": "global"}
        common |= {"owner": "", "group": "", "centrifugo_selector": ""}
        assert [sample.labels for sample in families(metrics)["relay_probe_relay_info"].samples] == [
            common | {"relay": "alpha", "max_severity": "critical", "team": "wallets"},
            common | {"relay": "beta", "max_severity": "warning", "team": ""},
        ]

    def test_objectives_are_those_of_each_relay(self, metrics: Metrics) -> None:
        found = {
            (name.removeprefix("relay_slo_"), labels["relay"], labels["slo"]): v
            for (name, pairs), v in series(metrics).items()
            if name.startswith("relay_slo_") and name != "relay_slo_events_total" and (labels := dict(pairs))
        }
        at_alpha = {(name, slo): v for (name, relay, slo), v in found.items() if relay == "alpha"}
        assert at_alpha == {
            ("objective_ratio", "fast"): 0.99,
            ("objective_ratio", "delivery"): 0.999,
            ("objective_ratio", "stability"): 0.999,
            ("objective_ratio", "pairing"): 0.99,
            ("threshold_seconds", "fast"): 0.4,
            ("window_seconds", "fast"): 2592000.0,
            ("window_seconds", "delivery"): 2592000.0,
            ("window_seconds", "stability"): 2592000.0,
            ("window_seconds", "pairing"): 604800.0,
            ("window_seconds", "trend"): 86400.0,
        }
        assert found["threshold_seconds", "beta", "fast"] == 1.0


class TestReports:
    def test_a_phase_is_timed_under_its_name(self, metrics: Metrics) -> None:
        metrics.publish(PhaseTimed(**ORIGIN, phase=Phase.HELLO, seconds=0.02))
        assert of_relay(metrics, "relay_probe_phase_seconds_sum", phase="hello") == 0.02
        assert of_relay(metrics, "relay_probe_phase_seconds_count", phase="upgrade") == 0

    def test_each_ack_of_a_report_is_a_phase(self, metrics: Metrics) -> None:
        metrics.publish(MessagesSent(**ORIGIN, messages=2, acks=(0.02, 0.01)))
        assert of_relay(metrics, "relay_probe_phase_seconds_sum", phase="publish_ack") == 0.03
        assert of_relay(metrics, "relay_probe_phase_seconds_count", phase="publish_ack") == 2

    def test_a_message_is_pending_until_it_has_a_verdict(self, metrics: Metrics) -> None:
        metrics.publish(MessagesSent(**ORIGIN))
        metrics.publish(MessagesSent(**ORIGIN, messages=2))
        metrics.publish(MessagesJudged(**ORIGIN, verdict=Verdict.DELIVERED))
        metrics.publish(MessagesJudged(**ORIGIN, verdict=Verdict.LATE))
        metrics.publish(MessagesJudged(**ORIGIN, verdict=Verdict.MISROUTED, pending=False))
        assert value(metrics, "relay_probe_messages_pending") == 1
        assert value(metrics, "relay_probe_messages_total", verdict="late") == 1
        assert value(metrics, "relay_probe_messages_total", verdict="misrouted") == 1

    @pytest.mark.parametrize(
        ("code", "label"),
        [(3001, "3001"), (1006, "1006"), (2500, "2500"), (0, "0"), (4321, "other"), (-1, "other"), (None, "none")],
    )
    def test_a_drop_is_counted_by_its_code_if_that_is_known(
        self, metrics: Metrics, code: int | None, label: str
    ) -> None:
        metrics.publish(Disconnected(**ORIGIN, code=code))
        assert value(metrics, "relay_probe_disconnects_total", code=label) == 1
        assert sum(series(metrics, "relay_probe_disconnects_total").values()) == 1

    def test_other_reports_are_counted(self, metrics: Metrics) -> None:
        metrics.publish(Reconnected(**ORIGIN, seconds=2.5))
        metrics.publish(AddressFailed(**ORIGIN, family="ip6"))
        metrics.publish(Confirmed(**ORIGIN, via="fresh", ok=False))
        metrics.publish(PairTime(**ORIGIN, connected=False, seconds=0.75))
        assert value(metrics, "relay_probe_reconnect_seconds_sum") == 2.5
        assert value(metrics, "relay_probe_address_failures_total", family="ip6") == 1
        assert value(metrics, "relay_probe_confirmations_total", over="fresh", outcome="failed") == 1
        assert value(metrics, "relay_probe_pair_seconds_total", state="disconnected") == 0.75

    def test_a_certificate_is_a_series_of_the_relay(self, metrics: Metrics) -> None:
        metrics.publish(CertificateSeen(**ORIGIN, not_after=1.9e9))
        assert of_relay(metrics, "relay_probe_certificate_expiry_timestamp_seconds") == 1.9e9

    def test_a_report_without_a_series_in_the_scenario_is_ignored(self, metrics: Metrics) -> None:
        before = series(metrics)
        storm = ORIGIN | {"probe": "storm"}
        for report in (
            MessagesSent(**storm),
            MessagesJudged(**storm, verdict=Verdict.LOST),
            Disconnected(**storm, code=3001),
            PairTime(**storm, connected=True, seconds=1),
        ):
            metrics.publish(report)
        assert series(metrics) == before

    def test_a_report_of_a_removed_probe_is_ignored(self, metrics: Metrics) -> None:
        metrics.publish(run(exchange(), probe="gone"))
        metrics.publish(MessagesSent(**(ORIGIN | {"relay": "gone"})))
        metrics.count_run("alpha", "gone", "started")
        metrics.set_relay_maintenance("gone", active=True)
        metrics.set_relay_status(status("gone", up=True))
        assert b'"gone"' not in metrics.render()[0]


class TestTheMonitorItself:
    def test_slots_are_counted_by_result(self, metrics: Metrics) -> None:
        for result in ("started", "started", "missed"):
            metrics.count_run("alpha", "storm", result)
        labels = {"install": "default", "location": "here", "relay": "alpha", "probe": "storm"}
        found = series(metrics)
        assert [
            found["relay_monitor_runs_total", frozenset((labels | {"result": result}).items())]
            for result in ("started", "missed", "skipped")
        ] == [2, 1, 0]

    def test_a_failed_reload_keeps_the_time_of_the_last_successful_one(self, metrics: Metrics) -> None:
        metrics.set_reload(ok=True, at=100.0)
        metrics.set_reload(ok=False, at=200.0)
        here = frozenset({("install", "default"), ("location", "here")})
        found = series(metrics)
        assert found["relay_monitor_config_last_reload_successful", here] == 0
        assert found["relay_monitor_config_last_reload_success_timestamp_seconds", here] == 100

    def test_lag_maintenance_and_health_show(self, metrics: Metrics) -> None:
        metrics.observe_loop_lag(0.25)
        metrics.set_healthy(healthy=False)
        metrics.set_relay_maintenance("alpha", active=True)
        here = frozenset({("install", "default"), ("location", "here")})
        assert series(metrics)["relay_monitor_event_loop_lag_seconds_sum", here] == 0.25
        assert series(metrics)["relay_monitor_healthy", here] == 0
        assert value(metrics, "relay_probe_maintenance") == 1
