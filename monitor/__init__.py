"""relay-monitor: an always-on synthetic monitor for production WebSocket relays.

Data flows one way: `config` → `schedule` → `probes` (over `relay`, `wire`, `session`) → `Run` values →
`metrics` and `journal` → `web`. Imports point the other way only, from the top of that list down.
"""

__version__ = "0.1.0"
