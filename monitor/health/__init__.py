"""Self-checks: while one fails, the monitor's verdicts are suspended and its runs are not counted against a relay.

`self_check` holds the result. The event loop, the clocks and `resources` are checked periodically; `loopback`,
`references` and `egress` (the other relays) when a relay seems to be down.
"""

from monitor.health.self_check import SelfCheck

__all__ = ["SelfCheck"]
