"""The routes of the alert that a drill lets fire: to the webhook of the monitor that drills, and to nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from monitor.config import drill_webhook, show_duration
from monitor.config.attempts import GROUP_WAIT
from monitor.drill import ALERT, LABEL
from monitor.slo.receivers import SECRETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.config import Config

GROUP_INTERVAL: Final = 15.0
"""Seconds between two notifications of a drill, of which the first one ends it."""

TOKEN_FILE: Final = f"{SECRETS}/drill"
"""The file with the token of drills, as Alertmanager sees it."""

NOBODY: Final = "nobody"
"""The receiver that notifies nobody, for drills of monitors that the configuration does not name."""


def drill_routes(config: Config, own: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the route of drills, which must be the first of the tree. `own` are the matchers of the install.

    Each drill is a group of its own, so that it does not wait for the interval of an earlier one. It waits as long as
    a page about the verdict on a relay.
    """
    urls = _urls(config)
    names = _names(urls)
    route: dict[str, Any] = {
        "receiver": names[0] if len(urls) == 1 else NOBODY,
        "matchers": [*own, f'alertname="{ALERT}"'],
        "group_by": ["install", "location", "shard", LABEL],
        "group_wait": show_duration(GROUP_WAIT),
        "group_interval": show_duration(GROUP_INTERVAL),
        "repeat_interval": "4h",
    }
    if len(urls) > 1:
        route["routes"] = [
            {"receiver": name, "matchers": [f'location="{location}"', f'shard="{shard}"']}
            for name, monitors in zip(names, urls.values(), strict=True)
            for location, shard in monitors
        ]
    yield route


def drill_receivers(config: Config) -> Iterator[dict[str, Any]]:
    """Yield the receivers of drills: one for each address of a monitor. The end of a drill sends nothing."""
    urls = _urls(config)
    token: dict[str, Any] = {}
    if config.drill.token_file is not None:
        token = {"http_config": {"authorization": {"credentials_file": TOKEN_FILE}}}
    for name, url in zip(_names(urls), urls, strict=True):
        yield {"name": name, "webhook_configs": [{"url": url, "send_resolved": False} | token]}


def _urls(config: Config) -> dict[str, list[tuple[str, str]]]:
    """Return the location and shard of the monitors at each address. Monitors may share one, for example of a proxy."""
    found: dict[str, list[tuple[str, str]]] = {}
    for location in config.locations:
        for shard in range(config.shards):
            found.setdefault(drill_webhook(config, location, shard), []).append((location, f"{shard}/{config.shards}"))
    return found


def _names(urls: dict[str, list[tuple[str, str]]]) -> list[str]:
    """Return the receiver's name for each address."""
    if len(urls) == 1:
        return ["drill"]
    return [f"drill of {location}, shard {shard}" for ((location, shard), *_) in urls.values()]
