"""Every metric on `/metrics`, for the exporter and the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from monitor.scenarios import CONTINUOUS, EXCHANGING, OFFLINE, PAIRED, Scenario
from monitor.vocabulary import Phase

if TYPE_CHECKING:
    from monitor.config import ProbeConfig

PROBE: Final = ("location", "relay", "probe", "scenario")
ALL: Final = frozenset(Scenario)


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric.

    A metric with the labels of a probe exists for the probes of `scenarios`; if `persistent`, for continuous ones only.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    scenarios: frozenset[Scenario] = ALL
    persistent: bool = False

    def belongs_to(self, probe: ProbeConfig) -> bool:
        """Whether `probe` has series of this metric."""
        is_of_probes = self.labels[: len(PROBE)] == PROBE
        return is_of_probes and probe.scenario in self.scenarios and (probe.is_continuous or not self.persistent)


DECLARED: Final = (
    MetricSpec(
        "relay_up", "gauge", ("location", "relay"),
        "1 if messages are delivered over this relay, 0 if a failure has been confirmed by further attempts; absent "
        "before the first verdict, unchanged while the monitor is unhealthy.",
    ),
    MetricSpec(
        "relay_probe_up", "gauge", PROBE,
        "0 if the last two runs of the probe failed, or its only one, or relay_up is 0; otherwise 1; absent before its "
        "first run.",
    ),
    MetricSpec(
        "relay_probe_exchanges_total", "counter", (*PROBE, "outcome"),
        "Exchanges by outcome. Aborted (a local fault) and excluded (maintenance) exchanges count for no SLI.",
    ),
    MetricSpec(
        "relay_probe_failures_total", "counter", (*PROBE, "step", "reason"),
        "Failed exchanges by the step and the reason of their first failure.",
    ),
    MetricSpec(
        "relay_slo_events_total", "counter", ("location", "relay", "probe", "slo", "outcome"),
        "Events of an SLO by outcome: exchanges (availability, latency), pairings, or seconds (stability).",
    ),
    MetricSpec(
        "relay_slo_objective_ratio", "gauge", ("location", "relay", "slo"),
        "Configured objective of an SLO.",
    ),
    MetricSpec(
        "relay_slo_threshold_seconds", "gauge", ("location", "relay", "slo"),
        "Configured threshold of a latency SLO.",
    ),
    MetricSpec(
        "relay_slo_window_seconds", "gauge", ("location", "relay", "slo"),
        "Configured window of an SLO.",
    ),
    MetricSpec(
        "relay_probe_round_trip_seconds", "histogram", PROBE,
        "Round-trip time of successful exchanges: request and response, each from its intended send to its receipt, "
        "without artificial waits.",
        EXCHANGING,
    ),
    MetricSpec(
        "relay_probe_wire_seconds", "histogram", (*PROBE, "direction"),
        "Time of a message in the relay and the network: from the write to one socket to the read from the other.",
        EXCHANGING,
    ),
    MetricSpec(
        "relay_probe_recovery_seconds", "histogram", PROBE,
        "Time from when an offline wallet resumes to the last message that was sent to it meanwhile.", OFFLINE,
    ),
    MetricSpec(
        "relay_probe_handshake_seconds", "histogram", PROBE,
        "Time of a pairing: from the start of the wallet until both participants are connected.", PAIRED,
    ),
    MetricSpec("relay_probe_handshakes_total", "counter", (*PROBE, "outcome"), "Pairings by outcome.", PAIRED),
    MetricSpec(
        "relay_probe_phase_seconds", "histogram", (*PROBE, "phase"),
        "Time of each phase of a connect, and of each command until its reply.",
    ),
    MetricSpec(
        "relay_probe_reconnect_seconds", "histogram", PROBE,
        "Time from when a persistent pair or connection drops until it is ready again.", CONTINUOUS, persistent=True,
    ),
    MetricSpec(
        "relay_probe_messages_total", "counter", (*PROBE, "verdict"),
        "Messages by verdict, which is final once their deadline and the time for late ones are over.", PAIRED,
    ),
    MetricSpec("relay_probe_messages_pending", "gauge", PROBE, "Messages sent that have no verdict yet.", PAIRED),
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
        "delivered: a node that accepts messages and does not deliver them.",
    ),
    MetricSpec(
        "relay_probe_address_failures_total", "counter", (*PROBE, "family"),
        "Addresses of the relay that could not be reached, by address family.",
    ),
    MetricSpec(
        "relay_probe_last_success_timestamp_seconds", "gauge", PROBE,
        "Unix time of the end of the last successful run.",
    ),
    MetricSpec("relay_probe_interval_seconds", "gauge", PROBE, "Longest time between two runs of the probe."),
    MetricSpec(
        "relay_probe_maintenance", "gauge", PROBE, "1 inside a maintenance window, in which runs are excluded."
    ),
    MetricSpec(
        "relay_probe_certificate_expiry_timestamp_seconds", "gauge", ("location", "relay"),
        "Unix time of the earliest expiry in the certificate chain of the latest TLS handshake.",
    ),
    MetricSpec(
        "relay_probe_relay_info", "gauge", ("location", "relay", "max_severity"),
        "Always 1; has the configured labels and max_severity of the relay, for joins.",
    ),
    MetricSpec(
        "relay_monitor_runs_total", "counter", ("location", "relay", "probe", "result"),
        "Slots of the schedule by result: started, missed (too late), skipped (the previous run was not done).",
    ),
    MetricSpec(
        "relay_monitor_event_loop_lag_seconds", "histogram", ("location",),
        "Delay with which the event loop of the monitor wakes a task.",
    ),
    MetricSpec(
        "relay_monitor_healthy", "gauge", ("location",),
        "0 while the self-checks of the monitor fail: runs are aborted and relay_up does not change.",
    ),
    MetricSpec(
        "relay_monitor_build_info", "gauge", ("location", "version", "python"),
        "Always 1; has the versions of the monitor and of Python.",
    ),
    MetricSpec(
        "relay_monitor_shard_info", "gauge", ("location", "shard"), "Always 1; has the shard of the monitor."
    ),
    MetricSpec(
        "relay_monitor_config_last_reload_successful", "gauge", ("location",),
        "Whether the last reload of the configuration succeeded.",
    ),
    MetricSpec(
        "relay_monitor_config_last_reload_success_timestamp_seconds", "gauge", ("location",),
        "Unix time of the last successful reload of the configuration.",
    ),
)  # fmt: skip

BARE_PHASES: Final = (Phase.RESOLVE, Phase.PROXY, Phase.TCP, Phase.TLS, Phase.UPGRADE, Phase.HELLO)


def phases_of(scenario: Scenario) -> tuple[Phase, ...]:
    """The phases that a run of `scenario` has: a bare connection sends no commands."""
    return tuple(Phase) if scenario in PAIRED else BARE_PHASES
