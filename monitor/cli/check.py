"""`relay-monitor check`: what is wrong with a configuration, or what it will do."""

from __future__ import annotations

import typer

from monitor.cli.shared import DEFAULT_CONFIG, ConfigOption, load_config


def check(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Validate a configuration: every fault with its line, or what it will do to each relay."""
    from monitor.config.capacity import render  # noqa: PLC0415

    loaded = load_config(config)
    typer.echo(f"{config}: good")
    for line in render(loaded):
        typer.echo(line)
