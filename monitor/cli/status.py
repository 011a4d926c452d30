"""`relay-monitor status`: what a running monitor says now, in a terminal: for the hand-over of a shift."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import typer

from monitor.cli.client import (
    DEFAULT_URL,
    CaFileOption,
    PasswordFileOption,
    RunningMonitor,
    UrlOption,
    UserOption,
    read_password,
)
from monitor.cli.shared import EXIT_BAD, Output
from monitor.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.web.model import IncidentView

MAX_INCIDENTS = 100
"""Incidents that are asked for; the newest."""


def status(
    url: UrlOption = DEFAULT_URL,
    since: Annotated[
        str, typer.Option(metavar="DURATION", help="List the incidents of this time; 8h is a shift.")
    ] = "8h",
    output: Annotated[Output, typer.Option(metavar="FORMAT", help="Output format: text or json.")] = Output.TEXT,
    user: UserOption = None,
    password_file: PasswordFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    r"""Show what a running monitor says.

    Print its relays, worst first, with incidents, maintenance and error budgets. Exit 1 if a relay is down, does not
    accept new connections or is not observed, or if the monitor is unhealthy.

    Examples:
    relay-monitor status
    relay-monitor status --since 12h --url https://monitor.example.com \
        --user ops --password-file /run/secrets/monitor
    relay-monitor status --output json > handover.json
    """
    from monitor.cli.status_text import is_bad, report  # noqa: PLC0415
    from monitor.config import parse_duration  # noqa: PLC0415
    from monitor.text_table import terminal_width  # noqa: PLC0415
    from monitor.web.serialization import monitor_from_json  # noqa: PLC0415

    try:
        seconds = parse_duration(since)
    except ValueError as error:
        raise typer.BadParameter(f"{since!r} {error}", param_hint="--since") from None
    monitor = RunningMonitor(url, user, read_password(password_file), ca_file)
    content = monitor.get("/api/v1/status")
    try:
        view = monitor_from_json(content)
    except ValueError:
        raise RequestError(f"{url} is not a relay-monitor of this version") from None
    if output is Output.JSON:
        typer.echo(content.decode())
    else:
        incidents = _incidents(monitor, view.now - timedelta(seconds=seconds))
        typer.echo("\n".join(report(view, incidents, since, width=terminal_width(sys.stdout))))
    if is_bad(view):
        raise typer.Exit(EXIT_BAD)


def _incidents(monitor: RunningMonitor, since: datetime) -> Sequence[IncidentView]:
    from monitor.web.serialization import incidents_from_json  # noqa: PLC0415

    query: dict[str, Any] = {"since": since.astimezone(UTC).isoformat(), "limit": MAX_INCIDENTS}
    try:
        return incidents_from_json(monitor.get(f"/api/v1/incidents?{urlencode(query)}"))
    except ValueError:
        raise RequestError("the list of incidents cannot be read: another version of relay-monitor?") from None
