"""What the monitor serves over HTTP: metrics, health, the on-call page, the API. Reads, and reloads; runs nothing.

`pages` has the routes, `scrape` what Prometheus gets, `headers` what every answer carries, `server` the socket.
`WebState` is all they know of the rest of the program.
"""

from monitor.web.pages import WebState, build_app
from monitor.web.server import WebServer

__all__ = ["WebServer", "WebState", "build_app"]
