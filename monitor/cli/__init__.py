"""The command line: results on stdout, logs on stderr, and an exit status.

0: success; 1: a failed probe, a missed objective, or drift; 2: wrong usage or configuration; 130: interrupted.

Each command and its options are a module; `shared` is used by several. A command imports what it needs when it runs,
so that it starts quickly and the daemon loads nothing unused.
"""

from __future__ import annotations

import os
import sys

import typer

from monitor.cli.check import check
from monitor.cli.compare import compare
from monitor.cli.flags import LoadCommand
from monitor.cli.generate import generate
from monitor.cli.load import load, load_worker
from monitor.cli.merge import merge
from monitor.cli.once import once
from monitor.cli.relay import relay
from monitor.cli.run import run
from monitor.cli.schema import schema
from monitor.cli.shared import EXIT_INTERRUPTED, EXIT_USAGE
from monitor.cli.simulate import simulate
from monitor.errors import ConfigError, MonitorError

app = typer.Typer(
    name="relay-monitor",
    help="An always-on synthetic monitor for production WebSocket relays.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (run, check, once, generate, simulate, relay, schema):
    app.command()(command)
app.command(cls=LoadCommand)(load)
app.command()(merge)
app.command()(compare)
app.command(hidden=True)(load_worker)


def main() -> None:
    """Run the command `relay-monitor`."""
    if sys.stderr is None:  # closed by the parent process
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - for as long as the process lives
    try:
        app()
    except ConfigError as error:
        for line in str(error).splitlines():
            typer.echo(line, err=True)
        sys.exit(EXIT_USAGE)
    except MonitorError as error:
        typer.echo(f"relay-monitor: {error}", err=True)
        sys.exit(EXIT_USAGE)
    except OSError as error:  # such as a full disk behind stdout
        typer.echo(f"relay-monitor: {error.filename or 'stdout'}: {error.strerror}", err=True)
        sys.exit(EXIT_USAGE)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
