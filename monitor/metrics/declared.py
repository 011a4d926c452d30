"""Every metric on `/metrics`, for the exporter and the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from monitor.drill import LABEL, SERIES
from monitor.scenarios import CONTINUOUS, EXCHANGING, OFFLINE, PAIRED, Scenario
from monitor.vocabulary import BUCKETS, Phase

if TYPE_CHECKING:
    from monitor.config import ProbeConfig

MONITOR: Final = ("install", "location")
SHARD: Final = (*MONITOR, "shard")
RELAY: Final = (*MONITOR, "relay")
PROBE: Final = (*RELAY, "probe", "scenario")
RELAY_INFO: Final = (*RELAY, "max_severity", "page_after", "scope", "owner", "group", "centrifugo_selector")
SLO: Final = (*RELAY, "slo")
ALL: Final = frozenset(Scenario)

DURATION_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 60.0, 600.0)
"""Upper bounds in seconds of what has no objective: from a message in the same network to a reconnect after minutes."""

PHASE_BUCKETS: Final = (0.001, 0.01, 0.05, 0.2, 1.0, 5.0)
"""Upper bounds in seconds of phases, of which dashboards show the mean and the slow ones."""

LEAN_BUCKETS: Final = (0.05, 0.2, 0.5, 1.0, 5.0, 60.0)
"""Upper bounds in seconds of what has `DURATION_BUCKETS` otherwise, with `detail: lean`."""


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric.

    A metric with the labels of a probe exists for the probes of `scenarios`; if `persistent`, for continuous ones only.
    `buckets` are the upper bounds of a histogram's buckets. `lean`: it is also exported with `detail: lean`.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    scenarios: frozenset[Scenario] = ALL
    persistent: bool = False
    buckets: tuple[float, ...] = DURATION_BUCKETS
    lean: bool = True

    def belongs_to(self, probe: ProbeConfig) -> bool:
        """Whether `probe` has series of this metric."""
        is_of_probes = self.labels[: len(PROBE)] == PROBE
        return is_of_probes and probe.scenario in self.scenarios and (probe.is_continuous or not self.persistent)

    def buckets_in(self, *, lean: bool) -> tuple[float, ...]:
        """The upper bounds of its buckets; none if it is no histogram."""
        if self.kind != "histogram":
            return ()
        is_of_relay = self.labels[: len(RELAY)] == RELAY
        return LEAN_BUCKETS if lean and is_of_relay and self.buckets == DURATION_BUCKETS else self.buckets


DECLARED: Final = (
    MetricSpec(
        "relay_up", "gauge", RELAY,
        "1 if messages are delivered over this relay, 0 if a failure has been confirmed by further attempts; absent "
        "before the first verdict and where nothing can be said.",
    ),
    MetricSpec(
        "relay_accepting", "gauge", RELAY,
        "1 if a new client can pair and deliver a message, 0 if a failure of that has been confirmed by further "
        "attempts; absent as relay_up.",
    ),
    MetricSpec(
        "relay_state", "gauge", (*RELAY, "state"),
        "1 for the present condition of the relay, 0 for all others: up, degraded, not_accepting, down, unknown. With "
        "detail: lean only conditions that it has had.",
    ),
    MetricSpec(
        "relay_state_since_timestamp_seconds", "gauge", RELAY,
        "Unix time since which the relay has its present condition.",
    ),
    MetricSpec("relay_maintenance", "gauge", RELAY, "1 inside a maintenance window of the relay."),
    MetricSpec(
        "relay_cause_info", "gauge", (*RELAY, "step", "reason", "status"),
        "1 while the relay is not up; has step, reason and status (HTTP status or code) of its present cause.",
    ),
    MetricSpec("relay_incident_open", "gauge", RELAY, "1 while the relay has an open incident.", lean=False),
    MetricSpec(
        "relay_endpoint_failures_total", "counter", (*RELAY, "endpoint"),
        "Failed attempts by endpoint: 16 endpoints of a relay, then other.",
    ),
    MetricSpec(
        "relay_probe_up", "gauge", PROBE,
        "0 if the last two runs of the probe failed, or its only one, or relay_up is 0; otherwise 1; absent before its "
        "first run.",
    ),
    MetricSpec(
        "relay_probe_exchanges_total", "counter", (*PROBE, "outcome"),
        "Exchanges by outcome. Aborted (a local fault) and excluded (maintenance) exchanges count for no SLI. With "
        "detail: lean those that succeeded are not counted.",
    ),
    MetricSpec(
        "relay_probe_failures_total", "counter", (*PROBE, "step", "reason"),
        "Failed exchanges by the step and the reason of their first failure. With detail: lean rate limits only.",
    ),
    MetricSpec(
        "relay_slo_events_total", "counter", (*RELAY, "probe", "slo", "outcome"),
        "Events of an SLO by outcome: exchanges (availability, latency), pairings, or seconds (stability).",
    ),
    MetricSpec("relay_slo_objective_ratio", "gauge", SLO, "Configured objective of an SLO."),
    MetricSpec("relay_slo_threshold_seconds", "gauge", SLO, "Configured threshold of a latency SLO."),
    MetricSpec("relay_slo_window_seconds", "gauge", SLO, "Configured window of an SLO."),
    MetricSpec(
        "relay_probe_round_trip_seconds", "histogram", PROBE,
        "Round-trip time of successful exchanges: request and response, each from its intended send to its receipt, "
        "without artificial waits. With detail: lean of steady-messaging and of probes with a trend.",
        EXCHANGING, buckets=BUCKETS,
    ),
    MetricSpec(
        "relay_probe_wire_seconds", "histogram", (*PROBE, "direction"),
        "Time of a message in the relay and the network: from the write to one socket to the read from the other.",
        EXCHANGING, lean=False,
    ),
    MetricSpec(
        "relay_probe_recovery_seconds", "histogram", PROBE,
        "Time from when an offline wallet resumes to the last message that was sent to it meanwhile.", OFFLINE,
        lean=False,
    ),
    MetricSpec(
        "relay_probe_handshake_seconds", "histogram", PROBE,
        "Time of a pairing: from the start of the wallet until both participants are connected.", PAIRED, lean=False,
    ),
    MetricSpec(
        "relay_probe_handshakes_total", "counter", (*PROBE, "outcome"), "Pairings by outcome.", PAIRED, lean=False
    ),
    MetricSpec(
        "relay_probe_phase_seconds", "histogram", (*RELAY, "phase"),
        "Time of each phase of a connect, and of each command until its reply, over all probes of the relay.",
        buckets=PHASE_BUCKETS, lean=False,
    ),
    MetricSpec(
        "relay_probe_reconnect_seconds", "histogram", PROBE,
        "Time from when a persistent pair or connection drops until it is ready again.", CONTINUOUS, persistent=True,
        lean=False,
    ),
    MetricSpec(
        "relay_probe_messages_total", "counter", (*PROBE, "verdict"),
        "Messages by verdict, which is final once their deadline and the time for late ones are over. With detail: "
        "lean those that were delivered are not counted.",
        PAIRED,
    ),
    MetricSpec(
        "relay_probe_messages_pending", "gauge", PROBE, "Messages sent that have no verdict yet.", PAIRED, lean=False
    ),
    MetricSpec(
        "relay_probe_pair_seconds_total", "counter", (*PROBE, "state"),
        "Seconds for which persistent pairs and connections were connected and disconnected.",
        CONTINUOUS, persistent=True,
    ),
    MetricSpec(
        "relay_probe_disconnects_total", "counter", (*PROBE, "code"),
        "Drops of persistent connections and subscriptions, by close or unsubscribe code.", CONTINUOUS, persistent=True,
    ),
    MetricSpec(
        "relay_probe_confirmations_total", "counter", (*PROBE, "over", "outcome"),
        "Attempts to confirm a failure, over new pairs (fresh) and over the persistent pair that failed (standing). "
        "Of the latter, only those count as failed whose pair is connected while a later message over a new pair is "
        "delivered: a node that accepts messages and does not deliver them. With detail: lean those only.",
    ),
    MetricSpec(
        "relay_probe_address_failures_total", "counter", (*PROBE, "family"),
        "Addresses of the relay that could not be reached, by address family.", lean=False,
    ),
    MetricSpec(
        "relay_probe_last_success_timestamp_seconds", "gauge", PROBE,
        "Unix time of the end of the last successful run.",
    ),
    MetricSpec("relay_probe_interval_seconds", "gauge", PROBE, "Longest time between two runs of the probe."),
    MetricSpec(
        "relay_probe_maintenance", "gauge", PROBE, "1 inside a maintenance window, in which runs are excluded.",
        lean=False,
    ),
    MetricSpec(
        "relay_probe_certificate_expiry_timestamp_seconds", "gauge", RELAY,
        "Unix time of the earliest expiry in the certificate chain of the latest TLS handshake.",
    ),
    MetricSpec(
        "relay_probe_token_expiry_timestamp_seconds", "gauge", RELAY,
        "Unix time at which the connection token of the monitor expires; absent if it does not.",
    ),
    MetricSpec(
        "relay_probe_token_lifetime_seconds", "gauge", RELAY,
        "Time for which the connection token of the monitor is valid in all; absent if it does not expire.",
    ),
    MetricSpec(
        "relay_probe_relay_info", "gauge", RELAY_INFO,
        "Always 1; has the configured labels of the relay and what its alerts and dashboards need to know, for joins.",
    ),
    MetricSpec(
        "relay_monitor_runs_total", "counter", (*RELAY, "probe", "result"),
        "Slots of the schedule by result: started, missed (too late), skipped (the previous run was not done). With "
        "detail: lean those that started.",
    ),
    MetricSpec(
        "relay_monitor_event_loop_lag_seconds", "histogram", MONITOR,
        "Delay with which the event loop of the monitor wakes a task.",
    ),
    MetricSpec(
        "relay_monitor_healthy", "gauge", MONITOR,
        "0 while the self-checks of the monitor fail: runs are aborted and relay_up does not change.",
    ),
    MetricSpec(
        "relay_monitor_failed_check", "gauge", (*MONITOR, "check"), "1 while this self-check of the monitor fails.",
    ),
    MetricSpec(
        "relay_monitor_reference_up", "gauge", MONITOR,
        "Whether a reference answered when they were asked last; absent without references.",
    ),
    MetricSpec(
        "relay_monitor_task_failures_total", "counter", (*MONITOR, "task"),
        "Tasks of the monitor that ended by a fault of its own and were started again.",
    ),
    MetricSpec(
        "relay_monitor_journal_healthy", "gauge", MONITOR, "0 while the journal cannot be written.",
    ),
    MetricSpec(
        "relay_monitor_incidents_total", "counter", MONITOR,
        "Incidents that this monitor opened; one that is reopened counts once.",
    ),
    MetricSpec(
        "relay_monitor_build_info", "gauge", (*MONITOR, "version", "python"),
        "Always 1; has the versions of the monitor and of Python.",
    ),
    MetricSpec(
        "relay_monitor_shard_info", "gauge", SHARD, "Always 1; has the shard of the monitor."
    ),
    MetricSpec(
        "relay_monitor_start_time_seconds", "gauge", SHARD, "Unix time at which the monitor started.",
    ),
    MetricSpec(
        SERIES, "gauge", (*SHARD, "relay", LABEL),
        "0 during a drill of the page chain, absent otherwise; has the id of the drill. The relay is always drill.",
    ),
    MetricSpec(
        "relay_monitor_drill_page_seconds", "gauge", SHARD,
        "Time of the last successful drill from its start to the receipt of its notification; absent before the first.",
    ),
    MetricSpec(
        "relay_monitor_drill_last_successful", "gauge", SHARD,
        "Whether the notification of the last drill was received in time; absent before the first.",
    ),
    MetricSpec(
        "relay_monitor_drill_last_success_timestamp_seconds", "gauge", SHARD,
        "Unix time of the last successful drill; absent before the first.",
    ),
    MetricSpec("relay_monitor_drills_total", "counter", (*SHARD, "result"), "Drills that ended, by result."),
    MetricSpec(
        "relay_monitor_config_info", "gauge", (*MONITOR, "hash"),
        "Always 1; has a hash of the configuration, which is equal where the configuration is.",
    ),
    MetricSpec(
        "relay_monitor_config_last_reload_successful", "gauge", MONITOR,
        "Whether the last reload of the configuration succeeded.",
    ),
    MetricSpec(
        "relay_monitor_config_last_reload_success_timestamp_seconds", "gauge", MONITOR,
        "Unix time of the last successful reload of the configuration.",
    ),
)  # fmt: skip

BARE_PHASES: Final = (Phase.RESOLVE, Phase.PROXY, Phase.TCP, Phase.TLS, Phase.UPGRADE, Phase.HELLO)
"""The phases of a connection that sends no commands."""
