"""The command line: arguments in, results on stdout, logs on stderr, and an exit status that can be relied on.

0 good · 1 the verdict is bad · 2 wrong usage or configuration · 130 interrupted. What a command needs is imported when
it runs, so that each starts quickly and the daemon carries nothing it does not use.

One module a command, with its options; `shared` has what several of them need.
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
    """The command `relay-monitor`."""
    if sys.stderr is None:  # closed by whoever started us; what is said there is said to nobody
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
    except OSError as error:  # a disk that is full, behind stdout: no verdict was given
        typer.echo(f"relay-monitor: {error.filename or 'stdout'}: {error.strerror}", err=True)
        sys.exit(EXIT_USAGE)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
