"""Addresses of monitors, which settings give for all locations and shards."""

from __future__ import annotations


def monitor_url(url: str, location: str, shard: int = 0) -> str:
    """Return the URL of one monitor, without a slash at its end: `{location}` and `{shard}` in `url` are replaced."""
    return url.rstrip("/").replace("{location}", location).replace("{shard}", str(shard))
