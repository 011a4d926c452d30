"""A load test's own `/metrics`: the daemon's series, live while the test runs, or pushed when it is over."""

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
"""The push gateway's name for what comes from here."""


@contextmanager
def metrics_of(
    plan: Plan, slos: tuple[SloConfig, ...], listen: tuple[str, int] | None, gateway: str | None
) -> Iterator[Metrics]:
    """Metrics to publish to, served on `listen` and pushed to `gateway` at the end. Raises `StartupError`.

    SLOs count for the probe that plays the test.
    """
    ours = tuple(slo.model_copy(update={"probe": (plan.scenario.value,)}) for slo in slos)
    metrics = Metrics(config_of(plan, ours), version=monitor.__version__)
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
    except (OSError, HTTPException) as error:  # the latter of an answer that is no HTTP
        _log.error("metrics not pushed", gateway=gateway, why=str(error))  # the result is there all the same
