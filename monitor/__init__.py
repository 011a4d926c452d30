"""relay-monitor: an always-on synthetic monitor for production WebSocket relays.

Data flow: `config` → `schedule` → `probes` (by way of `pairs`, `relay`, `session` and `wire`) → `Run` values →
`metrics` and `journal` → `web`. The layers of imports are listed in `pyproject.toml`.
"""

__version__ = "0.2.0"
