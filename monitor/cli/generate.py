"""`relay-monitor generate`: rules, routes, dashboards and runbooks from the configuration."""

from __future__ import annotations

import os
import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.extras import require
from monitor.cli.shared import DEFAULT_CONFIG, EXIT_BAD, ConfigOption
from monitor.errors import StartupError


class Format(StrEnum):
    """Format of the rules."""

    PROMETHEUS = "prometheus"
    OPERATOR = "operator"
    CHART = "chart"
    OPENSLO = "openslo"
    ROUTE = "route"


def generate(
    config: ConfigOption = DEFAULT_CONFIG,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if a file differs.")] = False,  # noqa: FBT002 - a flag
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="Output folder.")] = Path(),
    format: Annotated[  # noqa: A002 - what the option is called
        Format,
        typer.Option(
            metavar="FORMAT",
            help="Format of the rules: prometheus, a rule file; operator, a PrometheusRule for its Operator; chart: "
            "only relay-monitor.values.yaml, the Helm chart's values with configuration, rules and dashboards; "
            "openslo: only relay-monitor.openslo.yaml, the SLOs for tools that read OpenSLO; or route: writes no "
            "file and "
            "prints route, inhibitions and receivers, to be merged into an Alertmanager with other teams' routes.",
        ),
    ] = Format.PROMETHEUS,
) -> None:
    """Generate rules, dashboards and runbooks.

    Writes alerts/, dashboards/ and docs/runbooks/ from the configuration, or checks that they are in step with it. The
    files that the configuration names, such as tokens, need not exist here.

    Examples:
    relay-monitor generate
    relay-monitor generate --check
    relay-monitor generate --config prod.yaml --output prod/ --format operator
    relay-monitor generate --config prod.yaml --output prod/ --format chart
    relay-monitor generate --config prod.yaml --format openslo
    relay-monitor generate --config prod.yaml --format route
    """
    require("generate")
    from monitor.config import load, text_of  # noqa: PLC0415
    from monitor.slo.alertmanager import route_part  # noqa: PLC0415
    from monitor.slo.chart import chart_files  # noqa: PLC0415
    from monitor.slo.generate import differences, generated, write  # noqa: PLC0415
    from monitor.slo.openslo import left_out, openslo_files  # noqa: PLC0415

    loaded = load(config, os.environ, check_files=False)
    if format is Format.ROUTE:
        if check or output != Path():
            raise typer.BadParameter(
                "prints to stdout; --check and --output are not for it", param_hint="--format route"
            )
        typer.echo(route_part(loaded).decode(), nl=False)
        return
    if format is Format.CHART:
        files = chart_files(loaded, text_of(config), str(config))
    elif format is Format.OPENSLO:
        files = openslo_files(loaded)
        if missing := left_out(loaded):
            typer.echo(f"left out, since OpenSLO has no objective of 100 %: {', '.join(missing)}", err=True)
    else:
        files = generated(loaded, operator=format is Format.OPERATOR)
    if check:
        if found := differences(files, output):
            typer.echo("\n".join([*found, f"run: {_command(config, output, format)}"]))
            raise typer.Exit(EXIT_BAD)
        return
    try:
        write(files, output)
    except OSError as error:
        raise StartupError(f"{error.filename}: cannot be written: {error.strerror}") from error
    typer.echo(f"{len(files)} {'file' if len(files) == 1 else 'files'} written")


def _command(config: Path, output: Path, format: Format) -> str:  # noqa: A002 - as the option
    """Return the command that writes the files which were checked."""
    options = [
        *(["--config", str(config)] if config != DEFAULT_CONFIG else []),
        *(["--output", str(output)] if output != Path() else []),
        *(["--format", format.value] if format is not Format.PROMETHEUS else []),
    ]
    return shlex.join(["relay-monitor", "generate", *options])
