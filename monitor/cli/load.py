"""`relay-monitor load`: a load scenario by hand."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperOption

from monitor.cli.shared import EXIT_BAD, EXIT_INTERRUPTED, load_config, run_loop
from monitor.errors import StartupError

if TYPE_CHECKING:
    from monitor.load.conduct import Ended
    from monitor.load.plan import Plan


class Scenario(StrEnum):
    """The scenarios, as the relay team names them."""

    CONNECTION_STORM = "connection-storm"
    STEADY_STATE = "steady-state"
    REALISTIC_SESSION = "realistic-session"
    ASYNC_DELIVERY = "async-delivery"
    STEADY_MESSAGING = "steady-messaging"


class Crypto(StrEnum):
    """How messages are encrypted."""

    REAL = "real"
    MOCK = "mock"


_PAIRS: Final = (Scenario.REALISTIC_SESSION, Scenario.ASYNC_DELIVERY, Scenario.STEADY_MESSAGING)
_BARE: Final = (Scenario.CONNECTION_STORM, Scenario.STEADY_STATE)
USED: Final = {
    "connections": _BARE,
    "connection_pairs": _PAIRS,
    "crypto": _PAIRS,
    "duration": (Scenario.STEADY_STATE, Scenario.STEADY_MESSAGING),
    "messages_per_session": (Scenario.REALISTIC_SESSION,),
    "delay": (Scenario.ASYNC_DELIVERY,),
    "message_interval": (Scenario.STEADY_MESSAGING,),
}
"""The flags that not every scenario uses, and those that do."""


class LoadCommand(TyperCommand):
    """The command with its options shown under the scenarios that use them."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """First what concerns every scenario, then each scenario's own."""
        common: list[Any] = []
        own: dict[Scenario, list[Any]] = {scenario: [] for scenario in Scenario}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is None:
                continue
            scenarios = USED.get(param.name or "")
            if scenarios is None or not isinstance(param, TyperOption):
                common.append(record)
            for scenario in scenarios or ():
                own[scenario].append(record)
        with formatter.section("Every scenario"):
            formatter.write_dl(common)
        for scenario, records in own.items():
            with formatter.section(scenario.value):
                formatter.write_dl(records)


def _seconds(text: str) -> float:
    from monitor.config import parse_duration  # noqa: PLC0415

    try:
        value = float(text)
    except ValueError:
        try:
            value = parse_duration(text)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is no time; expected seconds, such as 60, or 500ms, 5m") from None
    if not 0 <= value <= 7 * 86_400:
        raise typer.BadParameter(f"{text!r} is out of range; expected 0 to 7 days")
    return value


def _some(text: str) -> float:
    value = _seconds(text)
    if value <= 0:
        raise typer.BadParameter(f"{text!r} is no time to wait for; expected more than 0")
    return value


def _share(text: str) -> float:
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 < value <= 100:  # noqa: PLR2004 - percent
        raise typer.BadParameter(f"{text!r} is no share; expected a percentage above 0, up to 100, such as 99.9")
    return value / 100


def _worker(text: str) -> tuple[int, int]:
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and int(index) < int(count) <= 1000):  # noqa: PLR2004
        raise typer.BadParameter(f"{text!r} is not I/N with 0 ≤ I < N ≤ 1000, such as 0/4")
    return int(index), int(count)


