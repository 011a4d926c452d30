"""The state of a relay as JSON values, for the pages and the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.clock import utc
from monitor.config import Cron, Every, show_duration
from monitor.reachability.sentence import describe

if TYPE_CHECKING:
    from datetime import datetime

    from monitor.clock import Clock
    from monitor.config import Config, ProbeConfig
    from monitor.relays import MonitoredRelay
    from monitor.results import Cause
    from monitor.schedule import Maintenance, Schedule


def relay_status(
    relay: MonitoredRelay, config: Config, clock: Clock, maintenance: Maintenance, schedule: Schedule
) -> dict[str, Any]:
    """Return the state of one relay and of its probes as JSON values."""
    name, verdict = relay.config.name, relay.verdict
    status = verdict.status
    ago = clock.monotonic() - verdict.delivered_at
    probes = [probe for probe in config.probes if name in probe.relays]
    return {
        "name": name,
        "url": relay.config.url.partition("?")[0],  # the query may contain a token
        "up": verdict.up,
        "accepting": status.accepting,
        "condition": status.condition.value,
        "since": _iso(status.since),
        "sentence": describe(status, utc(clock)),
        "cause": None if status.cause is None else _cause(status.cause),
        "lastCrossing": None if ago == float("inf") else _iso(utc(clock, ago)),
        "maintenance": maintenance.active(name),
        "probes": [
            {
                "name": probe.name,
                "scenario": probe.scenario.value,
                "schedule": _schedule_text(probe),
                "nextDue": _iso(None if probe.is_continuous else schedule.next_due(name, probe.name)),
            }
            for probe in probes
        ],
    }


def _cause(cause: Cause) -> dict[str, str]:
    return {
        "step": cause.step.value,
        "reason": cause.reason.value,
        "status": cause.status,
        "detail": cause.detail,
        "endpoint": cause.endpoint,
    }


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _schedule_text(probe: ProbeConfig) -> str:
    match probe.schedule:
        case Every(every=period):
            return f"every {show_duration(period)}"
        case Cron(cron=line, timezone=timezone):
            return f"{line} {timezone}"
    return "continuous"
