"""A reload: what it reads and checks before anything changes, and how the parts of the daemon are switched to it."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from monitor.clock import utc
from monitor.config import changes, refusals
from monitor.config.audit import audit, reload_text, texts_of
from monitor.errors import ConfigError, MonitorError, StartupError
from monitor.relays import collections_suspended
from monitor.threads import run_in_thread
from monitor.web import read_security

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from monitor.clock import Clock
    from monitor.config import Changes, Config
    from monitor.daemon.conditions import Conditions
    from monitor.daemon.drills import Drills
    from monitor.daemon.incidents import IncidentRecorder
    from monitor.daemon.supervisor import ProbeSupervisor
    from monitor.health import SelfCheck
    from monitor.journal import Journal
    from monitor.metrics import Metrics
    from monitor.relays import MonitoredRelay, MonitoredRelays
    from monitor.schedule import Maintenance
    from monitor.supervision import Supervision
    from monitor.web import WebAuth
    from monitor.web.auth import ServerSecurity
    from monitor.web.config import WebConfig

_log = structlog.get_logger(__name__)

MANY_RELAYS: Final = 10
"""Relays opened by one reload from which on garbage collection is suspended; what it then leaves is not collected."""


class Parts(Protocol):
    """The parts of the daemon that a reload changes."""

    auth: WebAuth
    clock: Clock
    conditions: Conditions | None
    config: Config
    drills: Drills
    health: SelfCheck
    incidents: IncidentRecorder
    journal: Journal
    maintenance: Maintenance
    metrics: Metrics
    monitored_relays: MonitoredRelays
    reloaded_at: datetime
    supervision: Supervision
    supervisor: ProbeSupervisor

    def read_reload(self) -> Reload:
        """Read and check what is to be applied. May block; raises `MonitorError`."""

    def set_config_hash(self, config_hash: str) -> None:
        """Note the hash of the configuration in force."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload:
    """What a reload has read, and its differences from the configuration in force.

    changes: the differences as texts without secrets, for people.
    """

    config: Config
    difference: Changes
    maintenance: Maintenance
    security: ServerSecurity
    config_hash: str
    changes: list[str]


def read_reload(
    source: Callable[[], Config],
    current: Config,
    current_web: WebConfig,
    maintenance: Callable[[Config], Maintenance],
) -> Reload:
    """Read and check what a reload applies. May block.

    Raises `ConfigError` for an invalid configuration or a change that needs a restart, and another `MonitorError` if
    a file cannot be read.
    """
    config = source()
    if faults := refusals(current, config):
        raise ConfigError("the configuration", faults)
    security = read_security(config.server.web_config_file)
    return Reload(
        config=config,
        difference=changes(current, config),
        maintenance=maintenance(config),
        security=security,
        config_hash=config_hash(config),
        changes=texts_of(audit(current, config) + audit(current_web, security.config)),
    )


def config_hash(config: Config) -> str:
    """Return a short hash of a configuration, in which secrets have no part."""
    return hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:12]


async def reload_parts(parts: Parts) -> None:
    """Read the configuration and apply it, or leave everything as it is and raise `MonitorError`."""
    opened: list[MonitoredRelay] = []
    try:
        reload = await run_in_thread("read of the configuration", parts.read_reload)
        many = len(reload.difference.opened) >= MANY_RELAYS
        with collections_suspended() if many else nullcontext():
            opened = await parts.monitored_relays.open(reload.difference.opened)
            await _change(parts, reload, opened)
    except MonitorError as error:
        parts.metrics.set_reload(at=parts.clock.time(), ok=False)
        _log.error("configuration reload failed", why=str(error))
        raise
    except asyncio.CancelledError:  # the monitor stops
        unused = [relay for relay in opened if relay not in parts.monitored_relays.relays.values()]
        await parts.monitored_relays.close(unused)
        raise
    except Exception as error:
        parts.metrics.set_reload(at=parts.clock.time(), ok=False)
        _log.exception("configuration reload failed by an internal error")
        why = f"internal error, {type(error).__name__}: {error}; see the log, then restart the monitor"
        raise StartupError(why) from error
    parts.maintenance = reload.maintenance
    parts.auth.apply(reload.security)
    parts.set_config_hash(reload.config_hash)
    parts.metrics.set_reload(at=parts.clock.time(), ok=True)
    parts.reloaded_at = utc(parts.clock)
    _record(parts, reload)


async def _change(parts: Parts, reload: Reload, opened: list[MonitoredRelay]) -> None:
    """Switch to a configuration that was checked; this cannot fail."""
    config, difference = reload.config, reload.difference
    await parts.supervisor.stop(difference.stopped)
    for name in difference.closed:
        parts.supervision.forget(name)
        if parts.conditions is not None:
            parts.conditions.forget(name)
    removed = [parts.monitored_relays.relays[name] for name in difference.closed]
    await parts.monitored_relays.close(removed)
    for name in difference.closed - {relay.name for relay in config.relays}:
        parts.incidents.removed(name)
    # After the probes' last reports, so that these do not create the series again.
    await parts.metrics.reconfigure_in_slices(config)
    parts.metrics.forget(difference.closed & {relay.name for relay in config.relays})
    await parts.monitored_relays.apply(config, difference, opened)
    if config.references != parts.config.references:
        parts.health.references = config.references
    parts.config = config
    parts.journal.configure(config)
    parts.drills.configure(config)
    await parts.supervisor.start_all(difference.started)


def _record(parts: Parts, reload: Reload) -> None:
    """Log what a reload has changed, and add it to the journal and to open incidents."""
    stopped, started = len(reload.difference.stopped), len(reload.difference.started)
    fields = {"stopped": stopped, "started": started, "config_hash": reload.config_hash, "changes": reload.changes}
    _log.info("configuration reloaded", **fields)
    text = reload_text(reload.changes)
    parts.journal.save_event(parts.reloaded_at, None, "reload", text, fields)
    parts.incidents.reloaded(text, {"configHash": reload.config_hash})
