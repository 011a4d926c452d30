"""`relay-monitor simulate --replay`: the rules over recorded data."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import typer

from monitor.cli.shared import EXIT_BAD, Output, load_config
from monitor.errors import RequestError
from monitor.text_table import terminal_width

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES: Final = 64 << 20
"""Largest response."""

TIME: Final = "2026-11-28T14:00"
"""Example of a time, for messages."""

DEFAULT_SINCE: Final = "30d"
MAX_SINCE: Final = 366 * 86_400.0
"""Longest time that is replayed, in seconds."""

PROGRESS_INTERVAL: Final = 5.0
"""Seconds between two reports of the progress."""


def replay_recorded(
    path: Path, output: Output, *, prometheus: str | None, since: str | None, until: str | None, against: Path | None
) -> None:
    """Replay recorded data, and print the pages, or what a change does to them. Exit 1 if one is lost."""
    from monitor.simulation.replay.rule_set import RuleSet, load_rule_set  # noqa: PLC0415
    from monitor.simulation.replay.run import replay  # noqa: PLC0415
    from monitor.simulation.replay.text import lines, to_json  # noqa: PLC0415
    from monitor.web.prometheus import QUERY_TIMEOUT, PrometheusClient, PrometheusError  # noqa: PLC0415

    start, end = _times(since or DEFAULT_SINCE, until, time.time())
    config = load_config(path)
    source = prometheus if prometheus is not None else config.prometheus.url
    if source is None:
        raise typer.BadParameter("is needed, since the configuration has no prometheus.url", param_hint="--prometheus")
    new = RuleSet.of_config(str(path), config)
    old = None if against is None else load_rule_set(against, os.environ, beside=new)
    try:
        # The configured credentials belong to the configured address.
        settings = config.prometheus if prometheus is None else None
        client = PrometheusClient(source, config.install, settings, timeout=QUERY_TIMEOUT, max_bytes=MAX_BYTES)
        found = replay(client, new, old, start, end, _Progress())
    except PrometheusError as error:
        raise RequestError(f"{source}: {error}") from None
    if output is Output.JSON:
        typer.echo(json.dumps(to_json(found)))
    else:
        typer.echo("\n".join(lines(found, width=terminal_width(sys.stdout))))
    if found.lost:
        raise typer.Exit(EXIT_BAD)


def _times(since: str, until: str | None, now: float) -> tuple[float, float]:
    """Return start and end in Unix seconds. Raises `typer.BadParameter`."""
    from monitor.config.units import parse_duration  # noqa: PLC0415

    end = now if until is None else min(_timestamp(until, "--until", TIME), now)
    try:
        length = parse_duration(since)
    except ValueError:
        length = end - _timestamp(since, "--since", f"a duration such as 7d, or {TIME}")
    if not 0 < length <= MAX_SINCE:
        raise typer.BadParameter(
            f"{since!r}: the replay must begin before its end, by a year at most", param_hint="--since"
        )
    return float(int(end - length)), float(int(end))


def _timestamp(text: str, option: str, expected: str) -> float:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time; expected {expected}", param_hint=option) from None
    return (parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)).timestamp()


class _Progress:
    """Reports progress and the remaining time on stderr, every few seconds."""

    def __init__(self) -> None:
        self._started = self._reported = time.monotonic()

    def __call__(self, share: float) -> None:
        now = time.monotonic()
        if now - self._reported >= PROGRESS_INTERVAL and share < 1:
            self._reported = now
            left = (now - self._started) * (1 - share) / share
            typer.echo(f"replayed {share:.0%}, {left:.0f} s left", err=True)
