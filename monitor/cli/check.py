"""`relay-monitor check`: validates a configuration."""

from __future__ import annotations

import typer

from monitor.cli.shared import DEFAULT_CONFIG, ConfigOption, load_config


def check(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Validate a configuration.

    Print every error with its line, or the footprint of the configuration on each relay.
    """
    from monitor.config.capacity import render  # noqa: PLC0415

    loaded = load_config(config)
    typer.echo(f"{config}: valid")
    for line in render(loaded):
        typer.echo(line)
