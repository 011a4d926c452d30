"""Log lines: for people on a console, or as JSON; on stderr, with the run's id where there is one."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

SECRET: Final = frozenset({"token", "authorization", "headers", "cookie", "password", "private_key", "otp", "payload"})
"""Keys whose values are never shown, whoever logs them."""

_FOREIGN: Final = {"apscheduler": logging.WARNING, "uvicorn": logging.WARNING, "websockets": logging.CRITICAL}
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
    renderer: list[Processor] = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    if form == "json":
        renderer = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
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


def mask(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide what must not be shown."""
    for key in SECRET & event.keys():
        event[key] = "***"
    return event
