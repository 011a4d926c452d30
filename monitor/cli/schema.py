"""`relay-monitor schema`: prints the JSON Schema of the configuration."""

from __future__ import annotations

import json

import typer


def schema() -> None:
    """Print the JSON Schema of the configuration, for editors.

    Examples:
    relay-monitor schema > relay-monitor.schema.json
    """
    from monitor.config import schema as config_schema  # noqa: PLC0415

    typer.echo(json.dumps(config_schema(), indent=2))
