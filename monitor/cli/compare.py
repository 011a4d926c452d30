"""`relay-monitor compare`: two results of load tests held together."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import Annotated

import typer

from monitor.cli.shared import EXIT_BAD, Output


def compare(
    before: Annotated[Path, typer.Argument(metavar="A.json", help="The result to compare with.")],
    after: Annotated[Path, typer.Argument(metavar="B.json", help="The result in question.")],
    ratio: Annotated[
        float, typer.Option(min=1.0, help="A latency, or a share of failures, is worse beyond this factor.")
    ] = 1.2,
    output: Annotated[Output, typer.Option(help="How results look.")] = Output.TEXT,
) -> None:
    """Say what changed from one result to another, with confidence intervals; exit 1 on a regression.

    Also reads results of the relay team's own tool, which have no sketches: those without intervals.
    """
    from monitor.load.compare import compare as changes_of  # noqa: PLC0415
    from monitor.load.compare import lines  # noqa: PLC0415
    from monitor.load.result import read  # noqa: PLC0415

    changes = changes_of(read(before), read(after), ratio=ratio, names=(str(before), str(after)))
    if output is Output.JSON:
        typer.echo(json.dumps([item.to_json() for item in changes], indent=2))
    else:
        typer.echo("\n".join(lines(changes, ratio)))
    if any(item.worse for item in changes):
        raise typer.Exit(EXIT_BAD)
