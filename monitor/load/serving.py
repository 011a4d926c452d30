"""Metrics of a load test, `relay_load_*`: served while the test runs, or pushed at its end.

They are the daemon's series of a probe under names of their own: a load test is no monitor, and no rule of a monitor
may read them.
"""

from __future__ import annotations

from contextlib import contextmanager
from http.client import HTTPException
from typing import TYPE_CHECKING, Final

import structlog
from prometheus_client import push_to_gateway, start_http_server

import monitor
from monitor.errors import StartupError
from monitor.load.load_metrics import LoadCollector
from monitor.load.plan import RELAY
from monitor.load.scenario_runner import config_of
from monitor.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.clock import Clock
    from monitor.config import SloConfig
    from monitor.load.plan import Plan
    from monitor.load.statistics import LoadStatistics

_log = structlog.get_logger(__name__)

_ONLY_OF_MONITORS: Final = frozenset(
    f"relay_probe_{name}" for name in ("up", "relay_info", "interval_seconds", "maintenance", "confirmations_total")
)

JOB: Final = "relay-monitor-load"
"""The job label at the push gateway."""


@contextmanager
def metrics_of(
    plan: Plan, slos: tuple[SloConfig, ...], listen: tuple[str, int] | None, gateway: str | None
) -> Iterator[Metrics]:
    """Provide metrics, served on `listen` and pushed to `gateway` at the end. Raises `StartupError`.

    The SLOs apply to the probe that runs the test.
    """
    own_slos = tuple(slo.model_copy(update={"probe": (plan.scenario.value,)}) for slo in slos)
    metrics = Metrics(config_of(plan, own_slos), version=monitor.__version__, rename=load_name, scrapes_at_zero=0)
    server = None
    if listen is not None:
        try:
            server, thread = start_http_server(listen[1], listen[0], registry=metrics.registry)
        except OSError as error:
            raise StartupError(f"{listen[0]}:{listen[1]}: cannot serve metrics: {error.strerror}") from error
    try:
        yield metrics
    finally:
        if server is not None:
            server.shutdown()
            server.server_close()
            thread.join()
        if gateway is not None:
            _push(gateway, plan, metrics)


def export_statistics(metrics: Metrics, plan: Plan, statistics: LoadStatistics, clock: Clock) -> None:
    """Export the statistics of a test too, which begins now."""
    config = config_of(plan)
    labels = {
        "install": config.install,
        "location": config.location,
        "relay": RELAY,
        "probe": plan.scenario.value,
        "scenario": plan.scenario.value,
    }
    metrics.registry.register(LoadCollector(plan, statistics, clock, labels))


def load_name(name: str) -> str | None:
    """Return the name of one of the daemon's metrics in a load test; None if a load test does not have it."""
    if name == "relay_monitor_event_loop_lag_seconds":
        return "relay_load_event_loop_lag_seconds"
    if name in _ONLY_OF_MONITORS:
        return None
    for start, own in (("relay_probe_", "relay_load_"), ("relay_slo_", "relay_load_slo_")):
        if name.startswith(start):
            return own + name.removeprefix(start)
    return None


def _push(gateway: str, plan: Plan, metrics: Metrics) -> None:
    grouping = {"scenario": plan.scenario.value, "worker": str(plan.worker[0])}
    try:
        push_to_gateway(gateway, job=JOB, registry=metrics.registry, grouping_key=grouping, timeout=10)
    except (OSError, HTTPException) as error:  # the latter if the response is not HTTP
        _log.error("metrics not pushed", gateway=gateway, why=str(error))  # costs no result
