"""`relay-monitor once`: runs each probe once, for cron, CI and first tests."""

from __future__ import annotations

import json
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.shared import (
    DEFAULT_CONFIG,
    EXIT_BAD,
    EXIT_INTERRUPTED,
    ConfigOption,
    Output,
    cancel_on_sigterm,
    load_config,
    run_loop,
)
from monitor.errors import StartupError

if TYPE_CHECKING:
    from monitor.config import Config
    from monitor.results import Report


def once(
    config: ConfigOption = DEFAULT_CONFIG,
    relay: Annotated[str | None, typer.Option(metavar="NAME", help="Run probes of this relay only.")] = None,
    probe: Annotated[str | None, typer.Option(metavar="NAME", help="Run this probe only.")] = None,
    output: Annotated[Output, typer.Option(metavar="FORMAT", help="Output format: text or json.")] = Output.TEXT,
    textfile: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.prom",
            help="Write the results as relay_once_* gauges to this file, for node_exporter's textfile collector.",
        ),
    ] = None,
) -> None:
    """Run each probe once.

    Run the probes in parallel, and print the outcome and the timeline of each run when it ends. A terminal shows the
    steps while they happen, and then the results. Exit 1 unless all succeed.

    Examples:
    relay-monitor once
    relay-monitor once --relay demo --probe session
    relay-monitor once --output json --textfile /var/lib/node_exporter/relay.prom
    """
    from monitor.cli.once_steps import RunPrinter, show_progress  # noqa: PLC0415
    from monitor.daemon.once import run_once, timeline_lines  # noqa: PLC0415
    from monitor.journal import run_to_json  # noqa: PLC0415
    from monitor.logs import configure  # noqa: PLC0415
    from monitor.metrics.once import render  # noqa: PLC0415
    from monitor.results import Run  # noqa: PLC0415
    from monitor.vocabulary import Outcome  # noqa: PLC0415

    loaded = only(load_config(config), relay, probe)
    configure("console", "error")
    runs: list[Run] = []
    interrupted = False
    printer = RunPrinter(lambda run: typer.echo("\n".join(timeline_lines(run))))

    def publish(report: Run | Report) -> None:
        if isinstance(report, Run):
            runs.append(report)

    try:
        watch = partial(show_progress, printer if output is Output.TEXT else None)
        runs = run_loop(cancel_on_sigterm(run_once(loaded, publish, watch)))
    except KeyboardInterrupt:
        interrupted = True  # the results so far are still printed, aborted runs included
    try:
        if output is Output.JSON:
            typer.echo(json.dumps([run_to_json(item) for item in runs], indent=2))
        else:
            printer.print_others(runs)
    finally:  # also if stdout cannot be written
        if textfile is not None:
            _write(textfile, render(loaded, runs))
    if interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    if any(item.outcome is not Outcome.OK for item in runs):
        raise typer.Exit(EXIT_BAD)


def only(config: Config, relay: str | None, probe: str | None) -> Config:
    """Return the part of a configuration that concerns one relay, one probe, or both. Raises `BadParameter`."""
    relays = tuple(item for item in config.relays if relay in {None, item.name})
    probes = tuple(item for item in config.probes if probe in {None, item.name})
    if not relays:
        names = ", ".join(item.name for item in config.relays)
        raise typer.BadParameter(f"no relay {relay!r}; the configuration has {names}", param_hint="--relay")
    if not probes:
        names = ", ".join(item.name for item in config.probes)
        raise typer.BadParameter(f"no probe {probe!r}; the configuration has {names}", param_hint="--probe")
    relay_names = {item.name for item in relays}
    probes = tuple(
        item.model_copy(update={"relays": tuple(name for name in item.relays if name in relay_names)})
        for item in probes
        if relay_names & set(item.relays)
    )
    if not probes:
        which = f"probe {probe!r} does not watch" if probe is not None else "no probe watches"
        raise typer.BadParameter(f"{which} relay {relay!r}", param_hint="--relay")
    probe_names = {item.name for item in probes}
    slos = tuple(
        item.model_copy(update={"probe": tuple(name for name in item.probe if name in probe_names)})
        for item in config.slos
        if probe_names & set(item.probe)
    )
    return config.model_copy(update={"relays": relays, "probes": probes, "slos": slos})


def _write(path: Path, content: bytes) -> None:
    """Replace a file atomically, since node_exporter may read it at any time. Raises `StartupError`."""
    try:
        # A temporary folder beside the file, so that the rename stays on one file system.
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            temporary = Path(folder, "metrics")
            temporary.write_bytes(content)
            temporary.chmod(0o644)
            temporary.replace(path)
    except OSError as error:
        raise StartupError(f"{path}: cannot be written: {error.strerror}") from error
