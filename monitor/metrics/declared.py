"""Every series on `/metrics`, declared once: the exporter makes them from here, and so does the reference."""

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
class Declared:
    """One metric, with its labels in full.

    Of a metric with a probe's labels, `scenarios` says which probes have it; `standing`: only continuous ones.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    meaning: str
    scenarios: frozenset[Scenario] = ALL
    persistent: bool = False

    def belongs_to(self, probe: ProbeConfig) -> bool:
        """Whether `probe` has a series of it."""
        ours = self.labels[: len(PROBE)] == PROBE
        return ours and probe.scenario in self.scenarios and (probe.is_continuous or not self.persistent)


DECLARED: Final = (
    Declared(
        "relay_up", "gauge", ("location", "relay"),
        "Whether a message crosses this relay at all: absent before the first verdict, 0 once a failure is confirmed "
        "by fresh attempts, 1 from the first message that crosses; frozen while the monitor is unhealthy.",
    ),
    Declared(
        "relay_probe_up", "gauge", PROBE,
        "The probe's own view: 0 when its last two runs failed or relay_up is 0; absent before its first run.",
    ),
    Declared(
        "relay_probe_exchanges_total", "counter", (*PROBE, "outcome"),
        "Exchanges by how they ended. Aborted (the monitor gave up) and excluded (maintenance) count for no SLI.",
    ),
    Declared(
        "relay_probe_failures_total", "counter", (*PROBE, "step", "reason"),
        "Failed exchanges by where they failed and what went wrong there: the first cause.",
    ),
    Declared(
        "relay_slo_events_total", "counter", ("location", "relay", "probe", "slo", "outcome"),
        "What SLO rules are made of, judged by the threshold in force: exchanges (availability, latency), pairings, "
        "or seconds (stability).",
    ),
    Declared(
        "relay_slo_objective_ratio", "gauge", ("location", "relay", "slo"),
        "The objective of an SLO, as the configuration has it.",
    ),
    Declared(
        "relay_slo_threshold_seconds", "gauge", ("location", "relay", "slo"),
        "The threshold of a latency SLO, as the configuration has it.",
    ),
    Declared(
        "relay_slo_window_seconds", "gauge", ("location", "relay", "slo"),
        "The window of an SLO, as the configuration has it.",
    ),
    Declared(
        "relay_probe_round_trip_seconds", "histogram", PROBE,
        "Round trip of ok exchanges: both legs, each from the intended send to the receipt, no artificial wait.",
        EXCHANGING,
    ),
    Declared(
        "relay_probe_wire_seconds", "histogram", (*PROBE, "direction"),
        "The relay's own part of a message's way: bytes to the socket until bytes from the other socket.",
        EXCHANGING,
    ),
    Declared(
        "relay_probe_recovery_seconds", "histogram", PROBE,
        "From a wallet's resuming to the last message that was waiting for it.", OFFLINE,
    ),
    Declared(
        "relay_probe_handshake_seconds", "histogram", PROBE,
        "Pairing: from the wallet's start until both ends are connected.", PAIRED,
    ),
    Declared("relay_probe_handshakes_total", "counter", (*PROBE, "outcome"), "Pairings by how they ended.", PAIRED),
    Declared(
        "relay_probe_phase_seconds", "histogram", (*PROBE, "phase"),
        "The parts of reaching the relay, and its replies to commands.",
    ),
    Declared(
        "relay_probe_reconnect_seconds", "histogram", PROBE,
        "From the drop of a standing pair or connection until it was whole again.", CONTINUOUS, persistent=True,
    ),
    Declared(
        "relay_probe_messages_total", "counter", (*PROBE, "verdict"),
        "Messages by what became of them, each judged once, at its horizon.", PAIRED,
    ),
    Declared("relay_probe_messages_pending", "gauge", PROBE, "Messages sent and not judged yet.", PAIRED),
    Declared(
        "relay_probe_pair_seconds_total", "counter", (*PROBE, "state"),
        "Seconds that standing pairs and connections spent connected, and not.", CONTINUOUS, persistent=True,
    ),
    Declared(
        "relay_probe_disconnects_total", "counter", (*PROBE, "code"),
        "Standing connections and subscriptions taken away, by close or unsubscribe code.", CONTINUOUS, persistent=True,
    ),
    Declared(
        "relay_probe_confirmations_total", "counter", (*PROBE, "over", "outcome"),
        "Attempts that confirm a failure: fresh ones, and one over the standing pair that failed. That one has failed "
        "only where the pair stood and a fresh message, sent later, crossed: a silent node.",
    ),
    Declared(
        "relay_probe_address_failures_total", "counter", (*PROBE, "family"),
        "Addresses of the relay that could not be reached, by family.",
    ),
    Declared(
        "relay_probe_last_success_timestamp_seconds", "gauge", PROBE,
        "When the probe's last good run ended, in seconds since the epoch.",
    ),
    Declared("relay_probe_interval_seconds", "gauge", PROBE, "The longest gap between two runs of the probe."),
    Declared("relay_probe_maintenance", "gauge", PROBE, "1 inside a maintenance window, where runs are excluded."),
    Declared(
        "relay_probe_certificate_expiry_timestamp_seconds", "gauge", ("location", "relay"),
        "The earliest expiry in the relay's certificate chain, from the newest handshake.",
    ),
    Declared(
        "relay_probe_relay_info", "gauge", ("location", "relay", "max_severity"),
        "1, with the relay's own labels and its max_severity, to join with.",
    ),
    Declared(
        "relay_monitor_runs_total", "counter", ("location", "relay", "probe", "result"),
        "The schedule's own account of its slots: started, missed, skipped.",
    ),
    Declared(
        "relay_monitor_event_loop_lag_seconds", "histogram", ("location",),
        "How late the monitor's event loop ran what was due.",
    ),
    Declared(
        "relay_monitor_healthy", "gauge", ("location",),
        "0 while the monitor cannot trust itself: runs are aborted, relay_up is frozen.",
    ),
    Declared(
        "relay_monitor_build_info", "gauge", ("location", "version", "python"), "1, with the versions that run."
    ),
    Declared("relay_monitor_shard_info", "gauge", ("location", "shard"), "1, with the part of the relays it watches."),
    Declared(
        "relay_monitor_config_last_reload_successful", "gauge", ("location",),
        "Whether the last reading of the configuration succeeded.",
    ),
    Declared(
        "relay_monitor_config_last_reload_success_timestamp_seconds", "gauge", ("location",),
        "When the configuration was last read with success, in seconds since the epoch.",
    ),
)  # fmt: skip

BARE_PHASES: Final = (Phase.RESOLVE, Phase.PROXY, Phase.TCP, Phase.TLS, Phase.UPGRADE, Phase.HELLO)


def phases_of(scenario: Scenario) -> tuple[Phase, ...]:
    """The phases that runs of `scenario` can time: a bare connection subscribes to nothing and publishes nothing."""
    return tuple(Phase) if scenario in PAIRED else BARE_PHASES
