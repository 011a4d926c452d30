"""Notifications to the service manager, by systemd's protocol (sd_notify(3)).

They say when the daemon is ready, reloads and stops, how its relays are, and that its event loop runs. Each is a
datagram to the socket that `NOTIFY_SOCKET` names. Nothing here waits, and no failure affects the daemon.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from monitor.daemon.lifecycle import Phase
from monitor.errors import printable
from monitor.vocabulary import Condition

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from monitor.daemon.app import Monitor
    from monitor.results import RelayStatus

_log = structlog.get_logger(__name__)

STATUS_INTERVAL: Final = 1.0
"""Seconds between two looks at the status; it is sent if it has changed."""

KEEPALIVES_PER_TIMEOUT: Final = 3
"""Watchdog messages within the service manager's timeout."""

MAX_NAMES: Final = 3
"""Relays that the status names for each condition."""

_BAD: Final = (Condition.DOWN, Condition.NOT_ACCEPTING, Condition.DEGRADED, Condition.UNKNOWN)


class ServiceManager:
    """The service manager that started this process, or none: then nothing is sent.

    environ: has `NOTIFY_SOCKET`, the path of a socket, or `@` and an abstract name; `WATCHDOG_USEC`, the timeout of the
        watchdog in microseconds; and `WATCHDOG_PID`, the process that it is for.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        if self._address.startswith(("/", "\0")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.settimeout(0)  # does not block
        elif address:
            _log.warning("service manager not notified", why=f"NOTIFY_SOCKET is {address}, not a Unix socket")
        self.watchdog_timeout = _watchdog_timeout(environ)
        self._failed = False

    @property
    def listens(self) -> bool:
        """True if there is a service manager to notify."""
        return self._socket is not None

    def on_phase(self, phase: Phase) -> None:
        """Report a new phase of the daemon."""
        match phase:
            case Phase.RUNNING:
                self.send("READY=1")
            case Phase.RELOADING:
                self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            case Phase.INTERRUPTING | Phase.STOPPING:
                self.send("STOPPING=1", "STATUS=Stopping")

    def send(self, *assignments: str) -> None:
        """Send assignments such as `READY=1`, unless the service manager does not read."""
        if self._socket is None:
            return
        try:
            self._socket.sendto("\n".join(assignments).encode(), self._address)
        except OSError as error:
            if not self._failed:
                _log.warning("service manager not notified", address=self._address.replace("\0", "@"), why=str(error))
            self._failed = True
        else:
            self._failed = False

    def close(self) -> None:
        """Close the socket; nothing is sent from now on."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def keep_alive(self, daemon: Monitor) -> None:
        """Send the watchdog's messages, and the status when it changes, until cancelled.

        Both come from the event loop that measures: a loop that is blocked sends none, and the service manager restarts
        the process.
        """
        interval, sent = STATUS_INTERVAL, ""
        if self.watchdog_timeout is not None:
            interval = min(interval, self.watchdog_timeout / KEEPALIVES_PER_TIMEOUT)
        while True:
            if self.watchdog_timeout is not None:
                self.send("WATCHDOG=1")
            if daemon.lifecycle.is_ready and (status := _status_of(daemon)) != sent:
                sent = status
                self.send(f"STATUS={status}")
            await asyncio.sleep(interval)


@asynccontextmanager
async def notifying(daemon: Monitor, environ: Mapping[str, str]) -> AsyncIterator[None]:
    """Notify the service manager of what the daemon does."""
    manager = ServiceManager(environ)
    if not manager.listens:
        yield
        return
    daemon.lifecycle.on_phase = manager.on_phase
    keeping_alive = daemon.supervision.watch("service manager", partial(manager.keep_alive, daemon))
    try:
        yield
    finally:
        keeping_alive.cancel()
        await asyncio.wait({keeping_alive})
        manager.close()


def describe_status(statuses: Sequence[RelayStatus], reasons: Sequence[str]) -> str:
    """Return the state of all relays on one line; `reasons` say why the monitor is unhealthy, if it is."""
    if reasons:
        return printable(f"Unhealthy, verdicts are suspended: {'; '.join(reasons)}")
    up = sum(status.condition is Condition.UP for status in statuses)
    text = f"{up} of {len(statuses)} relay{'s' if len(statuses) != 1 else ''} up"
    for condition in _BAD:
        if names := [status.relay for status in statuses if status.condition is condition]:
            more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
            text += f"; {condition.value.replace('_', ' ')}: {', '.join(names[:MAX_NAMES])}{more}"
    return text


def _status_of(daemon: Monitor) -> str:
    statuses = [relay.verdict.status for relay in daemon.monitored_relays.relays.values()]
    return describe_status(statuses, daemon.health.reasons)


def _watchdog_timeout(environ: Mapping[str, str]) -> float | None:
    """Return the watchdog's timeout in seconds, or None if there is no watchdog for this process."""
    text = environ.get("WATCHDOG_USEC", "")
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()) or not text.isascii() or not text.isdigit():
        return None
    return int(text) / 1e6 or None
