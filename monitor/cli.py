"""The command line: arguments in, results on stdout, logs on stderr, and an exit status that can be relied on.

0 good · 1 the verdict is bad · 2 wrong usage or configuration · 130 interrupted. What a command needs is imported when
it runs, so that each starts quickly and the daemon carries nothing it does not use.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import tempfile
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.errors import ConfigError, MonitorError, StartupError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from monitor.config import Config
    from monitor.probes.run import Report

EXIT_BAD = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="relay-monitor",
    help="An always-on synthetic monitor for production WebSocket relays.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class LogFormat(StrEnum):
    """How log lines look."""

    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    """What is logged at least."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Output(StrEnum):
    """How results look."""

    TEXT = "text"
    JSON = "json"


ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The configuration file.", show_default=True)]
DEFAULT_CONFIG = Path("config.yaml")


@app.command()
def run(
    config: ConfigOption = DEFAULT_CONFIG,
    shard: Annotated[str, typer.Option(help="Watch the I-th of N parts of the relays, as I/N from 0.")] = "0/1",
    log_format: Annotated[LogFormat, typer.Option(help="How log lines look.")] = LogFormat.CONSOLE,
    log_level: Annotated[LogLevel, typer.Option(help="What is logged at least.")] = LogLevel.INFO,
) -> None:
    """Run the daemon: follow the schedule, serve /metrics and the on-call page, until SIGTERM."""
    from monitor.app import serve, shard_of  # noqa: PLC0415
    from monitor.logs import configure  # noqa: PLC0415

    index, count = _shard(shard)
    loaded = shard_of(_load(config), index, count)
    configure(log_format.value, log_level.value)
    _run(serve(loaded, shard=(index, count)))


@app.command()
def check(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Validate a configuration: every fault with its line, or what it will do to each relay."""
    from monitor.footprint import render  # noqa: PLC0415

    loaded = _load(config)
    typer.echo(f"{config}: good")
    for line in render(loaded):
        typer.echo(line)


@app.command()
def once(
    config: ConfigOption = DEFAULT_CONFIG,
    relay: Annotated[str | None, typer.Option(help="Only this relay.")] = None,
    probe: Annotated[str | None, typer.Option(help="Only this probe.")] = None,
    output: Annotated[Output, typer.Option(help="How results look.")] = Output.TEXT,
    textfile: Annotated[
        Path | None, typer.Option(help="Also write the metrics here, for node_exporter's textfile collector.")
    ] = None,
) -> None:
    """Play each probe once, in parallel, with a step-by-step timeline; exit 1 unless all are good."""
    import monitor  # noqa: PLC0415
    from monitor.catalogue import Outcome  # noqa: PLC0415
    from monitor.journal import run_to_json  # noqa: PLC0415
    from monitor.logs import configure  # noqa: PLC0415
    from monitor.metrics import Metrics  # noqa: PLC0415
    from monitor.once import play_once, show  # noqa: PLC0415
    from monitor.probes.run import Run  # noqa: PLC0415
    from monitor.schedule import longest_gap  # noqa: PLC0415

    loaded = _only(_load(config), relay, probe)
    configure("console", "error")
    metrics = Metrics(loaded, version=monitor.__version__, longest_gap=longest_gap)
    runs: list[Run] = []
    interrupted = False

    def publish(report: Run | Report) -> None:
        metrics.publish(report)
        if isinstance(report, Run):
            runs.append(report)

    try:
        runs = _run(play_once(loaded, publish))
    except KeyboardInterrupt:
        interrupted = True  # what there is, the runs cut short among them, is still told
    if output is Output.JSON:
        typer.echo(json.dumps([run_to_json(item) for item in runs], indent=2))
    else:
        typer.echo("\n".join(line for item in runs for line in show(item)))
    if textfile is not None:
        _write(textfile, metrics.render()[0])
    if interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    if any(item.outcome is not Outcome.OK for item in runs):
        raise typer.Exit(EXIT_BAD)


@app.command()
def relay(
    listen: Annotated[str, typer.Option(help="Where to listen, as HOST:PORT.")] = "127.0.0.1:8000",
) -> None:
    """Run the embedded relay alone, with the production namespaces."""
    from monitor.config.fields import split_host_port  # noqa: PLC0415
    from monitor.embedded import EmbeddedRelay  # noqa: PLC0415
    from monitor.logs import configure  # noqa: PLC0415

    try:
        host, port = split_host_port(listen)
    except ValueError as error:
        raise typer.BadParameter(f"{listen!r} {error}", param_hint="--listen") from None
    configure("console", "warning")

    async def serve() -> None:
        embedded = EmbeddedRelay(host, port)
        await embedded.start()
        typer.echo(f"listening {embedded.url}")
        await _stopped()
        await embedded.stop()

    _run(serve())


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from monitor.config import schema as config_schema  # noqa: PLC0415

    typer.echo(json.dumps(config_schema(), indent=2))


def _load(path: Path) -> Config:
    from monitor.config import load  # noqa: PLC0415

    return load(path, os.environ)


def _only(config: Config, relay: str | None, probe: str | None) -> Config:
    """The part of a configuration that concerns one relay or one probe."""
    relays = tuple(item for item in config.relays if relay in {None, item.name})
    probes = tuple(item for item in config.probes if probe in {None, item.name})
    if not relays:
        names = ", ".join(item.name for item in config.relays)
        raise typer.BadParameter(f"no relay {relay!r}; the configuration has {names}", param_hint="--relay")
    if not probes:
        names = ", ".join(item.name for item in config.probes)
        raise typer.BadParameter(f"no probe {probe!r}; the configuration has {names}", param_hint="--probe")
    kept = {item.name for item in relays}
    probes = tuple(
        item.model_copy(update={"relays": tuple(name for name in item.relays if name in kept)})
        for item in probes
        if kept & set(item.relays)
    )
    if not probes:
        which = f"probe {probe!r} does not watch" if probe is not None else "no probe watches"
        raise typer.BadParameter(f"{which} relay {relay!r}", param_hint="--relay")
    names_left = {item.name for item in probes}
    slos = tuple(
        item.model_copy(update={"probe": tuple(name for name in item.probe if name in names_left)})
        for item in config.slos
        if names_left & set(item.probe)
    )
    return config.model_copy(update={"relays": relays, "probes": probes, "slos": slos})


def _shard(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text)
    index, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if index >= count:
        raise typer.BadParameter(f"{text!r} is not I/N with 0 ≤ I < N, such as 0/3", param_hint="--shard")
    return index, count


def _write(path: Path, content: bytes) -> None:
    """Replace a file whole, since node_exporter may read it at any moment."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            file.write(content)
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)
    except OSError as error:
        raise StartupError(f"{path}: cannot be written: {error.strerror}") from error


async def _stopped() -> None:
    import signal  # noqa: PLC0415

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run on uvloop where it installs, which costs less CPU a message, else on asyncio's own loop."""
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with suppress(ImportError):
        import uvloop  # noqa: PLC0415

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work)


def main() -> None:
    """The command `relay-monitor`."""
    try:
        app()
    except ConfigError as error:
        for line in str(error).splitlines():
            typer.echo(line, err=True)
        sys.exit(EXIT_USAGE)
    except MonitorError as error:
        typer.echo(f"relay-monitor: {error}", err=True)
        sys.exit(EXIT_USAGE)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
