"""The registry of one monitor and the page that Prometheus scrapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client import Metric
    from prometheus_client.registry import RestrictedRegistry


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
    return encoder(registry), content_type
