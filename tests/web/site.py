"""A web state with some runs, and a client for its pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import httpx

from monitor.clock import SYSTEM_CLOCK
from monitor.daemon.incidents import IncidentRecorder
from monitor.journal import Journal
from monitor.results import Failure
from monitor.scenarios import Scenario
from monitor.vocabulary import Condition, Reason, Step
from monitor.web import WebState, build_app
from monitor.web.banner import banner
from monitor.web.model import (
    LastRun,
    MaintenanceView,
    MonitorView,
    ProbeView,
    RelayLinks,
    RelayView,
    RoundTripView,
)
from tests.journal.sample import FULL, run
from tests.metrics.sample import exporter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp

    from monitor.metrics import Metrics

EVIL = "<script>alert(1)</script>"


def journal() -> Journal:
    store = Journal()
    store.add(run(1))
    store.add(run(2, relay="other"))
    store.add(FULL)
    store.add(
        run(8, failed=True, probe="idle", failure=Failure(step=Step.HOLD, reason=Reason.DISCONNECTED, detail=EVIL))
    )
    return store


@cache
def shown_journal() -> Journal:
    """Return the journal of which the views are made. Each journal has a thread."""
    return journal()


NOW = datetime(2024, 5, 1, 12, 9, 5, tzinfo=UTC)


def probe_view(store: Journal, relay: str, name: str) -> ProbeView:
    summary = store.last_all().get((relay, name))
    return ProbeView(
        name=name,
        scenario=Scenario.STEADY_MESSAGING,
        schedule="continuous",
        condition="none" if summary is None else summary.outcome.value,
        last=None if summary is None else LastRun(run=summary, age=(NOW - summary.started_at).total_seconds()),
        last_good_age=None,
        next_due=None,
    )


def relay_view(name: str, condition: Condition, **changes: Any) -> RelayView:
    """Return a relay that delivered no message."""
    defaults: dict[str, Any] = {
        "name": name,
        "url": "embedded",
        "condition": condition,
        "since": datetime(2024, 5, 1, 12, tzinfo=UTC),
        "seconds": 125.0,
        "sentence": f"{condition.value} for 2 min 05 s: no attempt has finished yet",
        "why": "no attempt has finished yet",
        "cause": None,
        "up": {Condition.UP: True, Condition.DOWN: False}.get(condition),
        "accepting": None,
        "last_delivered": None,
        "maintenance": None,
        "hour": (),
        "day": (),
        "success_ratio_1h": None,
        "round_trip": RoundTripView(),
        "lost_1h": 0,
        "budgets": (),
        "certificate_days": None,
        "probes": (probe_view(shown_journal(), name, "steady"),),
        "failures": (),
        "incident": None,
        "links": RelayLinks(),
    }
    return RelayView(**(defaults | changes))


def relays() -> tuple[RelayView, ...]:
    return (
        relay_view(
            "demo",
            Condition.DOWN,
            url="wss://relay.example.com/connection/websocket",
            sentence="down for 2 min 00 s: upgrade 502, 9 of 9 attempts failed",
            why="upgrade 502, 9 of 9 attempts failed",
            since=datetime(2024, 5, 1, 12, 7, 5, 250_000, tzinfo=UTC),
            last_delivered=datetime(2024, 5, 1, 12, 6, 58, tzinfo=UTC),
            maintenance=MaintenanceView(reason="weekly upgrade"),
            probes=tuple(probe_view(shown_journal(), "demo", name) for name in ("steady", "idle")),
        ),
        relay_view("fresh", Condition.DOWN, since=datetime(2024, 5, 1, 12, 0, 9, tzinfo=UTC)),
        relay_view("new", Condition.UNKNOWN),
        relay_view("other", Condition.UP, since=datetime(2024, 5, 1, 12, 0, 1, tzinfo=UTC)),
    )


def view(**changes: Any) -> MonitorView:
    healthy = changes.get("healthy", True)
    shown = changes.get("relays", relays())
    defaults: dict[str, Any] = {
        "version": "1.2.3",
        "install": "default",
        "location": EVIL,
        "shard": "0/1",
        "started_at": datetime(2024, 5, 1, 12, tzinfo=UTC),
        "now": NOW,
        "healthy": healthy,
        "reasons": (),
        "config_hash": "0123456789ab",
        "reloaded_at": datetime(2024, 5, 1, 12, tzinfo=UTC),
        "journal_healthy": True,
        "banner": banner(shown, healthy=healthy, reasons=()),
        "relays": shown,
        "failures": tuple(shown_journal().failures(NOW - timedelta(days=1), 20)),
    }
    return MonitorView(**(defaults | changes))


@cache
def shown_metrics() -> Metrics:
    """Return the metrics of a monitor without runs; shared by all tests, which do not change them."""
    return exporter()


@cache
def rendered() -> Callable[[str], tuple[bytes, str]]:
    """Return the renderer of these metrics."""
    return shown_metrics().render


def serving(shown: MonitorView) -> Callable[[], Awaitable[MonitorView]]:
    async def status() -> MonitorView:
        return shown

    return status


def state(**changes: Any) -> WebState:
    recorder = IncidentRecorder(shown_journal(), shown_metrics(), SYSTEM_CLOCK, install="default", location="here")
    defaults: dict[str, Any] = {
        "status": serving(view()),
        "journal": journal(),
        "incidents": recorder,
        "metrics": rendered(),
        "ready": lambda: None,
    }
    return WebState(**(defaults | changes))


def client(app: ASGIApp | None = None, **changes: Any) -> httpx.AsyncClient:
    """Return a client that calls the application without a socket."""
    transport = httpx.ASGITransport(app or build_app(state(**changes)))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9464")
