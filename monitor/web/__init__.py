"""The HTTP server: metrics, health, the on-call page, the API.

`pages` has the routes, `scrape` is `/metrics`, `headers` the security headers, `server` the HTTP server. `config`,
`tls_config`, `tls`, `auth`, `passwords` and `acceptor` implement TLS and basic auth by Prometheus' web configuration.
`WebState` is the interface to the rest of the program.
"""

from monitor.web.auth import WebAuth, read_security
from monitor.web.pages import WebState, build_app
from monitor.web.server import WebServer

__all__ = ["WebAuth", "WebServer", "WebState", "build_app", "read_security"]
