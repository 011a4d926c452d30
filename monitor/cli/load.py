"""`relay-monitor load`: a load scenario by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.cli.flags import (
    Crypto,
    gateway_of,
    listen_of,
    seconds_of,
    share_of,
    some_seconds_of,
    target_of,
    worker_of,
)
from monitor.cli.load_output import LoadOutput, check_files
from monitor.cli.shared import load_config, run_loop
from monitor.scenarios import FLAGS, SPECS, Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.config import Config
    from monitor.load.load_runner import Ended
    from monitor.load.plan import Plan
    from monitor.load.scenario_runner import ScenarioRunner
    from monitor.load.snapshot import Snapshot


def load(  # noqa: PLR0913, PLR0917 - the flags of the tool it replaces, and what goes beyond it
    ctx: typer.Context,
    target: Annotated[str, typer.Option(parser=target_of, metavar="URL", help="The relay; `embedded` starts one.")],
    scenario: Annotated[Scenario, typer.Option(help="What is played.")] = Scenario.CONNECTION_STORM,
    ramp_up: Annotated[
        Any, typer.Option(parser=seconds_of, metavar="SECONDS", help="The time that all starts are spread over evenly.")
    ] = "10",
    connections: Annotated[int, typer.Option(min=1, max=1_000_000, help="Bare connections.")] = 100,
    connection_pairs: Annotated[int, typer.Option(min=1, max=500_000, help="Pairs of a dApp and a wallet.")] = 100,
    duration: Annotated[
        Any, typer.Option(parser=seconds_of, metavar="SECONDS", help="How long it lasts after the ramp-up.")
    ] = "60",
    messages_per_session: Annotated[int, typer.Option(min=1, max=10_000, help="Exchanges of each pair.")] = 3,
    delay: Annotated[
        Any, typer.Option(parser=seconds_of, metavar="SECONDS", help="How long the wallet stays away.")
    ] = "30",
    message_interval: Annotated[
        Any,
        typer.Option(
            parser=some_seconds_of, metavar="SECONDS", help="The wallet's wait before it answers, and the dApp's after."
        ),
    ] = "5",
    crypto: Annotated[
        Crypto, typer.Option(help="`mock` is the Node tool's key manager: cheaper, and checks nothing.")
    ] = Crypto.REAL,
    timeout: Annotated[
        Any,
        typer.Option(
            parser=some_seconds_of,
            metavar="SECONDS",
            help="Bounds one try to connect, the handshake, and each exchange.",
        ),
    ] = "10",
    output: Annotated[Path, typer.Option(metavar="FILE.json", help="Where the result goes.")] = Path("results.json"),
    report: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Also a page of it.")] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="Processes of this machine that share the test, one event loop each.")
    ] = 1,
    metrics: Annotated[
        Any, typer.Option(parser=listen_of, metavar="HOST:PORT", help="Serve /metrics here while it runs.")
    ] = None,
    push_gateway: Annotated[
        Any, typer.Option(parser=gateway_of, metavar="URL", help="Push the metrics here when it is over.")
    ] = None,
    worker: Annotated[
        Any,
        typer.Option(
            parser=worker_of,
            metavar="I/N",
            help="Play the I-th of N parts of this test, of which other machines play one.",
        ),
    ] = "0/1",
    seed: Annotated[int | None, typer.Option(help="Fixes what is left to chance: back-offs, turns.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Hold the result against the SLOs of this configuration.")
    ] = None,
    slo_round_trip: Annotated[
        Any,
        typer.Option(
            parser=some_seconds_of, metavar="TIME", help="Round trip P99 at most (400ms).", show_default=False
        ),
    ] = None,
    slo_success: Annotated[
        Any, typer.Option(parser=share_of, metavar="PERCENT", help="Connected at least (99).", show_default=False)
    ] = None,
    slo_delivery: Annotated[
        Any, typer.Option(parser=share_of, metavar="PERCENT", help="Exchanges at least (99.9).", show_default=False)
    ] = None,
    slo_recovery: Annotated[
        Any,
        typer.Option(
            parser=share_of, metavar="PERCENT", help="Historical recovery at least (100).", show_default=False
        ),
    ] = None,
    slo_stability: Annotated[
        Any,
        typer.Option(
            parser=share_of,
            metavar="PERCENT",
            help="Seconds connected of those due, at least (99.9).",
            show_default=False,
        ),
    ] = None,
    slo_trend: Annotated[
        float | None, typer.Option(min=1.0, help="The last snapshot's P99 over the first's, at most (only told).")
    ] = None,
) -> None:
    """Play a load scenario against a relay; exit 1 when an objective is missed, or nothing came through."""
    from monitor.load.plan import Plan  # noqa: PLC0415
    from monitor.load.verdict import APPLIES, Aim, objectives  # noqa: PLC0415
    from monitor.logs import configure  # noqa: PLC0415

    configure("console", "error")
    _warn_of_unused(ctx, scenario)
    check_files(output, report)
    plan = Plan(
        target=target,
        scenario=scenario,
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
    given = {aim: limit for aim, limit in given.items() if limit is not None}
    for aim in given:
        if plan.scenario not in APPLIES[aim]:
            _warn(f"{scenario.value} has no use for --slo-{aim.name.lower().replace('_', '-')}")
    loaded = load_config(config) if config is not None else None
    if loaded is not None:
        _warn_of_unjudged(plan, loaded, config)
    wanted = objectives(plan.scenario, loaded, given)
    if workers > 1:
        _check_workers(plan, workers, in_the_way=metrics is not None or push_gateway is not None)
        # Its result is one of so many parts, of which some may be missing.
        told = LoadOutput(replace(plan, worker=(0, workers)), wanted, output, report, workers=workers)
        _on_several(plan, workers, told.write)
    else:
        told = LoadOutput(plan, wanted, output, report)
        _on_one(plan, loaded, metrics, push_gateway, told.write)
    told.show()


def _check_workers(plan: Plan, workers: int, *, in_the_way: bool) -> None:
    """What several processes cannot do."""
    hint = "--workers"
    if plan.target == "embedded":
        raise typer.BadParameter("needs a relay that all of them reach, such as relay-monitor relay", param_hint=hint)
    if in_the_way:
        raise typer.BadParameter("goes without --metrics and --push-gateway, which are one process's", param_hint=hint)
    if plan.worker != (0, 1):
        raise typer.BadParameter("goes without --worker: this machine's part is split no further", param_hint=hint)
    if workers > plan.total:
        raise typer.BadParameter(f"{workers} workers are more than there is to play: {plan.total}", param_hint=hint)


def _on_one(
    plan: Plan,
    config: Config | None,
    listen: tuple[str, int] | None,
    gateway: str | None,
    finish: Callable[[Ended], None],
) -> None:
    """The test in this process."""
    from monitor.clock import SYSTEM_CLOCK  # noqa: PLC0415
    from monitor.load.load_runner import conduct  # noqa: PLC0415
    from monitor.load.progress import show_progress  # noqa: PLC0415
    from monitor.load.snapshot import live_of  # noqa: PLC0415

    clock = SYSTEM_CLOCK

    def watch(play: ScenarioRunner) -> Any:
        return show_progress(plan, clock, lambda: live_of(play.tally))

    if listen is None and gateway is None:
        run_loop(conduct(plan, clock, watch=watch, finish=finish))
        return
    from monitor.load.serving import metrics_of  # noqa: PLC0415
    from monitor.schedule import LoopLag  # noqa: PLC0415

    played = {probe.name for probe in config.probes if probe.scenario is plan.scenario} if config is not None else set()
    slos = tuple(slo for slo in config.slos if played & set(slo.probe)) if config is not None else ()
    with metrics_of(plan, slos, listen, gateway) as served:
        lag = LoopLag(clock, served.observe_loop_lag)
        run_loop(conduct(plan, clock, watch=watch, publish=served.publish, beside=lag.run, finish=finish))


def _on_several(plan: Plan, workers: int, finish: Callable[[Ended], None]) -> None:
    """The test in processes of its own."""
    from monitor.clock import SYSTEM_CLOCK  # noqa: PLC0415
    from monitor.load.progress import show_progress  # noqa: PLC0415
    from monitor.load.workers import conduct_workers  # noqa: PLC0415

    def watch(live: Callable[[], Snapshot]) -> Any:
        return show_progress(plan, SYSTEM_CLOCK, live)

    run_loop(conduct_workers(plan, workers, watch, finish))


def load_worker() -> None:
    """One process of `load --workers`; not for people."""
    from monitor.load.worker import serve  # noqa: PLC0415
    from monitor.logs import configure  # noqa: PLC0415

    configure("console", "error")
    run_loop(serve())


def _warn_of_unused(ctx: typer.Context, scenario: Scenario) -> None:
    flags = SPECS[scenario].flags
    if flags is None:
        raise typer.BadParameter(f"{scenario.value} cannot be a load test")
    for name in sorted(FLAGS - flags):
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            _warn(f"{scenario.value} has no use for --{name.replace('_', '-')}")


def _warn_of_unjudged(plan: Plan, config: Config, path: Path | None) -> None:
    """Whoever named a configuration counts on its SLOs."""
    from monitor.load.verdict import APPLIES, of_config  # noqa: PLC0415

    found = of_config(plan.scenario, config)
    unjudged = [item for item in found if plan.scenario not in APPLIES[item.aim]]
    for item in unjudged:
        _warn(f"{plan.scenario.value} has no use for the SLO {item.name!r}: a load test of it measures no such thing")
    if len(unjudged) == len(found):
        _warn(f"{path} has no SLO that {plan.scenario.value} could be held against: the usual objectives stand")


def _warn(text: str) -> None:
    typer.echo(f"relay-monitor: {text}", err=True)
