"""`relay-monitor maintenance` against a daemon in this process."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from typer.testing import CliRunner

from monitor.cli import app
from monitor.web import WebServer, build_app
from tests.daemon.harness import config, running, shown, stored_events, until
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from typer.testing import Result

    from monitor.daemon.app import Monitor

    Command = Callable[..., Any]


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Monitor, Command]]:
    """Run a monitor. Yield it, and a function that runs a subcommand at it."""
    async with running(config()) as daemon:
        server = WebServer(build_app(daemon.web_state(), daemon.auth), "127.0.0.1", 0, daemon.auth)
        await server.start()

        async def command(*words: str) -> Result:
            return await asyncio.to_thread(run, *words, url=f"http://127.0.0.1:{server.port}")

        try:
            yield daemon, command
        finally:
            await server.stop()


def run(*words: str, url: str) -> Result:
    return CliRunner().invoke(app, ["maintenance", *words, "--url", url], env={"COLUMNS": "200"})


async def test_a_window_is_started_listed_and_ended() -> None:
    async with served() as (daemon, command):
        (relay,) = daemon.monitored_relays.relays
        assert "No relay is in maintenance." in (await command("list")).stdout
        done = await command("start", "--relay", relay, "--for", "20m", "--reason", "deploy 1234", "--by", "ana")
        assert done.exit_code == 0, done.output
        assert f"{relay} in maintenance until" in done.stdout
        assert "(in 20 min)" in done.stdout
        (window,) = daemon.maintenance_on_demand.list()
        assert daemon.maintenance.active(relay) == "deploy 1234"
        listed = (await command("list")).stdout
        assert all(text in listed for text in (window.id, relay, "deploy 1234", "ana"))
        (found,) = re.findall(r'^{"windows.*', (await command("list", "--output", "json")).stdout, re.MULTILINE)
        assert [item["id"] for item in json.loads(found)["windows"]] == [window.id]
        assert "No relay" in (await command("list", "--relay", "another")).stdout
        done = await command("end", window.id)
        assert (done.exit_code, window.id in done.stdout) == (0, True)
        assert daemon.maintenance.active(relay) is None
        events = await stored_events(daemon, "maintenance", 2)
        assert [event.text.partition(" until")[0] for event in events] == [
            "Maintenance ended: deploy 1234",
            "Maintenance started by ana",
        ]


async def test_the_metric_follows_a_window() -> None:
    async with served() as (daemon, command):
        (relay,) = daemon.monitored_relays.relays
        await command("start", "--all", "--for", "20m", "--reason", "network")
        await until(lambda: shown(daemon, "relay_maintenance", relay=relay) == 1)
        await command("end", "--relay", relay)
        await until(lambda: shown(daemon, "relay_maintenance", relay=relay) == 0)


async def test_what_is_not_allowed_is_one_line_and_changes_nothing() -> None:
    async with served() as (daemon, command):
        (relay,) = daemon.monitored_relays.relays
        for words, message, code in (
            (("start", "--relay", "nowhere", "--for", "20m", "--reason", "x"), "no relay 'nowhere'", 2),
            (("start", "--relay", relay, "--for", "9h", "--reason", "x"), "1s–4h", 2),
            (("start", "--relay", relay, "--for", "soon", "--reason", "x"), "not a duration", 2),
            (("start", "--for", "20m", "--reason", "x"), "name the relays", 2),
            (("end",), "name the window", 2),
            (("end", "zzzzzz"), "no open window 'zzzzzz'", 1),
        ):
            done = await command(*words)
            text = done.output + str(done.exception)
            assert message in text, (words, text)
            assert done.exit_code in {code, 1}, words  # the program's main prints a RequestError and exits with 2
        assert daemon.maintenance_on_demand.list() == ()


def test_a_monitor_that_does_not_run_is_said() -> None:
    done = run("list", url=f"http://127.0.0.1:{closed_port()}")
    assert "cannot be reached" in str(done.exception)
