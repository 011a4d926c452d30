"""`relay-monitor maintenance start|end|list`: windows on demand, at one monitor or at those of several locations."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from monitor.cli.client import (
    DEFAULT_URL,
    TOPIC,
    CaFileOption,
    PasswordFileOption,
    RunningMonitor,
    UserOption,
    running_monitors,
    shown,
    system_user,
)
from monitor.cli.help import Command, Group
from monitor.cli.shared import EXIT_BAD, Output
from monitor.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable

maintenance = typer.Typer(
    name="maintenance",
    cls=Group,
    no_args_is_help=True,
    help="""Start, end and list maintenance windows of a running monitor.

    Examples:
    relay-monitor maintenance start --relay eu-1 --for 20m --reason "deploy 1234"
    relay-monitor maintenance list
    relay-monitor maintenance end --relay eu-1
    """,
)

_UrlsOption = Annotated[
    list[str],
    typer.Option(
        "--url",
        metavar="URL",
        envvar="RELAY_MONITOR_URL",
        help="Address of a monitor's page; may be repeated, for every location that watches the relay.",
        rich_help_panel=TOPIC,
    ),
]
_RelayOption = Annotated[
    list[str] | None, typer.Option("--relay", "-r", metavar="NAME", help="Relay; may be repeated.")
]
_ByOption = Annotated[str, typer.Option("--by", metavar="NAME", help="Who does it; by default the system's user.")]


def _listed(monitor: RunningMonitor) -> dict[str, Any]:
    """Return what a monitor says of maintenance. Raises `RequestError`."""
    value = monitor.send("GET", "/api/v1/maintenance")
    if not isinstance(value, dict) or not isinstance(value.get("windows"), list):
        raise RequestError(f"{monitor.url} is not a relay-monitor of this version")
    return value


@maintenance.command(cls=Command)
def start(  # noqa: PLR0913 - one for each option
    *,
    length: Annotated[str, typer.Option("--for", metavar="DURATION", help="Length of the window, at most 4h.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Reason, on pages and in logs.")],
    relay: _RelayOption = None,
    everything: Annotated[bool, typer.Option("--all", help="All relays.")] = False,
    by: _ByOption = "",
    url: _UrlsOption = [DEFAULT_URL],  # noqa: B006 - typer copies it
    user: UserOption = None,
    password_file: PasswordFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    r"""Start a window now.

    Failures in it count for no objective. Alerts are muted only while every location that votes is in the window: name
    each by --url. A relay that is still down at the end of the window pages within a minute.

    Examples:
    relay-monitor maintenance start --relay eu-1 --for 20m --reason "deploy 1234"
    relay-monitor maintenance start --all --for 1h --reason "network" \
        --user ops --password-file /run/secrets/monitor \
        --url https://monitor.eu.example.com --url https://monitor.us.example.com
    """
    if everything == bool(relay):
        raise typer.BadParameter("name the relays, or use --all", param_hint="--relay")
    monitors = running_monitors(url, user, password_file, ca_file)
    known = {monitor: _relays_of(_listed(monitor)) for monitor in monitors}
    wanted = set(relay or ()) or {name for names in known.values() for name in names}
    if unknown := sorted(wanted - {name for names in known.values() for name in names}):
        raise RequestError(f"no relay {unknown[0]!r} at {' or '.join(monitor.url for monitor in monitors)}")
    asked = {"for": length, "reason": reason, "by": by or system_user()}
    for monitor, names in known.items():
        own = sorted(wanted & names)
        if not own:
            typer.echo(f"{monitor.url}: watches none of these relays")
            continue
        window = monitor.send("POST", "/api/v1/maintenance", asked | {"relays": own})["window"]
        typer.echo(f"{monitor.url}: {_sentence(window)}")


@maintenance.command(cls=Command)
def end(
    id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Id of the window.", show_default=False)] = None,  # noqa: A002
    relay: _RelayOption = None,
    by: _ByOption = "",
    url: _UrlsOption = [DEFAULT_URL],  # noqa: B006 - typer copies it
    user: UserOption = None,
    password_file: PasswordFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    """End a window before its time, or every window of some relays.

    A window of several relays ends for all of them. Windows of the configuration end by a reload.

    Examples:
    relay-monitor maintenance end k7m2xq
    relay-monitor maintenance end --relay eu-1
    """
    if (id is None) == (not relay):
        raise typer.BadParameter("name the window by its id, or its relays by --relay", param_hint="ID")
    monitors = running_monitors(url, user, password_file, ca_file)
    ended = 0
    for monitor in monitors:
        for window in _listed(monitor)["windows"]:
            if window["id"] == id or not set(relay or ()).isdisjoint(window["relays"]):
                path = f"/api/v1/maintenance/{quote(window['id'], safe='')}?by={quote(by or system_user())}"
                monitor.send("DELETE", path)
                typer.echo(f"{monitor.url}: ended window {shown(window['id'])} of {_relay_names(window)}")
                ended += 1
    if not ended:
        typer.echo(f"no open window {f'{id!r}' if id is not None else 'of ' + ', '.join(relay or ())}", err=True)
        raise typer.Exit(EXIT_BAD)


@maintenance.command("list", cls=Command)
def list_windows(
    relay: _RelayOption = None,
    output: Annotated[Output, typer.Option(metavar="FORMAT", help="Output format: text or json.")] = Output.TEXT,
    url: _UrlsOption = [DEFAULT_URL],  # noqa: B006 - typer copies it
    user: UserOption = None,
    password_file: PasswordFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    """List the open windows, on demand and of the configuration.

    Examples:
    relay-monitor maintenance list
    relay-monitor maintenance list --relay eu-1 --output json
    """
    monitors = running_monitors(url, user, password_file, ca_file)
    wanted = set(relay or ())
    found = [
        {"monitor": monitor.url} | window
        for monitor, value in zip(monitors, map(_listed, monitors), strict=True)
        for window in (*value["windows"], *value["configured"])
        if not wanted or not window["relays"] or not wanted.isdisjoint(window["relays"])
    ]
    if output is Output.JSON:
        typer.echo(json.dumps({"windows": found}))
        return
    for line in _table(found, show_monitor=len(monitors) > 1):
        typer.echo(line)


def _table(windows: list[dict[str, Any]], *, show_monitor: bool) -> Iterable[str]:
    from monitor.text_table import Column, table, terminal_width  # noqa: PLC0415

    if not windows:
        return ["No relay is in maintenance."]
    titles = ["id", "relays", "until", "reason", "started by"]
    rows = [
        [
            window["id"] or "–",
            ", ".join(window["relays"]) or "all",
            _until(window),
            window["reason"],
            window["by"] or "the configuration",
        ]
        for window in windows
    ]
    if show_monitor:
        titles = ["monitor", *titles]
        rows = [[window["monitor"], *row] for window, row in zip(windows, rows, strict=True)]
    return table([Column(title) for title in titles], rows, width=terminal_width(sys.stdout))


def _sentence(window: dict[str, Any]) -> str:
    return f"{_relay_names(window)} in maintenance until {_until(window)}, window {shown(window['id'])}"


def _until(window: dict[str, Any]) -> str:
    until = datetime.fromisoformat(window["until"])
    minutes = max(0, round((until - datetime.now(UTC)).total_seconds() / 60))
    return f"{until.astimezone(UTC):%H:%M:%S} UTC (in {minutes} min)"


def _relay_names(window: dict[str, Any]) -> str:
    return shown(", ".join(window["relays"]))


def _relays_of(value: dict[str, Any]) -> set[str]:
    return {name for name in value.get("relays", ()) if isinstance(name, str)}
