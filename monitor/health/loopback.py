"""One message to ourselves: the event loop, sockets and crypto of this process, over a relay of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.config import parse
from monitor.errors import StartupError
from monitor.reachability.attempts import try_new_pair
from monitor.relays import MonitoredRelays

if TYPE_CHECKING:
    from monitor.clock import Clock

PATIENCE: Final = 3.0
"""Seconds within which the message must be there; some milliseconds are usual."""

_CONFIG: Final = """
relays: [{name: loopback, url: embedded}]
probes: [{name: loopback, scenario: realistic-session, schedule: {every: 1h}}]
"""


async def out_of_order(clock: Clock) -> str | None:
    """Why a dApp and a wallet of this process cannot exchange a message over a relay of this process; None if they can.

    The whole way that a probe's message goes, from encryption to a socket and back. Never raises.
    """
    config = parse(_CONFIG, "loopback", {})
    monitored_relays = MonitoredRelays(config, clock, lambda _report, _bench: None)
    try:
        await monitored_relays.start(lambda _relay, _up: None)
        tried = await try_new_pair(monitored_relays.context("loopback", config.probes[0]), PATIENCE)
    except (StartupError, OSError) as error:
        return f"own loopback exchange failed: {error}"
    finally:
        await monitored_relays.stop()
    return None if tried.delivered else f"own loopback exchange failed: {tried.error}"
