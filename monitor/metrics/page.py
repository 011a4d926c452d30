"""The page that Prometheus scrapes, and the same series as a registry of prometheus_client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import RestrictedRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client import Metric

    from monitor.metrics.store import Family

    Source = Callable[[], Iterator[Family]]

disable_created_metrics()  # type: ignore[no-untyped-call]


class Page:
    """All series: those of `families` and `process_*`."""

    def __init__(self, families: Source) -> None:
        self._families = families
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        self.registry: CollectorRegistry = _Registry(families, self._process)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Render in the format that the `Accept` header prefers; returns the body and its content type."""
        try:
            encoder, content_type = choose_encoder(accept)
        except TypeError:  # raised for a version that is not a number
            encoder, content_type = choose_encoder("")
        openmetrics = content_type.startswith("application/openmetrics-text")
        # Encoded one by one: another thread can run in between.
        parts = [family.text(openmetrics=openmetrics).encode() for family in self._families()]
        return b"".join([*parts, encoder(self._process)]), content_type


class _Registry(CollectorRegistry):
    """The registry of a page."""

    def __init__(self, families: Source, process: CollectorRegistry) -> None:
        super().__init__(auto_describe=False)
        self._source, self._own_process = families, process

    def collect(self) -> Iterator[Metric]:
        for family in self._source():
            yield from family.collect()
        yield from self._own_process.collect()

    def restricted_registry(self, names: Iterable[str]) -> RestrictedRegistry:
        return _Restricted(frozenset(names), self._source)


class _Restricted(RestrictedRegistry):
    """The samples with these names."""

    def __init__(self, names: frozenset[str], families: Source) -> None:
        self._names, self._source = names, families

    def collect(self) -> Iterator[Metric]:
        for family in self._source():
            if any(name.startswith(family.name) for name in self._names):
                for metric in family.collect():
                    samples = [sample for sample in metric.samples if sample.name in self._names]
                    if samples:
                        metric.samples = samples
                        yield metric
