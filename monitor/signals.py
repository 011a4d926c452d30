"""The signals of the daemon, from before its imports to its last moment: SIGHUP never ends it, SIGTERM always does.

By default SIGHUP ends a process, and SIGTERM is ignored by one that is the first of a container. An event loop's own
handlers leave the default in force before they are set and once the loop is closed, so they are not used.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

_hangups: Final[list[bool]] = []  # not an event: a handler may interrupt itself, and must not wait for a lock


def prepare() -> None:
    """Remember SIGHUP, and exit on SIGTERM, until `handle` is called. To be called before longer imports."""
    signal.signal(signal.SIGHUP, lambda *_: _hangups.append(True))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


def handle(*, on_stop: Callable[[], object], on_hangup: Callable[[], object]) -> None:
    """Call these functions in the running event loop when signals arrive; `on_hangup` also for an earlier SIGHUP."""
    loop = asyncio.get_running_loop()

    def call(handler: Callable[[], object]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(handler)

    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: call(on_stop))
    signal.signal(signal.SIGHUP, lambda *_: call(on_hangup))
    if _hangups:
        _hangups.clear()
        on_hangup()


def ignore() -> None:
    """Ignore all of them while the process ends."""
    for number in (signal.SIGHUP, *STOP_SIGNALS):
        signal.signal(number, signal.SIG_IGN)
