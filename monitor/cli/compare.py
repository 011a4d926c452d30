"""`relay-monitor compare`: compares two results of load tests."""

from __future__ import annotations

import json
import sys
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import Annotated

import typer

from monitor.cli.extras import require
from monitor.cli.shared import EXIT_BAD, Output
from monitor.text_table import terminal_width


def compare(
    before: Annotated[Path, typer.Argument(metavar="A.json", help="Result to compare with.")],
    after: Annotated[Path, typer.Argument(metavar="B.json", help="Result to check.")],
    ratio: Annotated[
        float,
        typer.Option(
            min=1.0, metavar="FACTOR", help="Factor beyond which a grown latency or share of failures is worse."
        ),
    ] = 1.2,
    output: Annotated[Output, typer.Option(metavar="FORMAT", help="Output format: text or json.")] = Output.TEXT,
) -> None:
    """Compare two load test results.

    Prints confidence intervals; exits with 1 on a regression. Where there is none, and too few samples to rule one out,
    the verdict is UNDECIDED and the exit status 0. Results of the relay team's Node tool have no sketches,
    and so no intervals.

    Examples:
    relay-monitor compare before.json after.json
    relay-monitor compare before.json after.json --ratio 1.1 --output json
    """
    require("load")
    from monitor.load.compare import compare as compare_results  # noqa: PLC0415
    from monitor.load.compare_text import lines  # noqa: PLC0415
    from monitor.load.result_file import read  # noqa: PLC0415

    changes = compare_results(read(before), read(after), ratio=ratio, names=(str(before), str(after)))
    if output is Output.JSON:
        typer.echo(json.dumps([item.to_json() for item in changes], indent=2))
    else:
        typer.echo("\n".join(lines(changes, ratio, width=terminal_width(sys.stdout))))
    if any(item.worse for item in changes):
        raise typer.Exit(EXIT_BAD)
