"""`relay-monitor load`: runs a load test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import typer

from monitor.cli import load_options as option  # noqa: TC001 - typer reads annotations at run time
from monitor.cli.extras import require
from monitor.cli.flags import Crypto
from monitor.cli.load_output import LoadOutput, check_files
from monitor.cli.shared import load_config, run_loop
from monitor.scenarios import LOAD_FLAGS, SPECS, Scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from monitor.config import Config
    from monitor.load.plan import Plan
    from monitor.load.scenario_runner import ScenarioRunner
    from monitor.load.snapshot import Snapshot
    from monitor.load.totals import FinishedTest
    from monitor.load.verdict import Aim, Objective


def load(  # noqa: PLR0913, PLR0917 - one parameter per flag
    ctx: typer.Context,
    target: option.Target,
    scenario: option.LoadScenario = Scenario.CONNECTION_STORM,
    ramp_up: option.RampUp = "10",
    connections: option.Connections = 100,
    connection_pairs: option.ConnectionPairs = 100,
    duration: option.Duration = "60",
    messages_per_session: option.MessagesPerSession = 3,
    delay: option.Delay = "30",
    message_interval: option.MessageInterval = "5",
    crypto: option.CryptoKind = Crypto.REAL,
    timeout: option.Timeout = "10",
    output: option.OutputFile = Path("results.json"),
    report: option.ReportFile = None,
    workers: option.Workers = 1,
    metrics: option.MetricsAddress = None,
    push_gateway: option.PushGateway = None,
    worker: option.Worker = "0/1",
    test_id: option.TestId = None,
    seed: option.Seed = None,
    config: option.ConfigFile = None,
    slo_round_trip: option.RoundTripLimit = None,
    slo_success: option.SuccessLimit = None,
    slo_delivery: option.DeliveryLimit = None,
    slo_recovery: option.RecoveryLimit = None,
    slo_stability: option.StabilityLimit = None,
    slo_trend: option.TrendLimit = None,
) -> None:
    r"""Run a load test against a relay.

    Exits with 1 if an objective is missed, or nothing succeeded. A flag that the scenario does not have is an error.

    Examples:
    relay-monitor load --target embedded --connections 500
    relay-monitor load --target wss://relay.example.com/connection/websocket \
        --scenario steady-messaging --connection-pairs 200 --duration 5m \
        --report report.html
    """
    require("load")
    from monitor.load.plan import Plan  # noqa: PLC0415
    from monitor.load.verdict import Aim  # noqa: PLC0415
    from monitor.logs import configure  # noqa: PLC0415

    configure("console", "error")
    _check_flags(ctx, scenario)
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
        test_id=test_id or (uuid4().hex if worker == (0, 1) else ""),
    )
    limits = {
        Aim.ROUND_TRIP: slo_round_trip,
        Aim.SUCCESS: slo_success,
        Aim.DELIVERY: slo_delivery,
        Aim.RECOVERY: slo_recovery,
        Aim.STABILITY: slo_stability,
        Aim.TREND: slo_trend,
    }
    _check_workers(plan, workers, has_metrics=metrics is not None or push_gateway is not None)
    loaded = load_config(config) if config is not None else None
    wanted = _objectives(plan, loaded, config, {aim: limit for aim, limit in limits.items() if limit is not None})
    if workers > 1:
        # As for the part of one worker: other parts may be missing.
        result = LoadOutput(replace(plan, worker=(0, workers)), wanted, output, report, workers=workers)
        _run_on_several(plan, workers, result.write)
    else:
        result = LoadOutput(plan, wanted, output, report)
        _run_on_one(plan, loaded, metrics, push_gateway, result.write)
    result.show()


def _objectives(plan: Plan, config: Config | None, path: Path | None, limits: Mapping[Aim, float]) -> list[Objective]:
    """Return the objectives of the test, and warn of those that it does not measure.

    `limits` are those of flags, `path` is the file of `config`.
    """
    from monitor.load.verdict import objectives  # noqa: PLC0415

    if config is not None:
        _warn_of_unmeasured_slos(plan, config, path)
    return objectives(plan.scenario, config, limits)


def _check_workers(plan: Plan, workers: int, *, has_metrics: bool) -> None:
    """Raise `BadParameter` for a worker without a part, and for what several processes cannot do."""
    if not plan.numbers:
        index, count = plan.worker
        raise typer.BadParameter(f"worker {index}/{count} has none of the {plan.total} to run", param_hint="--worker")
    if workers > 1 and plan.worker != (0, 1):
        raise typer.BadParameter("cannot be combined with --worker", param_hint="--workers")
    if not plan.test_id:
        raise typer.BadParameter(
            "is required with --worker, the same for each part of one test and another one for each test",
            param_hint="--test-id",
        )
    if workers == 1:
        return
    hint = "--workers"
    if plan.target == "embedded":
        raise typer.BadParameter(
            "needs a relay that all processes can reach, such as relay-monitor relay", param_hint=hint
        )
    if has_metrics:
        raise typer.BadParameter("cannot be combined with --metrics or --push-gateway", param_hint=hint)
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
    from monitor.load.serving import export_statistics, metrics_of  # noqa: PLC0415
    from monitor.schedule import LoopLag  # noqa: PLC0415

    probes = {probe.name for probe in config.probes if probe.scenario is plan.scenario} if config is not None else set()
    slos = tuple(slo for slo in config.slos if probes & set(slo.probe)) if config is not None else ()
    with metrics_of(plan, slos, listen, gateway) as served:
        lag = LoopLag(clock, served.observe_loop_lag)

        def watch_and_export(runner: ScenarioRunner) -> Any:
            export_statistics(served, plan, runner.statistics, clock)
            return watch(runner)

        run_loop(
            run_test(plan, clock, watch=watch_and_export, publish=served.publish, background=lag.run, finish=finish)
        )


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


def _check_flags(ctx: typer.Context, scenario: Scenario) -> None:
    """Raise `BadParameter` for the flags given that the scenario does not have, all in one message."""
    from monitor.load.verdict import APPLIES  # noqa: PLC0415

    flags = SPECS[scenario].load_flags
    if flags is None:
        raise typer.BadParameter(f"{scenario.value} cannot be a load test", param_hint="--scenario")
    unused = sorted(LOAD_FLAGS - flags)
    unused += [f"slo_{aim.name.lower()}" for aim, scenarios in APPLIES.items() if scenario not in scenarios]
    sources = {name: ctx.get_parameter_source(name) for name in unused}
    given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if given:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise typer.BadParameter(f"not valid for --scenario {scenario.value}", param_hint=names)


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
