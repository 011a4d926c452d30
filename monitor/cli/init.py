"""`relay-monitor init`: a first configuration for a relay, which is tried before the file is written."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from monitor.cli.extras import missing
from monitor.cli.shared import (
    DEFAULT_CONFIG,
    EXIT_BAD,
    EXIT_INTERRUPTED,
    cancel_on_sigterm,
    run_loop,
)
from monitor.errors import ConfigError, StartupError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.config import Config
    from monitor.results import Run

_NAME: Final = "relay-monitor"
_OPTION_OF_KEY: Final = {
    "relays[0].url": "--url",
    "relays[0].name": "--name",
    "relays[0].origin": "--origin",
    "relays[0].token_file": "--token-file",
    "relays[0].tls.ca_file": "--ca-file",
    "location": "--location",
    "locations[0]": "--location",
}
"""The option that each key of the starter configuration comes from."""


def init(  # noqa: PLR0913 - each is an option
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The relay: wss://…, a host name, or `embedded`. Asked for if it is missing."),
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Its name in metrics, alerts and pages.")] = None,
    location: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where this monitor runs; a label on all its series.")
    ] = None,
    origin: Annotated[str | None, typer.Option(metavar="URL", help="Origin header of its WebSocket upgrades.")] = None,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File with a connection token, read at each connect.")
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE.pem", help="Authorities that sign the relay's certificate."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE.yaml", help="Configuration file to write.")
    ] = DEFAULT_CONFIG,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Write the file also if no message crosses the relay.")
    ] = False,
) -> None:
    r"""Try a relay and write a configuration for it.

    One dApp and one wallet pair over the relay and exchange two messages. If that succeeds, a commented configuration
    with the usual probes and objectives is written, and the next steps are printed. Exit 1, and write nothing, if it
    fails.

    Examples:
    relay-monitor init --output relay.yaml
    relay-monitor init --url wss://relay.example.com --name eu-1 -o eu-1.yaml
    relay-monitor init --url relay.example.com --output eu-2.yaml \
        --token-file /run/secrets/token --anyway
    """
    from monitor.config.starter import Starter, relay_name, relay_url, starter_text  # noqa: PLC0415

    if output.exists() and not force:
        raise StartupError(f"{output} exists; --output names another file, --force replaces it")
    asks = url is None
    if asks and not sys.stdin.isatty():
        raise typer.BadParameter("is required, as nobody can be asked: stdin is not a terminal", param_hint="--url")
    address = relay_url(url if url is not None else typer.prompt("URL of the relay"))
    name = name or (typer.prompt("Name of the relay", default=relay_name(address)) if asks else relay_name(address))
    location = location or (typer.prompt("Location of this monitor", default="local") if asks else "local")
    starter = Starter(
        url=address,
        name=name,
        location=location,
        origin=origin,
        token_file=None if token_file is None else str(token_file.absolute()),
        ca_file=None if ca_file is None else str(ca_file.absolute()),
    )
    text = starter_text(starter)
    unreadable = _unreadable({"--token-file": token_file, "--ca-file": ca_file})
    works = _report(_try(_checked(text, output, unreadable)))
    if not (works or anyway or (asks and typer.confirm(f"Write {output} all the same?"))):
        typer.echo(f"{output} is not written; --anyway writes it all the same.", err=True)
        raise typer.Exit(EXIT_BAD)
    _write(output, text, force=force)
    typer.echo(_next_steps(output))


def _unreadable(files: Mapping[str, Path | None]) -> dict[str, str]:
    """Return why the file of each option cannot be read, for those that cannot."""
    from monitor.config.fields import read_file  # noqa: PLC0415

    found = {}
    for option, file in files.items():
        if file is not None:
            try:
                read_file(file, 1)
            except OSError as error:
                found[option] = f"{file} cannot be read: {error.strerror}"
    return found


def _checked(text: str, output: Path, unreadable: Mapping[str, str]) -> Config:
    """Return the configuration. Raises `StartupError`, whose message names the options that the problems come from.

    `unreadable` says for options why their files cannot be read: the message for a configuration is about its folder.
    """
    from monitor.config import parse  # noqa: PLC0415

    try:
        return parse(text, str(output), os.environ)
    except ConfigError as error:
        lines = []
        for problem in error.problems:
            option = _OPTION_OF_KEY.get(problem.key, "")
            message = unreadable.get(option, problem.message)
            lines.append(f"{option}: {message}" if option else problem.show(str(output)))
        raise StartupError("; ".join(dict.fromkeys(lines))) from error


def _try(config: Config) -> Run:
    """Run one exchange over the relay, and show its steps. Exits with 130 if it is interrupted."""
    from monitor.cli.once import only  # noqa: PLC0415
    from monitor.cli.once_steps import show_progress  # noqa: PLC0415
    from monitor.config.starter import TRIAL_PROBE  # noqa: PLC0415
    from monitor.daemon.once import run_once  # noqa: PLC0415
    from monitor.logs import configure  # noqa: PLC0415

    configure("console", "error")
    typer.echo(f"Trying {config.relays[0].url}: one pairing, and a message in each direction …", err=True)
    trial = only(config, None, TRIAL_PROBE)
    run: Run
    try:
        (run,) = run_loop(cancel_on_sigterm(run_once(trial, lambda _: None, partial(show_progress, None))))
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    return run


def _report(run: Run) -> bool:
    """Print how the trial ended, and return True if it succeeded."""
    from monitor.daemon.once import timeline_lines  # noqa: PLC0415
    from monitor.vocabulary import Outcome  # noqa: PLC0415
    from monitor.web.meanings import meanings  # noqa: PLC0415

    if run.outcome is Outcome.OK:
        (exchange,) = run.exchanges
        paired = run.pairing.seconds if run.pairing is not None else None
        parts = [] if paired is None else [f"paired in {paired * 1000:.0f} ms"]
        parts += [] if exchange.round_trip is None else [f"round trip {exchange.round_trip * 1000:.0f} ms"]
        typer.echo(f"The relay works: {', '.join(parts)}.\n")
        return True
    typer.echo("\n".join(timeline_lines(run)), err=True)
    if run.failure is not None:
        meaning = meanings().reasons[run.failure.reason]
        typer.echo(f"\n{run.failure.reason}: {meaning.means}\n{meaning.look_first}", err=True)
    return False


def _write(output: Path, text: str, *, force: bool) -> None:
    """Write the file; without `force` it must not exist. Raises `StartupError`."""
    try:
        with output.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise StartupError(f"{output}: cannot be written: {error.strerror}") from error


def _program() -> str:
    """Return what a shell calls this program by: as it was called here, if its name is not on PATH."""
    called = sys.argv[0]
    if shutil.which(_NAME) is None:
        if Path(called).name == _NAME:
            return shlex.quote(called)
        if Path(called).name == "__main__.py":
            return f"{shlex.quote(sys.executable)} -m monitor"
    return _NAME


def _next_steps(output: Path) -> str:
    """Return what to do next."""
    program = _program()
    option = "" if output == DEFAULT_CONFIG else f" --config {shlex.quote(str(output))}"
    needs = "; this needs the extra `generate`:\n   see docs/installation.md of the project"
    return f"""\
{output} is written. Next:

1. Run the monitor, and open its page at http://127.0.0.1:9464/
       {program} check{option}
       {program} run{option}
2. Generate alert rules, dashboards and runbooks from the configuration{needs if missing("generate") else ""}
       {program} generate{option} --output monitoring
3. Add the monitor and its rules to prometheus.yml and the routes of monitoring/alerts/alertmanager.yml to
   Alertmanager, and import monitoring/dashboards into Grafana
       scrape_configs:
         - job_name: relay-monitor
           static_configs: [{{targets: ["127.0.0.1:9464"]}}]
       rule_files: [monitoring/alerts/relay-monitor.rules.yml]"""
