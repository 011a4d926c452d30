"""`relay-monitor drill`: whether a page arrives, and how long it takes."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

import typer

from monitor.cli.client import (
    DEFAULT_URL,
    CaFileOption,
    PasswordFileOption,
    RunningMonitor,
    UrlOption,
    UserOption,
    read_password,
    shown,
    system_user,
)
from monitor.cli.shared import EXIT_BAD, Output
from monitor.errors import RequestError

POLL_INTERVAL = 0.25
"""Seconds between two requests for the state of the drill."""

MAX_FAILURES = 20
"""Requests in a row that may fail before the command gives up; the drill goes on."""


def drill(
    url: UrlOption = DEFAULT_URL,
    timeout: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Time after which the drill has failed; by default the configuration's."),
    ] = None,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who does it; by default the system's user.")] = "",
    output: Annotated[Output, typer.Option(metavar="FORMAT", help="Output format: text or json.")] = Output.TEXT,
    user: UserOption = None,
    password_file: PasswordFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    r"""Test the chain from a running monitor to a page, and measure its time.

    The monitor sets a reserved relay down on its own /metrics. Prometheus scrapes it, a generated rule fires, and
    Alertmanager notifies the monitor, not a person. Print each link with its time; exit 1 if no notification arrives,
    with the link that is broken. Ctrl-C ends the drill.

    Examples:
    relay-monitor drill
    relay-monitor drill --timeout 90s --url https://monitor.example.com \
        --user ops --password-file /run/secrets/monitor
    """
    monitor = RunningMonitor(url, user, read_password(password_file), ca_file)
    asked = {"by": by or system_user()} | ({"timeout": timeout} if timeout is not None else {})
    started = _send(monitor, "POST", "/api/v1/drill", asked)
    show = output is Output.TEXT
    if show:
        typer.echo(
            f"Drill {shown(started['id'])}: a page must arrive within {started['timeoutSeconds']:.0f} s. "
            "Ctrl-C ends it."
        )
    try:
        ended = _follow(monitor, started, show=show)
    except KeyboardInterrupt:
        _send(monitor, "DELETE", f"/api/v1/drill/{started['id']}")
        if show:
            typer.echo("The drill is cancelled.", err=True)
        raise
    if not show:
        typer.echo(json.dumps(ended))
    if ended["result"] != "ok":
        raise typer.Exit(EXIT_BAD)


def _follow(monitor: RunningMonitor, drill: dict[str, Any], *, show: bool) -> dict[str, Any]:
    """Wait until the drill has ended, and return it; with `show`, print each link when it is seen."""
    printed: set[str] = set()
    failures, id_ = 0, drill["id"]
    while True:
        running = drill["result"] == "running"
        if show:
            for each in drill["links"]:
                if each["link"] not in printed and each["seconds"] is not None:
                    printed.add(each["link"])
                    typer.echo(_line(drill, each["link"], each["seconds"]))
            if not running:
                typer.echo(_conclusion(drill))
        if not running:
            return drill
        time.sleep(POLL_INTERVAL)
        try:
            found = _send(monitor, "GET", "/api/v1/drill")
            failures = 0
        except RequestError:
            failures += 1
            if failures >= MAX_FAILURES:
                raise
            continue
        if found is None or found["id"] != id_:
            raise RequestError(f"{monitor.url} does not know drill {shown(id_)} any more: it was restarted")
        drill = found


def _line(drill: dict[str, Any], link: str, seconds: float) -> str:
    """Return a link's time, and what happened there."""
    # Prometheus is asked at intervals: only the notification says exactly since when the alert fires.
    at_most = link == "firing" and drill["result"] != "ok"
    detail = {
        "broken": "the reserved relay is down on /metrics",
        "scraped": f"by {shown(drill['scraper'] or 'an unknown scraper')}",
        "firing": "the alert RelayMonitorDrill" + (", seen at Prometheus" if at_most else ""),
        "received": "the notification of Alertmanager",
    }.get(link, "")
    time_text = f"{'≤ ' if at_most else ''}{seconds:.1f}"
    return f"  {link:<9}{time_text:>7} s   {detail}"


def _conclusion(drill: dict[str, Any]) -> str:
    if drill["result"] == "ok":
        seconds = {each["link"]: each["seconds"] for each in drill["links"]}
        scraped, firing, received = seconds["scraped"], seconds["firing"], seconds["received"]
        parts = ""
        if scraped is not None and firing is not None:
            parts = (
                f", of which {scraped:.1f} s to the scrape, {firing - scraped:.1f} s to the alert and "
                f"{received - firing:.1f} s to the notification"
            )
        return f"The page chain works: {received:.1f} s{parts}."
    if drill["result"] == "cancelled":
        return "The drill was cancelled."
    missing = f"  {shown(drill['missing'] or ''):<10}not within {drill['timeoutSeconds']:.0f} s"
    return f"{missing}\nThe drill failed: {shown(drill['why'])}."


def _send(monitor: RunningMonitor, method: str, path: str, body: Any = None) -> Any:
    """Send a request about drills, and return the drill of the response. Raises `RequestError`."""
    value = monitor.send(method, path, body)
    if not isinstance(value, dict) or "drill" not in value:
        raise RequestError(f"{monitor.url} is not a relay-monitor of this version")
    return value["drill"]
