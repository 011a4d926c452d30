"""`relay-monitor check`: validates a configuration."""

from __future__ import annotations

import typer

from monitor.cli.shared import DEFAULT_CONFIG, ConfigOption, load_config


def check(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Validate a configuration.

    Print every error with its line, or what the configuration costs each relay and Prometheus, the time to a page, and
    whether the references answer.

    Examples:
    relay-monitor check
    relay-monitor check --config prod.yaml
    """
    from monitor.config import attempts, capacity, sharding  # noqa: PLC0415
    from monitor.health import check_references  # noqa: PLC0415
    from monitor.metrics import footprint  # noqa: PLC0415

    loaded = load_config(config)
    typer.echo(f"{config}: valid")
    for part in (capacity, attempts, sharding, footprint, check_references):
        for line in part.render(loaded):
            typer.echo(line)
