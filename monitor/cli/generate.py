"""`relay-monitor generate`: rules, routes, dashboards and runbooks from the configuration."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.extras import require
from monitor.cli.shared import DEFAULT_CONFIG, EXIT_BAD, ConfigOption, load_config
from monitor.errors import StartupError


class Format(StrEnum):
    """Format of the rules file."""

    PROMETHEUS = "prometheus"
    OPERATOR = "operator"


def generate(
    config: ConfigOption = DEFAULT_CONFIG,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if a file differs.")] = False,  # noqa: FBT002 - a flag
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="Output folder.")] = Path(),
    format: Annotated[  # noqa: A002 - what the option is called
        Format,
        typer.Option(
            metavar="FORMAT",
            help="Format of the rules: prometheus, a rule file, or operator, a PrometheusRule for its Operator.",
        ),
    ] = Format.PROMETHEUS,
) -> None:
    """Generate rules, dashboards and runbooks.

    Writes alerts/, dashboards/ and docs/runbooks/ from the configuration, or checks that they are in step with it.

    Examples:
    relay-monitor generate
    relay-monitor generate --check
    relay-monitor generate --config prod.yaml --output prod/ --format operator
    """
    require("generate")
    from monitor.slo.generate import differences, generated, write  # noqa: PLC0415

    files = generated(load_config(config), operator=format is Format.OPERATOR)
    if check:
        if found := differences(files, output):
            typer.echo("\n".join([*found, "run: relay-monitor generate"]))
            raise typer.Exit(EXIT_BAD)
        return
    try:
        write(files, output)
    except OSError as error:
        raise StartupError(f"{error.filename}: cannot be written: {error.strerror}") from error
    typer.echo(f"{len(files)} files written")
