"""`relay-monitor relay`: the embedded relay alone."""

from __future__ import annotations

from typing import Annotated

import typer

from monitor.cli.shared import run_loop, until_stopped


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
        await until_stopped()
        await embedded.stop()

    run_loop(serve())
