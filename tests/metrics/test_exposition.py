"""The page of metrics is that of prometheus_client, byte by byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest
from prometheus_client.exposition import choose_encoder

from monitor.metrics import exposition
from monitor.metrics.declared import MetricSpec
from monitor.metrics.exemplars import Exemplar, family_of
from monitor.metrics.page import Registry, render
from tests.metrics.sample import filled

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from monitor.metrics import Metrics

FORMATS = (
    "",
    "text/plain;version=0.0.4",
    "text/plain;version=1.0.0;escaping=allow-utf-8",
    "application/openmetrics-text;version=0.0.1",
    "application/openmetrics-text;version=1.0.0;escaping=underscores",
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8",
)
KINDS: tuple[Literal["counter", "gauge", "histogram"], ...] = ("counter", "gauge", "histogram")


def lines(page: bytes) -> list[str]:
    """Return the lines, without those of the process, whose values change meanwhile."""
    return [line for line in page.decode().splitlines() if not line.startswith("process_")]


def expected(registry: CollectorRegistry, accept: str) -> list[str]:
    return lines(choose_encoder(accept)[0](registry))


@pytest.fixture(scope="module")
def metrics() -> Metrics:
    return filled()


@pytest.mark.parametrize("accept", FORMATS)
def test_the_page_of_a_monitor(metrics: Metrics, accept: str) -> None:
    for _ in range(2):  # with labels that are encoded, and with those that were kept
        assert lines(metrics.render(accept)[0]) == expected(metrics.registry, accept)


@pytest.mark.parametrize("accept", FORMATS)
@pytest.mark.parametrize("names", [("install", "location"), ("a", "b"), ("relay",)])
def test_labels_before_and_after_le_and_any_text(names: tuple[str, ...], accept: str) -> None:
    registry = Registry(lambda: None)
    for kind in KINDS:
        help_text = 'a "b" \\ \n c'
        family = family_of(MetricSpec(f"some_{kind}", kind, names, help_text), f"some_{kind}", (0.5, 1.0))
        registry.register(family)
        for text in ("plain", 'a"b', "back\\slash", "line\nbreak", "é✓", ""):
            child = family.labels(*[text] * len(names))
            if kind == "histogram":
                child.observe_run(0.7, "018f-run", 1714564790.125)
                child.observe_run(1e9, "018f-late", 0.0)
            elif kind == "counter":
                child.count(12345678.0, Exemplar("018f-run", 0.25, 1714564790.125))
            else:
                child.set_function(lambda: 1e-7)
    assert lines(render(registry, accept)[0]) == expected(registry, accept)


def test_the_labels_of_removed_series_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition, "MIN_KEPT", 10)
    registry = Registry(lambda: None)
    family = family_of(MetricSpec("some", "gauge", ("relay",), "Text."), "some", ())
    registry.register(family)
    kept = registry.exposition._labels
    for number in range(100):
        family.labels(f"relay-{number}").set(number)
        render(registry, "")
        family.remove(f"relay-{number}")
        assert sum(map(len, kept.values())) <= 12
