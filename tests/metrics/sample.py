"""A configuration with every scenario, and what its probes publish."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from monitor.config import parse
from monitor.drill import Drill
from monitor.metrics import Metrics
from monitor.results import Cause, CertificateSeen, EndpointFailed, Exchange, Failure, Pairing, RelayStatus, Run
from monitor.scenarios import Scenario
from monitor.vocabulary import Condition, Outcome, Reason, Step

if TYPE_CHECKING:
    from prometheus_client import Metric

    from monitor.config import Config

Series: TypeAlias = dict[tuple[str, frozenset[tuple[str, str]]], float]

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
RUN_ID = "018f2f3a-0000-7000-8000-000000000001"

CONFIG = """
location: here
relays:
  - {name: alpha, url: embedded, labels: {team: wallets}}
  - {name: beta, url: embedded, max_severity: warning}
probes:
  - {name: steady, scenario: steady-messaging}
  - {name: bounded, scenario: steady-messaging, schedule: {every: 5m}}
  - {name: idle, scenario: steady-state}
  - {name: offline, scenario: async-delivery, schedule: {every: 2m}}
  - {name: session, scenario: realistic-session, schedule: {every: 10m}}
  - {name: storm, scenario: connection-storm, schedule: {every: 10m}}
slos:
  - {name: fast, probe: steady, sli: latency, threshold: 400ms, objective: 99%, overrides: {beta: {threshold: 1s}}}
  - {name: delivery, probe: [steady, session], sli: availability, objective: 99.9%}
  - {name: stability, probe: [steady, idle], sli: stability, objective: 99.9%}
  - {name: pairing, probe: steady, sli: pairing, objective: 99%, window: 7d}
  - {name: trend, probe: steady, sli: trend}
"""


def config(text: str = CONFIG) -> Config:
    return parse(text, "config.yaml", {})


def exporter(text: str = CONFIG) -> Metrics:
    return Metrics(config(text), version="1.2.3", shard="0/2", scrapes_at_zero=0)


def rendered(metrics: Metrics, accept: str = "") -> dict[str, Metric]:
    """Return the families of the page, as Prometheus' own parser reads them. It takes a quarter of a second."""
    parsed = parse_openmetrics if accept else parse_text
    return {family.name: family for family in parsed(metrics.render(accept)[0].decode())}


def families(metrics: Metrics) -> dict[str, Metric]:
    """Return the families as the registry has them, which the page is rendered from."""
    return {family.name: family for family in metrics.registry.collect()}


def series(metrics: Metrics, *names: str) -> Series:
    """Return the samples of these names, or all but `process_*`.

    They are read from the registry, which takes a thousandth of the time of rendering and parsing a page.
    """
    registry = metrics.registry.restricted_registry(names) if names else metrics.registry
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in registry.collect()
        for sample in family.samples
        if names or not sample.name.startswith("process_")
    }


def probe_labels(probe: str = "steady", relay: str = "alpha") -> dict[str, str]:
    scenario = next(item.scenario for item in config().probes if item.name == probe)
    return {"install": "default", "location": "here", "relay": relay, "probe": probe, "scenario": scenario.value}


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """One sample, or None if there is none. Labels left out are those of probe `steady` on relay `alpha`."""
    every = probe_labels(labels.pop("probe", "steady"), labels.pop("relay", "alpha")) | labels
    return series(metrics, name).get((name, frozenset(every.items())))


def of_relay(metrics: Metrics, name: str, *, relay: str = "alpha", **labels: str) -> float | None:
    """One sample of a relay, or None if there is none."""
    every = {"install": "default", "location": "here", "relay": relay} | labels
    return series(metrics, name).get((name, frozenset(every.items())))


def slo_events(metrics: Metrics, slo: str, *, relay: str = "alpha", probe: str = "steady") -> tuple[float, float]:
    """The good and the bad events of one SLO."""
    labels = {"install": "default", "location": "here", "relay": relay, "probe": probe, "slo": slo}
    found = series(metrics, "relay_slo_events_total")
    good, bad = (
        found["relay_slo_events_total", frozenset((labels | {"outcome": outcome}).items())]
        for outcome in ("good", "bad")
    )
    return good, bad


def status(relay: str = "alpha", *, up: bool | None, **fields: Any) -> RelayStatus:
    condition = {True: Condition.UP, False: Condition.DOWN, None: Condition.UNKNOWN}[up]
    cause = None if up else Cause(step=Step.UPGRADE, reason=Reason.HTTP_STATUS, status="502")
    usual: dict[str, Any] = {
        "relay": relay,
        "condition": condition,
        "since": datetime(2024, 5, 1, 12, tzinfo=UTC),
        "up": up,
        "accepting": up,
        "cause": cause,
    }
    return RelayStatus(**(usual | fields))


def failure(step: Step = Step.DELIVER, reason: Reason = Reason.LOST) -> Failure:
    return Failure(step=step, reason=reason)


def exchange(outcome: Outcome = Outcome.OK, round_trip: float | None = 0.1, **fields: Any) -> Exchange:
    if outcome is Outcome.FAILED:
        fields = {"failure": failure()} | fields
        round_trip = None
    return Exchange(outcome=outcome, round_trip=round_trip, **fields)


def run(*exchanges: Exchange, probe: str = "steady", relay: str = "alpha", **fields: Any) -> Run:
    failed = next((item for item in exchanges if item.outcome is not Outcome.OK), None)
    usual: dict[str, Any] = {
        "id": RUN_ID,
        "relay": relay,
        "probe": probe,
        "scenario": Scenario.STEADY_MESSAGING,
        "started_at": datetime(2024, 5, 1, 12, tzinfo=UTC),
        "duration": 0.5,
        "outcome": failed.outcome if failed else Outcome.OK,
        "failure": failed.failure if failed else None,
        "exchanges": exchanges,
    }
    return Run(**(usual | fields))


def filled() -> Metrics:
    """An exporter whose every series has a value."""
    metrics = exporter()
    metrics.publish(run(exchange(), pairing=Pairing(outcome=Outcome.OK, seconds=0.3)))
    metrics.publish(CertificateSeen(relay="alpha", probe="steady", run_id=RUN_ID, not_after=1.9e9))
    metrics.set_relay_status(status("alpha", up=False))
    metrics.set_credentials_expiry("alpha", 1.9e9, 86_400.0)
    metrics.set_reference_up(True)
    metrics.set_config_info("abc")
    metrics.publish(EndpointFailed(relay="alpha", probe="steady", run_id=RUN_ID, endpoint="one.example.com:443"))
    metrics.count_task_failure("schedule")
    metrics.set_healthy(healthy=True)
    metrics.set_reload(ok=True, at=1.7e9)
    drill = Drill(id="k7m2", author="ana", started_at=1.7e9, timeout=180.0)
    metrics.begin_drill("other")
    metrics.end_drill(drill.see_notification(21.0, None))
    return metrics
