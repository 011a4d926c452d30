"""`relay-monitor relay`: runs the embedded relay."""

from __future__ import annotations

from typing import Annotated

import typer

from monitor.cli.shared import run_loop, until_stopped


def relay(
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Listen address.")] = "127.0.0.1:8000",
    fault: Annotated[
        list[str], typer.Option(metavar="SPEC", help="Fault to inject, such as drop:probability=0.1; may be repeated.")
    ] = [],  # noqa: B006 - typer requires a list
    seed: Annotated[
        int,
        typer.Option(
            metavar="NUMBER", help="Seed of the faults: the same requests in the same order get the same faults."
        ),
    ] = 0,
) -> None:
    """Run the embedded relay.

    It has the production namespaces and the given faults.

    Examples:
    relay-monitor relay
    relay-monitor relay --listen 127.0.0.1:8000 --fault drop:probability=0.1
    """
    from monitor.config.fields import split_host_port  # noqa: PLC0415
    from monitor.embedded import EmbeddedRelay, FaultPlan, parse_fault  # noqa: PLC0415
    from monitor.logs import configure  # noqa: PLC0415

    try:
        host, port = split_host_port(listen)
    except ValueError as error:
        raise typer.BadParameter(f"{listen!r} {error}", param_hint="--listen") from None
    try:
        faults = [parse_fault(spec) for spec in fault]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--fault") from None
    configure("console", "warning")

    async def serve() -> None:
        embedded = EmbeddedRelay(host, port, plan=FaultPlan(faults, seed=seed) if faults else None)
        await embedded.start()
        typer.echo(f"listening {embedded.url}")
        await until_stopped()
        await embedded.stop()

    run_loop(serve())
