"""Metrics of `relay-monitor once`, for the textfile collector of node_exporter.

They are gauges with the time of the run. No rule of a monitor reads them, and a file that is not written again stays as
it is: a rule must compare `relay_once_timestamp_seconds` with `time()`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from monitor.metrics.declared import PROBE
from monitor.vocabulary import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.config import Config
    from monitor.results import Run

DECLARED: Final = {
    "relay_once_success": (PROBE, "1 if the run succeeded, 0 if it failed; absent if the monitor aborted it."),
    "relay_once_timestamp_seconds": (PROBE, "Unix time at which the run ended; absent if the monitor aborted it."),
    "relay_once_duration_seconds": (PROBE, "Duration of the run, with its waits."),
    "relay_once_round_trip_seconds": (PROBE, "Longest round trip of the run; absent if it has none."),
    "relay_once_failure_info": ((*PROBE, "step", "reason"), "1 if the run failed; has step and reason."),
}


def render(config: Config, runs: Iterable[Run]) -> bytes:
    """Render the results of `runs`, each of another probe or relay, as text."""
    registry = CollectorRegistry()
    families = {name: Gauge(name, text, labels, registry=registry) for name, (labels, text) in DECLARED.items()}
    for run in runs:
        labels = (config.install, config.location, run.relay, run.probe, run.scenario.value)
        if run.outcome not in {Outcome.OK, Outcome.FAILED}:
            continue
        trips = [exchange.round_trip for exchange in run.exchanges if exchange.round_trip is not None]
        values = {
            "relay_once_success": float(run.outcome is Outcome.OK),
            "relay_once_timestamp_seconds": run.started_at.timestamp() + run.duration,
            "relay_once_duration_seconds": run.duration,
            "relay_once_round_trip_seconds": max(trips, default=None),
        }
        for name, value in values.items():
            if value is not None:
                families[name].labels(*labels).set(value)
        if run.failure is not None:
            families["relay_once_failure_info"].labels(*labels, run.failure.step, run.failure.reason).set(1)
    return generate_latest(registry)
