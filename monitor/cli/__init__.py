"""The command line: results on stdout, logs on stderr, and an exit status.

0: success; 1: a failed probe, a missed objective, or drift; 2: wrong usage or configuration, or results that
cannot be written; 130: interrupted; 141: the reader of stdout has gone.

Each command and its options are a module; `shared` is used by several. A command imports what it needs when it runs,
so that it starts quickly and the daemon loads nothing unused.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from monitor import __version__
from monitor.cli.check import check
from monitor.cli.compare import compare
from monitor.cli.drill import drill
from monitor.cli.flags import LoadCommand
from monitor.cli.generate import generate
from monitor.cli.help import Command, Group
from monitor.cli.init import init
from monitor.cli.load import load, load_worker
from monitor.cli.maintenance import maintenance
from monitor.cli.merge import merge
from monitor.cli.once import once
from monitor.cli.relay import relay
from monitor.cli.report import report
from monitor.cli.run import run
from monitor.cli.schema import schema
from monitor.cli.shared import EXIT_INTERRUPTED, EXIT_READER_GONE, EXIT_USAGE
from monitor.cli.simulate import simulate
from monitor.cli.status import status
from monitor.errors import ConfigError, MonitorError, OutputError
from monitor.streams import prepare

if TYPE_CHECKING:
    from collections.abc import Callable

app = typer.Typer(
    name="relay-monitor",
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
TOPICS: dict[str, tuple[Callable[..., None], ...]] = {
    "Monitor": (run, status, once, drill, report),
    "Configuration and alerts": (init, check, simulate, generate, schema),
    "Load tests": (load, merge, compare),
    "Tests of this program": (relay,),
}
"""The commands by topic, as `--help` lists them."""


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - called by typer
    if wanted:
        typer.echo(f"relay-monitor {__version__}")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """An always-on synthetic monitor for production WebSocket relays.

    Results go to stdout, logs to stderr. Exit status: 0 good; 1 the verdict is bad; 2 wrong usage or configuration; 130
    interrupted.

    Examples:
    relay-monitor init                  a first configuration, for a relay of yours
    relay-monitor once                  a first look: each probe once, step by step
    relay-monitor run                   the monitor, with its page at 127.0.0.1:9464
    relay-monitor status                what it says, in a terminal
    relay-monitor load --help           the options of a command, with examples
    """


for topic, commands in TOPICS.items():
    for command in commands:
        app.command(cls=LoadCommand if command is load else Command, rich_help_panel=topic)(command)
app.add_typer(maintenance, rich_help_panel="Monitor")
app.command(hidden=True)(load_worker)


def main() -> None:
    """Run the command `relay-monitor`."""
    prepare()
    try:
        app()
    except ConfigError as error:
        for line in str(error).splitlines():
            typer.echo(line, err=True)
        sys.exit(EXIT_USAGE)
    except OutputError as error:
        if error.reader_gone:
            sys.exit(EXIT_READER_GONE)
        typer.echo(f"relay-monitor: {error}", err=True)
        sys.exit(EXIT_USAGE)
    except MonitorError as error:
        typer.echo(f"relay-monitor: {error}", err=True)
        sys.exit(EXIT_USAGE)
    except OSError as error:
        text = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        typer.echo(f"relay-monitor: {text}", err=True)
        sys.exit(EXIT_USAGE)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
