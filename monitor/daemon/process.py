"""The daemon as a process: its signals and its web server."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import structlog

from monitor import signals
from monitor.daemon.app import Monitor
from monitor.daemon.lifecycle import StoppingError
from monitor.daemon.notify import notifying
from monitor.daemon.watch import ConfigWatch
from monitor.errors import MonitorError
from monitor.health.resources import raise_descriptor_limit
from monitor.relays import collections_suspended, freeze_gc
from monitor.streams import STDERR
from monitor.threads import run_in_thread
from monitor.web import WebServer, build_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.config import Config
    from monitor.daemon.watch import WatchedFile

_log = structlog.get_logger(__name__)


async def serve(
    config: Config,
    *,
    shard: tuple[int, int] = (0, 1),
    source: Callable[[], Config] | None = None,
    watched_file: WatchedFile | None = None,
) -> None:
    """Run the daemon until SIGTERM or SIGINT; a second one shortens the stop.

    `source` reads the configuration for reloads (SIGHUP, HTTP, a change of `watched_file`). Raises `ConfigError` or
    `StartupError` if the daemon cannot start.
    """
    raise_descriptor_limit()
    # In a thread, since it reads files: signals are handled meanwhile.
    creation = asyncio.ensure_future(
        run_in_thread("creation of the monitor", partial(_create, config, shard=shard, source=source))
    )
    reloads: set[asyncio.Task[None]] = set()
    watch: asyncio.Task[None] | None = None

    async def reload() -> None:
        with suppress(MonitorError):  # logged and counted by the monitor
            await (await asyncio.shield(creation)).reload()

    def on_hangup() -> None:
        _log.info("configuration reload requested", by="SIGHUP")
        reloads.add(task := asyncio.ensure_future(reload()))
        task.add_done_callback(reloads.discard)

    def on_stop() -> None:
        if not creation.cancel() and not creation.cancelled() and creation.exception() is None:
            creation.result().lifecycle.request_stop()

    # These handlers stay: replacing them could lose a signal that arrives at the end of the creation.
    signals.handle(on_stop=on_stop, on_hangup=on_hangup)
    try:
        daemon = await creation
    except asyncio.CancelledError:
        return
    app, server = build_app(daemon.web_state(), daemon.auth), config.server
    web = WebServer(app, server.host, server.port, daemon.auth, daemon.supervision)
    STDERR.on_bug = partial(daemon.metrics.count_task_failure, "log")
    try:
        await web.start()
        _log.info("serving", host=config.server.host, port=web.port)
        async with notifying(daemon, os.environ):
            with suppress(StoppingError), collections_suspended():
                await daemon.start()
            if watched_file is not None and source is not None:
                watch = daemon.supervision.watch("configuration file", ConfigWatch(watched_file, daemon.reload).run)
            await daemon.lifecycle.wait_stopped()
    finally:
        if watch is not None:
            watch.cancel()
        await daemon.stop()
        await web.stop()
        if reloads:
            await asyncio.wait(reloads)


def _create(config: Config, *, shard: tuple[int, int], source: Callable[[], Config] | None) -> Monitor:
    """Return the daemon, with garbage collection set up for it while nothing is measured."""
    daemon = Monitor(config, shard=shard, source=source)
    freeze_gc()
    return daemon