def _target(text: str) -> str:
    from pydantic import ValidationError  # noqa: PLC0415

    from monitor.config import RelayConfig  # noqa: PLC0415

    try:
        return RelayConfig(name="target", url=text).url
    except ValidationError as error:
        raise typer.BadParameter(f"{text!r}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None


def load(  # noqa: PLR0913, PLR0917 - the flags of the tool it replaces, and what goes beyond it
    ctx: typer.Context,
    target: Annotated[str, typer.Option(parser=_target, metavar="URL", help="The relay; `embedded` starts one.")],
    scenario: Annotated[Scenario, typer.Option(help="What is played.")] = Scenario.CONNECTION_STORM,
    ramp_up: Annotated[
        Any, typer.Option(parser=_seconds, metavar="SECONDS", help="The time that all starts are spread over evenly.")
    ] = "10",
    connections: Annotated[int, typer.Option(min=1, max=1_000_000, help="Bare connections.")] = 100,
    connection_pairs: Annotated[int, typer.Option(min=1, max=500_000, help="Pairs of a dApp and a wallet.")] = 100,
    duration: Annotated[
        Any, typer.Option(parser=_seconds, metavar="SECONDS", help="How long it lasts after the ramp-up.")
    ] = "60",
    messages_per_session: Annotated[int, typer.Option(min=1, max=10_000, help="Exchanges of each pair.")] = 3,
    delay: Annotated[
        Any, typer.Option(parser=_seconds, metavar="SECONDS", help="How long the wallet stays away.")
    ] = "30",
    message_interval: Annotated[
        Any,
        typer.Option(
            parser=_some, metavar="SECONDS", help="The wallet's wait before it answers, and the dApp's after."
        ),
    ] = "5",
    crypto: Annotated[
        Crypto, typer.Option(help="`mock` is the Node tool's key manager: cheaper, and checks nothing.")
    ] = Crypto.REAL,
    timeout: Annotated[
        Any,
        typer.Option(
            parser=_some, metavar="SECONDS", help="Bounds one try to connect, the handshake, and each exchange."
        ),
    ] = "10",
    output: Annotated[Path, typer.Option(metavar="FILE.json", help="Where the result goes.")] = Path("results.json"),
    worker: Annotated[
        Any,
        typer.Option(
            parser=_worker,
            metavar="I/N",
            help="Play the I-th of N parts of this test, of which other machines play one.",
        ),
    ] = "0/1",
    seed: Annotated[int | None, typer.Option(help="Fixes what is left to chance: back-offs, turns.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Hold the result against the SLOs of this configuration.")
    ] = None,
    slo_round_trip: Annotated[
        Any, typer.Option(parser=_some, metavar="TIME", help="Round trip P99 at most (400ms).", show_default=False)
    ] = None,
    slo_success: Annotated[
        Any, typer.Option(parser=_share, metavar="PERCENT", help="Connected at least (99).", show_default=False)
    ] = None,
    slo_delivery: Annotated[
        Any, typer.Option(parser=_share, metavar="PERCENT", help="Exchanges at least (99.9).", show_default=False)
    ] = None,
    slo_recovery: Annotated[
        Any,
        typer.Option(parser=_share, metavar="PERCENT", help="Historical recovery at least (100).", show_default=False),
    ] = None,
    slo_stability: Annotated[
        Any, typer.Option(parser=_share, metavar="PERCENT", help="Not dropped at least (99.9).", show_default=False)
    ] = None,
    slo_trend: Annotated[
        float | None, typer.Option(min=1.0, help="The last snapshot's P99 over the first's, at most (only told).")
    ] = None,
) -> None:
    """Play a load scenario against a relay; exit 1 when an objective is missed, or nothing came through."""
    from monitor import catalogue  # noqa: PLC0415
    from monitor.clock import SystemClock  # noqa: PLC0415
    from monitor.load.conduct import conduct  # noqa: PLC0415
    from monitor.load.plan import Plan  # noqa: PLC0415
    from monitor.load.verdict import Aim, objectives  # noqa: PLC0415
    from monitor.logs import configure  # noqa: PLC0415

    configure("console", "error")
    _warn_of_unused(ctx, scenario)
    _check_folder(output, "--output")
    plan = Plan(
        target=target,
        scenario=catalogue.Scenario(scenario.value),
        connections=connections,
        connection_pairs=connection_pairs,
        duration=duration,
        ramp_up=ramp_up,
        messages_per_session=messages_per_session,
        delay=delay,
        message_interval=message_interval,
        crypto=crypto.value,
        timeout=timeout,
        seed=seed,
        worker=worker,
    )
    if not plan.numbers:
        raise typer.BadParameter(
            f"of {plan.total} none is left for worker {worker[0]}/{worker[1]}", param_hint="--worker"
        )
    given = {
        Aim.ROUND_TRIP: slo_round_trip,
        Aim.SUCCESS: slo_success,
        Aim.DELIVERY: slo_delivery,
        Aim.RECOVERY: slo_recovery,
        Aim.STABILITY: slo_stability,
        Aim.TREND: slo_trend,
    }
    wanted = objectives(
        plan.scenario,
        load_config(config) if config is not None else None,
        {aim: limit for aim, limit in given.items() if limit is not None},
    )
    ended = run_loop(conduct(plan, SystemClock()))
    tell(plan, ended, wanted, output)


def tell(plan: Plan, ended: Ended, wanted: list[Any], output: Path, workers: int = 1) -> None:
    """Print and write a result, and exit as it deserves."""
    import monitor  # noqa: PLC0415
    from monitor.load.result import to_json  # noqa: PLC0415
    from monitor.load.text import Summary  # noqa: PLC0415
    from monitor.load.verdict import judge, passed  # noqa: PLC0415

    judged = judge(plan.scenario, ended.totals, wanted)
    good = passed(plan.scenario, ended.totals, judged)
    meta = ended.meta(monitor.__version__, plan, workers)
    slos = [item.to_json() for item in judged]
    _write(output, json.dumps(to_json(plan, ended.totals, meta, slos, ended.began), indent=2) + "\n")
    for line in Summary(plan, ended.totals, judged, colour=sys.stdout.isatty()).lines():
        typer.echo(line)
    typer.echo(f"written to {output}", err=True)
    if ended.interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    if not good:
        raise typer.Exit(EXIT_BAD)


def _warn_of_unused(ctx: typer.Context, scenario: Scenario) -> None:
    for name, scenarios in USED.items():
        source = ctx.get_parameter_source(name)
        if scenario not in scenarios and source is not None and source.name == "COMMANDLINE":
            typer.echo(f"relay-monitor: {scenario.value} has no use for --{name.replace('_', '-')}", err=True)


def _check_folder(path: Path, flag: str) -> None:
    """Before a test of an hour, rather than after it."""
    if not path.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {path.parent}", param_hint=flag)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StartupError(f"{path}: cannot be written: {error.strerror}") from error
