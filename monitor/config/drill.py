"""What drills of the page chain need to know of a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.config.addresses import monitor_url
from monitor.config.attempts import GROUP_WAIT
from monitor.drill import WEBHOOK

if TYPE_CHECKING:
    from monitor.config.model import Config

DEFAULT_TIMEOUT: Final = 180.0
"""Seconds that a drill takes at most, if the intervals of Prometheus allow it."""

MARGIN: Final = 30.0
"""Seconds for the waits of Alertmanager and the delivery, beside two scrapes and two evaluations."""


def drill_timeout(config: Config) -> float:
    """Return the seconds after which a drill has failed."""
    intervals = config.prometheus.scrape_interval + config.prometheus.evaluation_interval
    return config.drill.timeout or max(DEFAULT_TIMEOUT, 2 * intervals + MARGIN)


def min_drill_timeout(config: Config) -> float:
    """Return the seconds of a scrape, an evaluation and Alertmanager's wait: a drill needs more time than that."""
    return config.prometheus.scrape_interval + config.prometheus.evaluation_interval + GROUP_WAIT


def drill_webhook(config: Config, location: str, shard: int) -> str:
    """Return the URL to which Alertmanager posts the notification of a drill of one monitor."""
    base = config.drill.webhook_url or config.alerts.external_url
    return monitor_url(base, location, shard) + WEBHOOK
