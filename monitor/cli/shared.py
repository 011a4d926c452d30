"""Shared by several commands: exit statuses, the configuration option, and the event loop."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from monitor.streams import STDERR

T = TypeVar("T")

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from monitor.config import Config

EXIT_BAD = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_READER_GONE = 141

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", metavar="FILE.yaml", help="Configuration file.", show_default=True)
]
DEFAULT_CONFIG = Path("config.yaml")


class Output(StrEnum):
    """Output format."""

    TEXT = "text"
    JSON = "json"


def load_config(path: Path) -> Config:
    """Read and check a configuration, with the environment of this process, and its web configuration.

    Raises `ConfigError` with all errors, and `StartupError` if the web configuration cannot be read.
    """
    from monitor.config import load  # noqa: PLC0415
    from monitor.web.config import load_web  # noqa: PLC0415

    config = load(path, os.environ)
    if config.server.web_config_file is not None:
        load_web(config.server.web_config_file)
    return config


async def until_stopped() -> None:
    """Wait for SIGTERM or SIGINT."""
    import signal  # noqa: PLC0415

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


async def cancel_on_sigterm(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`. SIGTERM cancels it and raises `KeyboardInterrupt`, as SIGINT does."""
    import signal  # noqa: PLC0415

    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        task.cancel()

    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    try:
        return await task
    except asyncio.CancelledError:
        if stopped:
            raise KeyboardInterrupt from None
        raise


def run_loop(work: Coroutine[Any, Any, Any]) -> Any:
    """Run `work` on uvloop, which needs less CPU per message, or on asyncio's loop if uvloop is not installed.

    From now on stderr is queued, so that a reader which stops reading does not stop the loop. The signal handlers that
    `work` leaves are removed: those of a closed uvloop ignore the signal.
    """
    import signal  # noqa: PLC0415

    from monitor.logs import report_lost_lines  # noqa: PLC0415

    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with suppress(ImportError):
        import uvloop  # noqa: PLC0415

        factory = uvloop.new_event_loop
    handlers = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)}
    STDERR.start_queue(report_lost_lines)
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(work)
    finally:
        STDERR.drain()  # before results are printed
        for number, handler in handlers.items():
            signal.signal(number, handler)
