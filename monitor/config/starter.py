"""The first configuration of a new monitor: one relay with the usual probes and objectives, commented."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

DEFAULT_PATH: Final = "/connection/websocket"
"""Path of Centrifugo's WebSocket endpoint, unless it is configured otherwise."""

TRIAL_PROBE: Final = "steady"
"""The probe of a starter configuration that a first trial runs: one pairing and one exchange of messages."""

_HOST_LABEL: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")  # an address is no name
_SCHEMES: Final = {"http": "ws", "https": "wss"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """What a starter configuration is made of; paths are relative to its folder."""

    url: str
    name: str
    location: str = "local"
    origin: str | None = None
    token_file: str | None = None
    ca_file: str | None = None


def relay_url(text: str) -> str:
    """Return the WebSocket URL that `text` means.

    http:// and https:// become ws:// and wss://, a host alone is reached over wss://, and a URL without a path gets
    Centrifugo's default one. Anything else stays as it is, for the configuration's check to judge.
    """
    text = text.strip()
    if text == "embedded":
        return text
    if "://" not in text:
        text = f"wss://{text}"
    try:
        parts = urlsplit(text)
    except ValueError:  # brackets of an IPv6 address
        return text
    path = DEFAULT_PATH if parts.path in {"", "/"} else parts.path
    return parts._replace(scheme=_SCHEMES.get(parts.scheme, parts.scheme), path=path).geturl()


def relay_name(url: str) -> str:
    """Return a name for the relay at `url`: the first label of its host, or `relay` for an address."""
    try:
        host = urlsplit(url).hostname or "relay"
    except ValueError:
        return "relay"
    first = host.partition(".")[0]
    return first if _HOST_LABEL.fullmatch(first) and host != "localhost" else "relay"


def starter_text(starter: Starter) -> str:
    """Return the configuration as YAML, which `config.parse` accepts if the values are valid."""
    return _TEXT.format(
        name=_quoted(starter.name),
        url=_quoted(starter.url),
        location=_quoted(starter.location),
        credentials=_credentials(starter),
    )


def _credentials(starter: Starter) -> str:
    """Return the lines of origin, token and certificate authority: set, or as comments."""
    lines = []
    for key, value, example, comment in (
        (
            "origin",
            starter.origin,
            "https://wallet.example.com",
            "if the relay checks the Origin header",
        ),
        (
            "token_file",
            starter.token_file,
            "/run/secrets/relay-token",
            "a JWT, read at each connect",
        ),
    ):
        if value is None:
            lines.append(f"    # {key}: {example}".ljust(52) + f"# {comment}")
        else:
            lines.append(f"    {key}: {_quoted(value)}")
    if starter.ca_file is None:
        lines.append("    # tls: {ca_file: ca.pem}".ljust(52) + "# if its certificate is not of a public authority")
    else:
        lines.append(f"    tls: {{ca_file: {_quoted(starter.ca_file)}}}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """Return a double-quoted YAML scalar; `$$` is a dollar sign in a configuration."""
    return json.dumps(text.replace("$", "$$"), ensure_ascii=False)


_TEXT: Final = """\
# Configuration of relay-monitor.
# To check a change:            relay-monitor check --config FILE
# Every key, with its limits:   docs/configuration.md of the project
# Durations are written as 500ms, 5s, 1h30m, 30d, ratios as 99.9%. ${{NAME}} is replaced from the environment.

location: {location}
locations: [{location}]   # all locations from which monitors watch these relays

server:
  listen: ${{RELAY_MONITOR_LISTEN:-127.0.0.1:9464}}   # page, /metrics and /api; 0.0.0.0:9464 for all interfaces

# Keeps runs, incidents and the relays' conditions across restarts; without it they are in memory.
# state_dir: /var/lib/relay-monitor

# Two or more independent hosts. If a relay seems down and none of them answers, the fault is this host's network.
references: []                                      # [one.example.com:443, two.example.net:443]

relays:
  - name: {name}
    url: {url}
{credentials}
    history: {{size: 20, ttl: 300s}}                  # of `session` channels, as the relay is configured
    limits: {{connects_per_minute: 60, messages_per_minute: 600}}   # the monitor never exceeds them
    max_severity: critical                          # `warning` for a staging relay: no pages
    page_after: 30s                                 # an outage that ends sooner is an incident, and no page
    # owner: wallets                                # a label of its alerts, for routing

probes:
  # Two persistent pairs of a dApp and a wallet, which exchange messages all the time.
  - {{name: steady, scenario: steady-messaging, pairs: 2, message_interval: 5s, timeout: 5s}}
  # Idle connections: a load balancer's idle timeout closes them.
  - {{name: idle, scenario: steady-state, connections: 2}}
  # A message to a wallet that is offline for 30 s.
  - {{name: offline-30s, scenario: async-delivery, schedule: {{every: 1m}}, delay: 30s}}
  # The whole session of a user, newly paired.
  - {{name: session, scenario: realistic-session, schedule: {{every: 5m}}, messages: 3}}

slos:
  - {{name: round-trip, probe: steady, sli: latency, threshold: 400ms, objective: 99%, window: 30d}}
  - {{name: delivery, probe: steady, sli: availability, objective: 99.9%, window: 30d}}
  - {{name: stability, probe: [steady, idle], sli: stability, objective: 99.9%, window: 30d}}
  - {{name: recovery, probe: offline-30s, sli: availability, objective: 100%, window: 30d}}
  - {{name: pairing, probe: [steady, session], sli: pairing, objective: 99%, window: 30d}}
  - {{name: trend, probe: steady, sli: trend, factor: 1.2, window: 1d}}

# The intervals of the Prometheus that scrapes this monitor: generated rules depend on them.
prometheus: {{scrape_interval: 15s, evaluation_interval: 15s}}

# Links in alerts: where people open this monitor's page and Grafana.
alerts:
  external_url: http://127.0.0.1:9464
  grafana_url: http://127.0.0.1:3000
"""
