"""The SLOs as OpenSLO documents: what its specification of version 1 requires of them."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from monitor.config import Config, load, parse
from monitor.slo.generate import differences
from monitor.slo.openslo import FILE, left_out, object_name, openslo_files
from tests.relays import ROOT

DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
OVERRIDES = """
install: prod
relays: [{name: EU.1, url: embedded}, {name: eu-1, url: embedded}]
probes: [{name: steady, scenario: steady-messaging}]
slos:
  - {name: fast, probe: steady, sli: latency, threshold: 400ms, objective: 99.95%, window: 36h,
     overrides: {eu-1: {threshold: 250ms, objective: 100%}}}
"""


@pytest.fixture
def shipped() -> Config:
    return load(ROOT / "config.yaml", {})


def documents(config: Config) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(openslo_files(config)[FILE]))


def test_each_relay_is_a_service_and_each_objective_an_slo(shipped: Config) -> None:
    kinds = [(item["kind"], item["metadata"]["displayName"]) for item in documents(shipped)]
    assert kinds == [
        ("Service", "demo"),
        ("SLO", "round-trip of demo"),
        ("SLO", "delivery of demo"),
        ("SLO", "stability of demo"),
        ("SLO", "pairing of demo"),
    ]
    assert left_out(shipped) == ["recovery"]


def test_an_slo_counts_the_events_that_the_rules_count() -> None:
    config = parse(OVERRIDES, "config.yaml", {})
    (slo,) = (item for item in documents(config) if item["kind"] == "SLO")
    spec = slo["spec"]
    assert slo["apiVersion"] == "openslo/v1"
    assert spec["service"] == object_name("EU.1")
    assert spec["timeWindow"] == [{"duration": "36h", "isRolling": True}]
    assert spec["budgetingMethod"] == "Occurrences"
    assert spec["objectives"] == [{"displayName": "fast", "target": 0.9995}]
    assert spec["description"] == "latency by steady, within 400 ms"
    metric = spec["indicator"]["spec"]["ratioMetric"]
    selector = 'install="prod", relay="EU.1", slo="fast"'
    assert metric["counter"] is True
    assert metric["good"]["metricSource"] == {
        "type": "Prometheus",
        "spec": {"query": f'sum(relay_slo_events_total{{{selector}, outcome="good"}})'},
    }
    assert metric["total"]["metricSource"]["spec"] == {"query": f"sum(relay_slo_events_total{{{selector}}})"}
    assert left_out(config) == ["fast"]


def test_names_are_dns_labels_and_stay_different() -> None:
    names = [
        object_name(text)
        for text in (
            "eu-1",
            "EU-1",
            "eu.1",
            "eu_1",
            "x" * 63,
            "x" * 64,
            "x" * 65,
            "9.",
            "eu/fast-delivery",
            "eu-fast/delivery",
        )
    ]
    assert len(set(names)) == len(names)
    assert all(DNS_LABEL.fullmatch(name) for name in names)
    assert names[0] == "eu-1"


def test_runbooks_beside_the_file_are_no_difference(shipped: Config) -> None:
    files = openslo_files(shipped)
    assert differences(files, ROOT) == [f"{ROOT / FILE}: is missing"]
