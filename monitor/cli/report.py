"""`relay-monitor report`: what was attained in a month, as Markdown, JSON or CSV."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode

import typer

from monitor.cli.client import (
    TOPIC,
    CaFileOption,
    PasswordFileOption,
    RunningMonitor,
    UserOption,
    running_monitors,
)
from monitor.cli.shared import DEFAULT_CONFIG, EXIT_BAD, ConfigOption, load_config
from monitor.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.report.model import ReportedIncident
    from monitor.report.month import Period

MAX_INCIDENTS = 500
"""Incidents that each monitor is asked for: as many as it returns at once."""


class ReportFormat(StrEnum):
    """Format of the report."""

    MARKDOWN = "markdown"
    JSON = "json"
    CSV = "csv"


def report(
    config: ConfigOption = DEFAULT_CONFIG,
    month: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="The month, in UTC; by default the last one.")
    ] = None,
    prometheus: Annotated[
        str | None, typer.Option(metavar="URL", help="Address of Prometheus; by default `prometheus.url`.")
    ] = None,
    format: Annotated[  # noqa: A002 - what the option is called
        ReportFormat, typer.Option(metavar="FORMAT", help="markdown, json or csv (objectives only).")
    ] = ReportFormat.MARKDOWN,
    monitor: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="Address of a running monitor, to list its incidents; may be repeated, for every location.",
            rich_help_panel=TOPIC,
        ),
    ] = None,
    user: UserOption = None,
    password_file: PasswordFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    r"""Report the service levels of a month.

    Read from Prometheus what share of the events of each SLO was good, how much of the month was observed, and how many
    exchanges were excluded or aborted. Exit 1 if an objective was missed.

    Examples:
    relay-monitor report --prometheus http://prometheus.example.com:9090
    relay-monitor report --config prod.yaml --month 2026-10 --format csv > oct.csv
    relay-monitor report --config prod.yaml --monitor http://eu:9464 \
        --monitor http://us:9464
    """
    from monitor.report import text  # noqa: PLC0415
    from monitor.report.model import MonthReport  # noqa: PLC0415
    from monitor.report.month import last_month, period_of  # noqa: PLC0415
    from monitor.report.reading import read_attainments, read_exchanges  # noqa: PLC0415
    from monitor.web.prometheus import QUERY_TIMEOUT, PrometheusClient, PrometheusError  # noqa: PLC0415

    now = datetime.now(UTC)
    name = month if month is not None else last_month(now)
    try:
        period = period_of(name, now)
    except ValueError as error:
        raise typer.BadParameter(f"{name!r} {error}", param_hint="--month") from None
    monitors = running_monitors(monitor or (), user, password_file, ca_file)
    loaded = load_config(config)
    source = prometheus if prometheus is not None else loaded.prometheus.url
    if source is None:
        raise typer.BadParameter("is needed, since the configuration has no prometheus.url", param_hint="--prometheus")
    try:
        # The configured credentials belong to the configured address.
        settings = loaded.prometheus if prometheus is None else None
        client = PrometheusClient(source, loaded.install, settings, timeout=QUERY_TIMEOUT)
        made = MonthReport(
            install=loaded.install,
            period=period,
            source=source,
            attainments=read_attainments(client, loaded, period),
            exchanges=read_exchanges(client, loaded, period),
            incidents=None if monitor is None else incidents_of(monitors, period),
        )
    except PrometheusError as error:
        raise RequestError(f"{source}: {error}") from None
    write = {
        ReportFormat.MARKDOWN: text.to_markdown,
        ReportFormat.JSON: text.to_json,
        ReportFormat.CSV: text.to_csv,
    }[format]
    typer.echo(write(made), nl=False)
    if made.missed:
        raise typer.Exit(EXIT_BAD)


def incidents_of(monitors: Iterable[RunningMonitor], period: Period) -> list[ReportedIncident]:
    """Return the incidents that began in the period, oldest first. Raises `RequestError`."""
    from monitor.report.model import ReportedIncident  # noqa: PLC0415
    from monitor.web.serialization import incidents_from_json  # noqa: PLC0415

    found: list[ReportedIncident] = []
    path = f"/api/v1/incidents?{urlencode({'since': period.start.isoformat(), 'limit': MAX_INCIDENTS})}"
    for monitor in monitors:
        try:
            incidents = incidents_from_json(monitor.get(path))
        except ValueError:
            raise RequestError(f"{monitor.url} is not a relay-monitor of this version") from None
        if len(incidents) == MAX_INCIDENTS:
            typer.echo(f"{monitor.url}: only the newest {MAX_INCIDENTS} incidents are listed", err=True)
        found += [ReportedIncident(monitor=monitor.url, incident=each) for each in incidents]
    began = [each for each in found if period.start <= each.incident.began_at < period.end]
    return sorted(began, key=lambda each: each.incident.began_at)
