"""A relay inside this process, with the production namespaces: for a first look, for tests, for `url: embedded`.

`namespaces` says which channels there are and what is kept of them, `broker` keeps streams and subscribers, `session`
is one client's protocol without I/O (lines in, lines out), `server` the WebSocket around it. A line flows: socket →
`Session.receive` → `Broker` → every subscriber's `Session` → its socket. All that leaves a session goes through one
place, `Session.emit`.
"""

from monitor.embedded.namespaces import PRODUCTION, Namespace
from monitor.embedded.server import EmbeddedRelay, serve_forever

__all__ = ["PRODUCTION", "EmbeddedRelay", "Namespace", "serve_forever"]
