"""`relay-monitor simulate`: a forecast of the alerts of a configuration."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import Annotated

import typer

from monitor.cli.extras import require
from monitor.cli.shared import DEFAULT_CONFIG, ConfigOption, Output, load_config
from monitor.errors import StartupError


def simulate(
    config: ConfigOption = DEFAULT_CONFIG,
    output: Annotated[Output, typer.Option(help="Output format.")] = Output.TEXT,
    plot: Annotated[Path | None, typer.Option(help="Also plot the times to page, as SVG or PNG by the suffix.")] = None,
    nodes: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Also print the probability of hitting one bad node of this many."),
    ] = None,
    noise: Annotated[
        list[float],
        typer.Option(min=0.0, max=0.5, help="Ratio of events that fail by chance, for false pages; repeatable."),
    ] = [0.0001, 0.001],  # noqa: B006 - typer's form of a repeated option's default
    trials: Annotated[int, typer.Option(min=10, max=10_000, help="Simulated faults of each kind.")] = 50,
    months: Annotated[int, typer.Option(min=1, max=120, help="Simulated months for false pages.")] = 3,
    seed: Annotated[int, typer.Option(help="Random seed; the same seed gives the same figures.")] = 1,
) -> None:
    """Simulate the time to page and false pages.

    Prints for each SLO the time to page by kind of fault, false pages a month, and faults that never page.
    """
    require("simulate")
    from monitor.simulation.forecast import forecast  # noqa: PLC0415
    from monitor.simulation.forecast_text import draw, lines  # noqa: PLC0415
    from monitor.simulation.nodes import bad_node_odds  # noqa: PLC0415

    loaded = load_config(config)
    found = forecast(loaded, seed=seed, trials=trials, noise=noise, months=months)
    odds = {
        relay.name: bad_node_odds([probe for probe in loaded.probes if relay.name in probe.relays], nodes)
        for relay in (loaded.relays if nodes is not None else ())
        if nodes is not None
    }
    if output is Output.JSON:
        typer.echo(json.dumps(asdict(found) | {"nodes": {name: asdict(item) for name, item in odds.items()}}))
    else:
        typer.echo("\n".join(lines(found, odds)))
    if plot is not None:
        try:
            draw(found, plot)
        except (OSError, ValueError) as error:
            raise StartupError(f"{plot}: cannot be written: {error}") from error
