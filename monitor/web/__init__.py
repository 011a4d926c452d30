"""What the monitor serves over HTTP: metrics, health, the on-call page, the API. Reads, and reloads; runs nothing.

`pages` has the routes, `scrape` what Prometheus gets, `headers` what every answer carries, `server` the socket.
`access`, with `passwords` and `door`, is who gets in: TLS and basic auth by the web configuration.
`WebState` is all they know of the rest of the program.
"""

from monitor.web.auth import Access, read_terms
from monitor.web.pages import WebState, build_app
from monitor.web.server import WebServer

__all__ = ["Access", "WebServer", "WebState", "build_app", "read_terms"]
