"""Does this monitor trust itself? Whatever it measures while it does not is its own fault, and never the relay's.

`trust` holds the verdict; what it rests on is seen all the time (the event loop, the clocks, `resources`) or asked only
when a relay seems down (`loopback`, `references`).
"""

from monitor.health.self_check import Health

__all__ = ["Health"]
