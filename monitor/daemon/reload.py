"""What a reload reads before anything changes: the configuration, the web configuration, and what differs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.config import changes, refusals
from monitor.config.audit import audit, texts_of
from monitor.errors import ConfigError
from monitor.web import read_security

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.config import Changes, Config
    from monitor.schedule import Maintenance
    from monitor.web.auth import ServerSecurity
    from monitor.web.config import WebConfig


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
