"""The HTTP server: metrics, health, the on-call page, the API.

`app` has the routes. `overview` and `run_page` are the pages, `api` is `/api/v1`, `management` is `/-/…`, `scrape` is
`/metrics`. `model` has the values that pages and API show, `rendering` makes responses of them. `headers` has the
security headers, `server` is the HTTP server, `connection_limits` has limits for one client. `host_guard` rejects
requests for another name, `write_guard` changes by others. `config`, `tls_config`, `tls`, `auth`, `passwords` and
`acceptor` implement TLS and basic auth by Prometheus' web configuration.
`WebState` is the interface to the rest of the program.
"""

from monitor.web.app import build_app
from monitor.web.auth import WebAuth, read_security
from monitor.web.server import WebServer
from monitor.web.state import WebState

__all__ = ["WebAuth", "WebServer", "WebState", "build_app", "read_security"]
