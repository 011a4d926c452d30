"""`relay-monitor run`: runs the daemon."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from monitor.cli.shared import DEFAULT_CONFIG, ConfigOption, load_config, run_loop

if TYPE_CHECKING:
    from monitor.config import Config

_log = structlog.get_logger(__name__)


class LogFormat(StrEnum):
    """Log format."""

    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    """Minimum log level."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def run(
    config: ConfigOption = DEFAULT_CONFIG,
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Monitor part I of N of the relays, as I/N; I starts at 0.")
    ] = "0/1",
    log_format: Annotated[
        LogFormat, typer.Option(metavar="FORMAT", help="Log format: console or json.")
    ] = LogFormat.CONSOLE,
    log_level: Annotated[
        LogLevel, typer.Option(metavar="LEVEL", help="Minimum log level: debug, info, warning or error.")
    ] = LogLevel.INFO,
    watch: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--watch", help="Reload when the content of the configuration file changes.")
    ] = False,
) -> None:
    """Run the daemon.

    It runs the scheduled probes and serves /metrics and the on-call page until SIGTERM. SIGHUP reloads the
    configuration. With --watch the file is compared every ten seconds; an invalid one leaves the running configuration
    in force.

    Examples:
    relay-monitor run
    relay-monitor run --config prod.yaml --log-format json
    relay-monitor run --config prod.yaml --shard 0/3
    """
    from monitor.config import shard_of  # noqa: PLC0415
    from monitor.daemon.process import serve  # noqa: PLC0415
    from monitor.daemon.watch import WatchedFile  # noqa: PLC0415
    from monitor.logs import configure  # noqa: PLC0415

    index, count = _shard(shard)
    watched_file = WatchedFile(config, partial(load_config, config)) if watch else None

    def source() -> Config:
        if watched_file is not None:
            watched_file.mark_loaded()
        loaded = load_config(config)
        part = shard_of(loaded, index, count)
        if count != loaded.shards:
            _log.warning(
                "RelayMonitorAbsent rules expect another number of shards", expected=loaded.shards, running=count
            )
        if not part.relays:
            _log.warning("no relay for this shard", shard=shard, relays=len(loaded.relays))
        return part

    configure(log_format.value, log_level.value)
    run_loop(serve(source(), shard=(index, count), source=source, watched_file=watched_file))


def _shard(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text)
    index, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if index >= count:
        raise typer.BadParameter(f"{text!r} is not I/N with 0 ≤ I < N, such as 0/3", param_hint="--shard")
    return index, count
