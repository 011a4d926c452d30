"""Log lines on stderr, for a console or as JSON, with the run's id if one is bound."""

from __future__ import annotations

import logging
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import structlog

from monitor.log_repetitions import Repetitions
from monitor.streams import shows_colors

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

SECRET: Final = re.compile(
    r"token$|authorization|headers?$|cookie|password|secret|private_?key|^otp$|payload", re.IGNORECASE
)
"""Keys whose values are masked, at any depth, in the lines of libraries too."""

REPETITIONS: Final = Repetitions()
"""The repeated failures of this process. The daemon makes it log its summaries."""

MAX_DEPTH: Final = 5
"""Levels of nested values that are logged; deeper ones are replaced by an ellipsis."""

# Control characters and line separators: a relay's text must not control the terminal or forge a log line.
_CONTROL: Final = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029) if code != ord("\t")
}

_LIBRARY_LEVELS: Final = {"apscheduler": logging.WARNING, "uvicorn": logging.ERROR, "websockets": logging.CRITICAL}
"""Minimum levels of libraries that log too much: each scheduled slot, each request, a traceback for each bad client."""


def configure(log_format: str, level: str) -> None:
    """Set up logging for this process.

    `log_format` is "console" or "json"; `level` is the name of the minimum level; at "debug" repeated failures are
    logged one by one. Raises `KeyError` for another name.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    REPETITIONS.enabled = number > logging.DEBUG
    shared: list[Processor] = [
        REPETITIONS,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        mask,
    ]
    if log_format == "json":
        renderer: list[Processor] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        # structlog's default tracebacks show the variables of each frame, which may be tokens and keys.
        plain = structlog.dev.plain_traceback
        colors = shows_colors(sys.stderr)
        renderer = [escape, structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(_Stderr()),  # type: ignore[arg-type]  # only write and flush are used
    )
    handler = logging.StreamHandler(_Stderr())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name, minimum in _LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(max(minimum, number))


class _Stderr:
    """The current stderr. Lines that cannot be written are dropped: a log line must not affect a verdict."""

    def write(self, text: str) -> None:
        """Write, ignoring errors."""
        with suppress(OSError, ValueError):  # a pipe without a reader, a closed file
            sys.stderr.write(text)

    def flush(self) -> None:
        """Flush, ignoring errors."""
        with suppress(OSError, ValueError):
            sys.stderr.flush()


def report_lost_lines(count: int) -> None:
    """Log that `count` lines were lost, at a level that is always shown: they may have been errors."""
    structlog.get_logger(__name__).error("log lines lost", lines=count, why="stderr was not read in time")


def mask(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask the values of secret keys."""
    for key, value in event.items():
        if SECRET.search(key):
            event[key] = "***"
        elif isinstance(value, (dict, list, tuple)):
            event[key] = _masked(value, MAX_DEPTH)
    return event


def _masked(value: Any, depth: int) -> Any:
    if depth == 0:
        return "…"
    if isinstance(value, dict):
        return {key: "***" if SECRET.search(str(key)) else _masked(item, depth - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked(item, depth - 1) for item in value]
    return value


def escape(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape control characters, except in tracebacks."""
    for key, value in event.items():
        if isinstance(value, str) and key != "exception":
            event[key] = value.translate(_CONTROL)
    return event
