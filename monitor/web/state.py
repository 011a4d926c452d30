"""The interface of the pages to the rest of the program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from monitor.journal import Journal


@dataclass(frozen=True, slots=True, kw_only=True)
class WebState:
    """The monitor's interface for the pages. All but `metrics` is called on the event loop.

    `ready` returns why the monitor is not ready, or None. `reload` reloads the configuration; it raises `ConfigError`
    if that is invalid, and another `MonitorError` if it cannot be applied.
    """

    status: Callable[[], dict[str, Any]]
    journal: Journal
    metrics: Callable[[str], tuple[bytes, str]]
    ready: Callable[[], str | None]
    reload: Callable[[], Awaitable[None]] | None = None
