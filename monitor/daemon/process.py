"""The daemon as a process: its signals and its web server."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import structlog

from monitor import early_signals
from monitor.daemon.app import Monitor
from monitor.daemon.lifecycle import StoppingError
from monitor.errors import MonitorError
from monitor.relays import freeze_gc
from monitor.threads import run_in_thread
from monitor.web import WebServer, build_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.config import Config

_log = structlog.get_logger(__name__)


async def serve(config: Config, *, shard: tuple[int, int] = (0, 1), source: Callable[[], Config] | None = None) -> None:
    """Run the daemon until SIGTERM or SIGINT; a second one shortens the stop.

    `source` reads the configuration for reloads (SIGHUP, HTTP). Raises `ConfigError` or `StartupError` if the daemon
    cannot start.
    """
    loop = asyncio.get_running_loop()
    # In a thread, since it reads files: signals are handled meanwhile.
    creation = asyncio.ensure_future(
        run_in_thread("creation of the monitor", partial(Monitor, config, shard=shard, source=source))
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, creation.cancel)
    loop.add_signal_handler(signal.SIGHUP, early_signals.remember_hangup)
    try:
        daemon = await creation
    except asyncio.CancelledError:
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.lifecycle.request_stop)
    reloads = _reload_on_hangup(daemon)
    web = WebServer(build_app(daemon.web_state(), daemon.auth), config.server.host, config.server.port, daemon.auth)
    try:
        await web.start()
        _log.info("serving", host=config.server.host, port=web.port)
        with suppress(StoppingError):
            await daemon.start()
            freeze_gc()
        await daemon.lifecycle.wait_stopped()
    finally:
        await daemon.stop()
        await web.stop()
        if reloads:
            await asyncio.wait(reloads)


def _reload_on_hangup(daemon: Monitor) -> set[asyncio.Task[None]]:
    """Handle SIGHUP from now on, also one that was received before; return where the running reloads are."""
    reloads: set[asyncio.Task[None]] = set()

    async def reload() -> None:
        with suppress(MonitorError):  # logged and counted by the monitor
            await daemon.reload()

    def on_hangup() -> None:
        reloads.add(task := asyncio.ensure_future(reload()))
        task.add_done_callback(reloads.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, on_hangup)
    if early_signals.hangup_received():
        on_hangup()
    return reloads
