"""`relay-monitor simulate`: a forecast of the alerts of a configuration."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from monitor.cli.extras import require
from monitor.cli.shared import DEFAULT_CONFIG, ConfigOption, Output, load_config
from monitor.errors import StartupError
from monitor.text_table import terminal_width

if TYPE_CHECKING:
    from monitor.config import Config


YEAR: Final = "A year of faults"
RECORDED: Final = "Recorded data"

NOT_REPLAYED: Final = ("plot", "nodes", "noise", "trials", "months", "relays", "locations", "days", "seed")
"""Options that are not valid for a replay: it simulates nothing."""


def simulate(  # noqa: PLR0913, PLR0917 - one for each option
    ctx: typer.Context,
    config: ConfigOption = DEFAULT_CONFIG,
    output: Annotated[Output, typer.Option(metavar="FORMAT", help="Output format: text or json.")] = Output.TEXT,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also plot the times to page, as SVG or PNG by the suffix.")
    ] = None,
    nodes: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=1000, help="Also print the probability of hitting one bad node of this many."
        ),
    ] = None,
    noise: Annotated[
        list[float],
        typer.Option(
            metavar="RATIO", min=0.0, max=0.5, help="Ratio of events that fail by chance, for false pages; repeatable."
        ),
    ] = [0.0001, 0.001],  # noqa: B006 - typer's form of a repeated option's default
    trials: Annotated[int, typer.Option(metavar="N", min=10, max=10_000, help="Simulated faults of each kind.")] = 50,
    months: Annotated[int, typer.Option(metavar="N", min=1, max=120, help="Simulated months for false pages.")] = 3,
    year: Annotated[  # noqa: FBT002 - a flag
        bool,
        typer.Option(
            "--year",
            help="Simulate a year of faults instead, and print precision and recall of the pages.",
            rich_help_panel=YEAR,
        ),
    ] = False,
    relays: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, max=1000, help="Relays, made from those of the configuration.", rich_help_panel=YEAR
        ),
    ] = 50,
    locations: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, max=20, help="Locations, made from those of the configuration.", rich_help_panel=YEAR
        ),
    ] = 3,
    days: Annotated[
        int, typer.Option(metavar="N", min=1, max=3650, help="Days to simulate.", rich_help_panel=YEAR)
    ] = 365,
    seed: Annotated[int, typer.Option(metavar="NUMBER", help="Random seed; the same seed gives the same figures.")] = 1,
    replay: Annotated[  # noqa: FBT002 - a flag
        bool,
        typer.Option(
            "--replay",
            help="Print the pages that the rules would have sent for what Prometheus has recorded.",
            rich_help_panel=RECORDED,
        ),
    ] = False,
    prometheus: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Address of Prometheus; by default `prometheus.url`.", rich_help_panel=RECORDED
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION or TIME",
            help="Length of the time to replay, or when it begins; by default 30d.",
            rich_help_panel=RECORDED,
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="When it ends, in UTC; by default now.", rich_help_panel=RECORDED),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="OLD.yml",
            help="Old configuration or rule file: print the pages gained, lost or moved. Exit 1 if one is lost.",
            rich_help_panel=RECORDED,
        ),
    ] = None,
) -> None:
    """Simulate the time to page and false pages.

    Prints for each SLO the time to page by kind of fault, false pages a month, and faults that never page. With --year
    it prints what a year of many relays would page: outages that were missed, pages that were false, times to page.
    With --replay it evaluates the rules on recorded data, and names each page that a change of them gains or loses.

    Examples:
    relay-monitor simulate
    relay-monitor simulate --nodes 3 --trials 400 --plot forecast.svg
    relay-monitor simulate --year --days 60 --relays 20
    relay-monitor simulate --replay --since 7d -c prod.yaml --against old.yaml
    """
    require("simulate")
    if year and replay:
        raise typer.BadParameter("cannot be used with --year", param_hint="--replay")
    if not replay and (prometheus, since, until, against) != (None, None, None, None):
        raise typer.BadParameter("--prometheus, --since, --until and --against need it", param_hint="--replay")
    if replay:
        _check_replayed(ctx)
        from monitor.cli.replay import replay_recorded  # noqa: PLC0415

        replay_recorded(config, output, prometheus=prometheus, since=since, until=until, against=against)
        return
    if year:
        _year(load_config(config), output, seed=seed, relays=relays, locations=locations, days=days)
        return
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
        typer.echo("\n".join(lines(found, odds, width=terminal_width(sys.stdout))))
    if plot is not None:
        try:
            draw(found, plot)
        except (OSError, ValueError) as error:
            raise StartupError(f"{plot}: cannot be written: {error}") from error


def _check_replayed(ctx: typer.Context) -> None:
    """Raise `BadParameter` for the options given that a replay does not have, all in one message."""
    sources = {name: ctx.get_parameter_source(name) for name in NOT_REPLAYED}
    given = [f"--{name}" for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if given:
        raise typer.BadParameter(f"cannot be used with {', '.join(given)}", param_hint="--replay")


def _year(config: Config, output: Output, *, seed: int, relays: int, locations: int, days: int) -> None:
    """Simulate a year and print its score."""
    from monitor.simulation.year.processes import simulate_year  # noqa: PLC0415
    from monitor.simulation.year.score import score  # noqa: PLC0415
    from monitor.simulation.year.simulate import enlarged  # noqa: PLC0415
    from monitor.simulation.year.text import lines  # noqa: PLC0415

    found = score(simulate_year(enlarged(config, relays, locations), seed=seed, seconds=days * 86_400.0))
    if output is Output.JSON:
        totals = {"recall": found.recall, "precision": found.precision, "false": found.false_pages_a_relay_year}
        typer.echo(json.dumps(asdict(found) | totals))
    else:
        typer.echo("\n".join(lines(found, width=terminal_width(sys.stdout))))
