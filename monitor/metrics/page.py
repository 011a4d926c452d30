"""The registry of one monitor and the page that Prometheus scrapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client import Metric
    from prometheus_client.registry import RestrictedRegistry

_LAST_LINE: Final = b"# EOF\n"
"""The last line of OpenMetrics."""


class Registry(CollectorRegistry):
    """A registry with `process_*` that calls `flush` before it is read."""

    def __init__(self, flush: Callable[[], None]) -> None:
        super().__init__(auto_describe=False)
        self._flush = flush
        ProcessCollector(registry=self)

    def collect(self) -> Iterator[Metric]:
        """All metrics with their samples."""
        self._flush()
        yield from super().collect()

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
    # Metric by metric: to join and encode all lines at once would block all threads, the event loop's too.
    pages = [encoder(_Single(metric)).removesuffix(_LAST_LINE) for metric in registry.collect()]
    if content_type.startswith("application/openmetrics-text"):
        pages.append(_LAST_LINE)
    return b"".join(pages), content_type


class _Single(Collector):
    """One metric, as the encoders take it."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        """The metric."""
        yield self._metric
