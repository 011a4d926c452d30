"""The interface of the pages to the rest of the program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence
    from datetime import datetime
    from pathlib import Path

    from monitor.drill import Drill
    from monitor.incidents import Incident
    from monitor.journal import Journal
    from monitor.schedule import Window
    from monitor.web.model import MonitorView


class MaintenanceControl(Protocol):
    """Starts, ends and lists maintenance windows."""

    def start(self, relays: Sequence[str] | None, seconds: float, reason: str, by: str) -> Window:
        """Open a window of some relays, None for all. Raises `RequestError`."""

    def end(self, id: str, by: str) -> Window:  # noqa: A002 - the field's name
        """End a window. Raises `RequestError` if none of this id is open."""

    def list(self) -> tuple[Window, ...]:
        """Return the open windows on demand, the first to end first."""

    def configured(self) -> tuple[Window, ...]:
        """Return the open windows of the configuration; their id is empty."""

    def now(self) -> datetime:
        """Return the present time, in UTC."""

    def relays(self) -> Collection[str]:
        """Return the names of the relays that exist."""


class DrillControl(Protocol):
    """Starts, follows and ends drills of the page chain."""

    newest: Drill | None
    """The drill that runs, or the last one."""

    @property
    def min_timeout(self) -> float:
        """A drill of this many seconds or fewer cannot succeed."""

    @property
    def token_file(self) -> Path | None:
        """The file with the token that a notification must have; None if it needs none."""

    def start(self, timeout: float | None, author: str) -> Drill:
        """Start a drill; `timeout` in seconds, None for the usual one. Raises `RequestError` if one runs."""

    def cancel(self, id: str) -> Drill:  # noqa: A002 - the field's name
        """End the drill with this id. Raises `RequestError` if it does not run."""

    def see_scrape(self, id: str, scraper: str) -> None:  # noqa: A002 - the field's name
        """Note that /metrics was scraped with the series of the drill with this id."""

    def see_notification(self, id: str, fired_at: float | None) -> bool:  # noqa: A002 - the field's name
        """Note the notification of a drill; return whether it is the one that runs.

        `fired_at` is the Unix time at which its alert began to fire, None if that is not known.
        """


class IncidentList(Protocol):
    """The incidents. Its methods may block, and any thread may call them."""

    def list(
        self,
        *,
        relay: str | None = None,
        since: datetime | None = None,
        open: bool | None = None,  # noqa: A002 - what it is called
        limit: int = 50,
    ) -> list[Incident]:
        """Return incidents, open ones first, each newest first; None matches all. `since`: open then or later."""

    def get(self, incident_id: str) -> Incident | None:
        """Return an incident by its id, or None."""

    def present(self, relay: str | None = None) -> Sequence[Incident]:
        """Return the open incidents and those that may be reopened, of one relay or of all. Never blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebState:
    """The monitor's interface for the pages. All but `metrics` is called on the event loop.

    `status` returns the present view of everything; all who ask within a second get the same one. `ready` returns why
    the monitor is not ready, or None. `reload` reloads the configuration; it raises `ConfigError` if that is invalid,
    and another `MonitorError` if it cannot be applied. `runbooks` returns the address of the
    runbook of an alert for a relay. `host_names` returns the names under which the monitor serves data.
    """

    status: Callable[[], Awaitable[MonitorView]]
    journal: Journal
    metrics: Callable[[str], tuple[bytes, str]]
    ready: Callable[[], str | None]
    incidents: IncidentList | None = None
    maintenance: MaintenanceControl | None = None
    drills: DrillControl | None = None
    reload: Callable[[], Awaitable[None]] | None = None
    runbooks: Callable[[str, str], str] | None = None
    host_names: Callable[[], Collection[str]] = frozenset
