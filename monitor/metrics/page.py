"""The registry of one monitor and the page that Prometheus scrapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from monitor.metrics.exemplars import EncodedFamily
from monitor.metrics.exposition import LAST_LINE, Exposition, encode_metric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client import Metric
    from prometheus_client.registry import Collector, RestrictedRegistry

_OPENMETRICS: Final = "application/openmetrics-text"


class Registry(CollectorRegistry):
    """A registry with `process_*` that calls `flush` before it is read."""

    def __init__(self, flush: Callable[[], None]) -> None:
        super().__init__(auto_describe=False)
        self.exposition = Exposition()
        self._flush = flush
        ProcessCollector(registry=self)

    def collect(self) -> Iterator[Metric]:
        """All metrics with their samples."""
        self._flush()
        yield from super().collect()

    def collectors(self) -> list[Collector]:
        """Return all collectors."""
        self._flush()
        with self._lock:
            return list(self._collector_to_names)

    def restricted_registry(self, names: Iterable[str]) -> RestrictedRegistry:
        """The metrics with these names."""
        self._flush()
        return super().restricted_registry(names)


def render(registry: Registry, accept: str) -> tuple[bytes, str]:
    """Render in the format that an `Accept` header prefers; returns the body and its content type."""
    try:
        encoder, content_type = choose_encoder(accept)
    except TypeError:  # raised for a version that is not a number
        encoder, content_type = choose_encoder("")
    exposition, openmetrics = registry.exposition, content_type.startswith(_OPENMETRICS)
    exposition.begin()
    # Metric by metric: to join and encode all lines at once would block all threads, the event loop's too.
    pages = []
    for collector in registry.collectors():
        if isinstance(collector, EncodedFamily):
            pages.append(exposition.encode(collector, encoder, exemplars=openmetrics))
        else:
            pages += [encode_metric(metric, encoder) for metric in collector.collect()]
    if openmetrics:
        pages.append(LAST_LINE)
    return b"".join(pages), content_type
