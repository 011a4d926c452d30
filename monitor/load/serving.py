"""Metrics of a load test, in the daemon's series: served while the test runs, or pushed at its end."""

from __future__ import annotations

from contextlib import contextmanager
from http.client import HTTPException
from typing import TYPE_CHECKING, Final

import structlog
from prometheus_client import push_to_gateway, start_http_server

import monitor
from monitor.errors import StartupError
from monitor.load.scenario_runner import config_of
from monitor.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.config import SloConfig
    from monitor.load.plan import Plan

_log = structlog.get_logger(__name__)

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
    metrics = Metrics(config_of(plan, own_slos), version=monitor.__version__)
    metrics.set_healthy(True)
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


def _push(gateway: str, plan: Plan, metrics: Metrics) -> None:
    grouping = {"scenario": plan.scenario.value, "worker": str(plan.worker[0])}
    try:
        push_to_gateway(gateway, job=JOB, registry=metrics.registry, grouping_key=grouping, timeout=10)
    except (OSError, HTTPException) as error:  # the latter if the response is not HTTP
        _log.error("metrics not pushed", gateway=gateway, why=str(error))  # costs no result
