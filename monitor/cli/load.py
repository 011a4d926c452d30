"""`relay-monitor load`: runs a load test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.cli.flags import (
    Crypto,
    gateway_of,
    listen_of,
    positive_seconds_of,
    seconds_of,
    share_of,
    target_of,
    worker_of,
)
from monitor.cli.load_output import LoadOutput, check_files
from monitor.cli.shared import load_config, run_loop
from monitor.scenarios import FLAGS, SPECS, Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.config import Config
    from monitor.load.plan import Plan
    from monitor.load.scenario_runner import ScenarioRunner
    from monitor.load.snapshot import Snapshot
    from monitor.load.totals import FinishedTest


def load(  # noqa: PLR0913, PLR0917 - one parameter per flag
    ctx: typer.Context,
    target: Annotated[
        str, typer.Option(parser=target_of, metavar="URL", help="Relay URL; `embedded` starts a relay in this process.")
    ],
    scenario: Annotated[Scenario, typer.Option(help="Load scenario.")] = Scenario.CONNECTION_STORM,
    ramp_up: Annotated[
        Any, typer.Option(parser=seconds_of, metavar="SECONDS", help="Time over which all starts are spread evenly.")
    ] = "10",
    connections: Annotated[int, typer.Option(min=1, max=1_000_000, help="Number of bare connections.")] = 100,
    connection_pairs: Annotated[
        int, typer.Option(min=1, max=500_000, help="Number of pairs of a dApp and a wallet.")
    ] = 100,
    duration: Annotated[
        Any, typer.Option(parser=seconds_of, metavar="SECONDS", help="Duration after the ramp-up.")
    ] = "60",
    messages_per_session: Annotated[int, typer.Option(min=1, max=10_000, help="Exchanges per pair.")] = 3,
    delay: Annotated[
        Any, typer.Option(parser=seconds_of, metavar="SECONDS", help="Time for which the wallet is offline.")
    ] = "30",
    message_interval: Annotated[
        Any,
        typer.Option(
            parser=positive_seconds_of,
            metavar="SECONDS",
            help="Wait of the wallet before each answer, and of the dApp after it.",
        ),
    ] = "5",
    crypto: Annotated[
        Crypto, typer.Option(help="Encryption; `mock` is the Node tool's key manager, cheaper and without any check.")
    ] = Crypto.REAL,
    timeout: Annotated[
        Any,
        typer.Option(
            parser=positive_seconds_of,
            metavar="SECONDS",
            help="Timeout of each connect attempt, the handshake, and each exchange.",
        ),
    ] = "10",
    output: Annotated[Path, typer.Option(metavar="FILE.json", help="Write the result here.")] = Path("results.json"),
    report: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write an HTML report.")] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="Number of processes on this machine, one event loop each.")
    ] = 1,
    metrics: Annotated[
        Any, typer.Option(parser=listen_of, metavar="HOST:PORT", help="Serve /metrics on this address during the test.")
    ] = None,
    push_gateway: Annotated[
        Any, typer.Option(parser=gateway_of, metavar="URL", help="Push the metrics to this gateway after the test.")
    ] = None,
    worker: Annotated[
        Any,
        typer.Option(
            parser=worker_of,
            metavar="I/N",
            help="Run part I of N; other machines run the other parts.",
        ),
    ] = "0/1",
    seed: Annotated[int | None, typer.Option(help="Seed of random choices, such as back-offs.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Check the result against the SLOs of this configuration.")
    ] = None,
    slo_round_trip: Annotated[
        Any,
        typer.Option(
            parser=positive_seconds_of, metavar="TIME", help="Maximum round-trip P99 (400ms).", show_default=False
        ),
    ] = None,
    slo_success: Annotated[
        Any,
        typer.Option(
            parser=share_of, metavar="PERCENT", help="Minimum share of connects that succeed (99).", show_default=False
        ),
    ] = None,
    slo_delivery: Annotated[
        Any,
        typer.Option(
            parser=share_of,
            metavar="PERCENT",
            help="Minimum share of exchanges that succeed (99.9).",
            show_default=False,
        ),
    ] = None,
    slo_recovery: Annotated[
        Any,
        typer.Option(
            parser=share_of,
            metavar="PERCENT",
            help="Minimum share of offline messages recovered (100).",
            show_default=False,
        ),
    ] = None,
    slo_stability: Annotated[
        Any,
        typer.Option(
            parser=share_of,
            metavar="PERCENT",
            help="Minimum share of due time connected (99.9).",
            show_default=False,
        ),
    ] = None,
    slo_trend: Annotated[
        float | None,
        typer.Option(
            min=1.0, help="Maximum ratio of the last 10 s window's P99 to the first's (reported, not enforced)."
        ),
    ] = None,
) -> None:
    """Run a load test against a relay; exit 1 if an objective is missed, or nothing succeeded."""
    from monitor.load.plan import Plan  # noqa: PLC0415
    from monitor.load.verdict import APPLIES, Aim, objectives  # noqa: PLC0415
    from monitor.logs import configure  # noqa: PLC0415

    configure("console", "error")
    _warn_of_unused_flags(ctx, scenario)
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
            f"worker {worker[0]}/{worker[1]} has none of the {plan.total} to run", param_hint="--worker"
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
            _warn(f"--slo-{aim.name.lower().replace('_', '-')} is not valid for {scenario.value}")
    loaded = load_config(config) if config is not None else None
    if loaded is not None:
        _warn_of_unmeasured_slos(plan, loaded, config)
    wanted = objectives(plan.scenario, loaded, given)
    if workers > 1:
        _check_workers(plan, workers, has_metrics=metrics is not None or push_gateway is not None)
        # As for the part of one worker: other parts may be missing.
        result = LoadOutput(replace(plan, worker=(0, workers)), wanted, output, report, workers=workers)
        _run_on_several(plan, workers, result.write)
    else:
        result = LoadOutput(plan, wanted, output, report)
        _run_on_one(plan, loaded, metrics, push_gateway, result.write)
    result.show()


def _check_workers(plan: Plan, workers: int, *, has_metrics: bool) -> None:
    """Raise `BadParameter` for what several processes cannot do."""
    hint = "--workers"
    if plan.target == "embedded":
        raise typer.BadParameter(
            "needs a relay that all processes can reach, such as relay-monitor relay", param_hint=hint
        )
    if has_metrics:
        raise typer.BadParameter("cannot be combined with --metrics or --push-gateway", param_hint=hint)
    if plan.worker != (0, 1):
        raise typer.BadParameter("cannot be combined with --worker", param_hint=hint)
    if workers > plan.total:
        raise typer.BadParameter(
            f"{workers} workers are more than the {plan.total} pairs or connections", param_hint=hint
        )


def _run_on_one(
    plan: Plan,
    config: Config | None,
    listen: tuple[str, int] | None,
    gateway: str | None,
    finish: Callable[[FinishedTest], None],
) -> None:
    """Run the test in this process."""
    from monitor.clock import SYSTEM_CLOCK  # noqa: PLC0415
    from monitor.load.load_runner import run_test  # noqa: PLC0415
    from monitor.load.progress import show_progress  # noqa: PLC0415
    from monitor.load.snapshot import Snapshot  # noqa: PLC0415

    clock = SYSTEM_CLOCK

    def watch(runner: ScenarioRunner) -> Any:
        return show_progress(plan, clock, lambda: Snapshot.of(runner.statistics))

    if listen is None and gateway is None:
        run_loop(run_test(plan, clock, watch=watch, finish=finish))
        return
    from monitor.load.serving import metrics_of  # noqa: PLC0415
    from monitor.schedule import LoopLag  # noqa: PLC0415

    probes = {probe.name for probe in config.probes if probe.scenario is plan.scenario} if config is not None else set()
    slos = tuple(slo for slo in config.slos if probes & set(slo.probe)) if config is not None else ()
    with metrics_of(plan, slos, listen, gateway) as served:
        lag = LoopLag(clock, served.observe_loop_lag)
        run_loop(run_test(plan, clock, watch=watch, publish=served.publish, background=lag.run, finish=finish))


def _run_on_several(plan: Plan, workers: int, finish: Callable[[FinishedTest], None]) -> None:
    """Run the test in worker processes."""
    from monitor.clock import SYSTEM_CLOCK  # noqa: PLC0415
    from monitor.load.progress import show_progress  # noqa: PLC0415
    from monitor.load.workers import run_workers  # noqa: PLC0415

    def watch(take_snapshot: Callable[[], Snapshot]) -> Any:
        return show_progress(plan, SYSTEM_CLOCK, take_snapshot)

    run_loop(run_workers(plan, workers, watch, finish))


def load_worker() -> None:
    """Run one process of `load --workers`; internal."""
    from monitor.load.worker import serve  # noqa: PLC0415
    from monitor.logs import configure  # noqa: PLC0415

    configure("console", "error")
    run_loop(serve())


def _warn_of_unused_flags(ctx: typer.Context, scenario: Scenario) -> None:
    flags = SPECS[scenario].flags
    if flags is None:
        raise typer.BadParameter(f"{scenario.value} cannot be a load test", param_hint="--scenario")
    for name in sorted(FLAGS - flags):
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            _warn(f"--{name.replace('_', '-')} is not valid for {scenario.value}")


def _warn_of_unmeasured_slos(plan: Plan, config: Config, path: Path | None) -> None:
    """Warn of SLOs of the configuration that this test does not measure."""
    from monitor.load.verdict import APPLIES, of_config  # noqa: PLC0415

    slos = of_config(plan.scenario, config)
    unmeasured = [item for item in slos if plan.scenario not in APPLIES[item.aim]]
    for item in unmeasured:
        _warn(f"SLO {item.name!r} is not valid for {plan.scenario.value}: a load test does not measure it")
    if len(unmeasured) == len(slos):
        _warn(f"{path} has no SLO that {plan.scenario.value} measures: using the default objectives")


def _warn(text: str) -> None:
    typer.echo(f"relay-monitor: {text}", err=True)
