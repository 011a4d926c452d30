"""The loopback check: one message between a dApp and a wallet of this process over an embedded relay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.config import parse
from monitor.errors import StartupError
from monitor.reachability.attempts import try_new_pair
from monitor.relays import MonitoredRelays

if TYPE_CHECKING:
    from monitor.clock import Clock

TIMEOUT: Final = 3.0
"""Seconds until the message must arrive; it usually takes milliseconds."""

_CONFIG: Final = """
relays: [{name: loopback, url: embedded}]
probes: [{name: loopback, scenario: realistic-session, schedule: {every: 1h}}]
"""


async def loopback_failed(clock: Clock) -> str | None:
    """Return why the loopback exchange failed, or None if it succeeded. Never raises.

    The exchange uses the same event loop, sockets and encryption as a probe.
    """
    config = parse(_CONFIG, "loopback", {})
    monitored_relays = MonitoredRelays(config, clock, lambda _report, _context: None)
    try:
        await monitored_relays.start(lambda _: None)
        result = await try_new_pair(monitored_relays.context("loopback", config.probes[0]), TIMEOUT)
    except (StartupError, OSError) as error:
        return f"loopback check failed: {error}"
    finally:
        await monitored_relays.stop()
    return None if result.delivered else f"loopback check failed: {result.error}"
