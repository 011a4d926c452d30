"""`relay-monitor check`: validates a configuration."""

from __future__ import annotations

import sys

import typer

from monitor.cli.shared import DEFAULT_CONFIG, ConfigOption, load_config


def check(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Validate a configuration.

    Print every error with its line, or what the configuration costs each relay, its process and Prometheus, the time to
    a page, and whether the references answer.

    Examples:
    relay-monitor check
    relay-monitor check --config prod.yaml
    """
    from monitor.cli.check_output import lines  # noqa: PLC0415
    from monitor.health import check_references  # noqa: PLC0415
    from monitor.text_table import paragraph, terminal_width  # noqa: PLC0415

    loaded = load_config(config)
    typer.echo(f"{config}: valid")
    width = terminal_width(sys.stdout)
    for line in lines(loaded, width=width):
        typer.echo(line)
    for text in check_references.render(loaded):
        typer.echo("")
        typer.echo("\n".join(paragraph(text, width=width)))
