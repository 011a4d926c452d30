"""Signals that a daemon gets before its event loop handles them, or afterwards.

By default SIGHUP ends a process, and SIGTERM is ignored by one that is the first of a container.
"""

from __future__ import annotations

import signal
import sys
import threading

_HANGUP = threading.Event()


def prepare() -> None:
    """Remember SIGHUP, and exit on SIGTERM, until other handlers are set. To be called before longer imports."""
    signal.signal(signal.SIGHUP, remember_hangup)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


def remember_hangup(*_: object) -> None:
    """Handle a SIGHUP that comes too early."""
    _HANGUP.set()


def hangup_received() -> bool:
    """Return True if there was a SIGHUP since the last call."""
    received = _HANGUP.is_set()
    _HANGUP.clear()
    return received
