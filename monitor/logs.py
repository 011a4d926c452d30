"""Log lines: for people on a console, or as JSON; on stderr, with the run's id where there is one."""

from __future__ import annotations

import logging
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

SECRET: Final = re.compile(
    r"token$|authorization|headers?$|cookie|password|secret|private_?key|^otp$|payload", re.IGNORECASE
)
"""Keys whose values are never shown, whoever logs them, at whatever depth."""

MAX_DEPTH: Final = 5

# What a terminal would obey rather than show, or a reader take for a line of ours: a relay's words are shown as text.
_CONTROL: Final = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029) if code != ord("\t")
}

_FOREIGN: Final = {"apscheduler": logging.WARNING, "uvicorn": logging.ERROR, "websockets": logging.CRITICAL}
"""Libraries that say more than an operator wants: two lines a slot, one a request, a traceback a bad client."""


def configure(form: str, level: str) -> None:
    """Set up logging for this process: `form` is "console" or "json", `level` the least that is shown."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        mask,
    ]
    if form == "json":
        renderer: list[Processor] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        # Not its usual tracebacks, which show each frame's variables: tokens and keys among them.
        plain = structlog.dev.plain_traceback
        colors = sys.stderr.isatty()
        renderer = [escape, structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(_Stderr()),  # type: ignore[arg-type]  # all it does is to write
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name, least in _FOREIGN.items():
        logging.getLogger(name).setLevel(max(least, number))


class _Stderr:
    """Where lines go: stderr as it is now. What it does not take is lost; a verdict must not hang on its log line."""

    def write(self, text: str) -> None:
        """Write, if it can be."""
        with suppress(OSError, ValueError):  # a pipe without a reader, a file that is closed
            sys.stderr.write(text)

    def flush(self) -> None:
        """See it off, if it can be."""
        with suppress(OSError, ValueError):
            sys.stderr.flush()


def mask(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide what must not be shown."""
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
    """Keep each line one line, and the terminal ours."""
    for key, value in event.items():
        if isinstance(value, str) and key != "exception":
            event[key] = value.translate(_CONTROL)
    return event
