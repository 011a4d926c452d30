"""What the names in the examples stand for, on a reader's machine.

`relay.example.com` and the like are a relay behind TLS, `monitor.example.com` a monitor behind TLS, where `ops` may
change something; the address of a command without one is a monitor of this host. Prometheus and Alertmanager are real.
Each starts when the first command names it.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import trustme

from tests.docs.blocks import ROOT

RELAYS: Final = ("relay.example.com", "eu-1.relay.example.com", "eu-1.example.com", "staging.example.com")
MONITORS: Final = ("monitor.example.com", "monitor.eu.example.com", "monitor.us.example.com")
HOSTS: Final = {
    "127.0.0.1": ("localhost", "monitor", "eu", "us", "local.internal.example.com", "monitor.internal.example.com",
                  "prometheus.example.com", "prometheus.internal.example.com", "alertmanager.internal.example.com",
                  "relay.internal.example.com"),
    "127.0.1.1": RELAYS,
    "127.0.2.1": (*MONITORS, "remote.internal.example.com"),
}  # fmt: skip

VARIABLES: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "USER": "root",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "NO_COLOR": "1",
    "SSL_CERT_FILE": "/etc/ssl/reader.pem",
    "GIT_CONFIG_GLOBAL": "/etc/gitconfig",
}

PLACEHOLDERS: Final = {
    r"\bHOST\b": "relay.example.com",
    r"\bSTATE_DIR\b": "/var/lib",
}
"""Words that the pages tell the reader to replace."""

SHORTER: Final = {
    r"^relay-monitor simulate$": r"\g<0> --trials 10 --months 1",
    r"^(relay-monitor simulate .*)--trials (?:50 --months 3|400)\b": r"\1--trials 10 --months 1",
    r"--days 60 --relays 20\b": "--days 20 --relays 5",
    r"--duration (?:300|5m)\b": "--duration 30s",
    r"^make bench\b": r"\g<0> ARGS=--quick",
    r"^make scale\b": r"\g<0> ARGS='shards --relays 40'",
    r"-m bench\.scale relays --minutes 3\b": r"\g<0> --relays 20",
    r"-m bench\.scale shards\b": r"\g<0> --relays 40",
}
"""Commands that take minutes, and what makes each of them shorter: the same work with less of it."""

TYPED: Final = {"relay-monitor init --output relay.yaml": "relay.example.com\n\n\n"}
"""What the reader answers to commands that ask, on a terminal."""

PASSWORD: Final = "a password"
PASSWORD_HASH: Final = "$2y$04$Xje7XCHqOc5Xg2d2y.xhxul8gFayKXkLLv0Pp2s.Lu8A3r8sEk8Q6"
FILES: Final = {
    "/etc/hosts": "".join(f"{address} {' '.join(names)}\n" for address, names in HOSTS.items()),
    "/etc/gitconfig": "[user]\nname = Reader\nemail = reader@example.com\n[init]\ndefaultBranch = main\n",
    "/run/secrets/monitor": f"{PASSWORD}\n",
    "/run/secrets/token": "a token\n",
    "/etc/reader/web.yml": f"basic_auth_write_users:\n  ops: {PASSWORD_HASH}\n",
    "/etc/alertmanager/alertmanager.yml": (ROOT / "alerts" / "alertmanager.yml").read_text("utf-8"),
    "/var/lib/node_exporter/.keep": "",
}

GENERATED: Final = "/srv/generated"
ALERTMANAGER_YML: Final = (
    f"production/alerts/alertmanager.yml {GENERATED}/alerts/alertmanager.yml /etc/alertmanager/alertmanager.yml"
)
"""Where that of a page may be: the first of those that exist is used."""

PROGRAM: Final = Path(sys.executable).with_name("relay-monitor")
MONITOR: Final = f"{PROGRAM} run --config tests/docs/given/prod.yaml"
REPOSITORY: Final = f"""
mkdir -p /srv && git init --quiet --bare /srv/fork.git
export GIT_DIR=/srv/clone GIT_WORK_TREE={ROOT}
git init --quiet && git remote add origin /srv/fork.git && git add README.md && git commit --quiet --message First
"""
"""Makes the project's folder a clone of a fork, whatever it is here."""


@dataclass(frozen=True, slots=True)
class Service:
    """A process that commands need: those that match `needed_by`, unless one listens on `address` already.

    `ready` is a regular expression of its log; None: it listens.
    """

    name: str
    needed_by: re.Pattern[str]
    command: str
    address: str
    ready: str | None = None
    until: str | None = None
    """A command that succeeds once it works as one that has run for long; waited for by readers that have time."""


def _named(names: tuple[str, ...]) -> str:
    return "|".join(rf"(?<![\w.-]){re.escape(name)}" for name in names)


RELAY: Final = Service(
    "relay", re.compile(_named(RELAYS)), f"{PROGRAM} relay --listen 127.0.0.1:18000", "127.0.0.1:18000"
)
FRONT: Final = Service(
    "front",
    re.compile(_named((*RELAYS, *MONITORS))),
    f"{sys.executable} -S tests/docs/front.py /etc/reader/front.pem 127.0.1.1:443=127.0.0.1:18000 "
    "127.0.2.1:443=127.0.2.1:9464",
    "127.0.1.1:443",
)
LOCAL_MONITOR: Final = Service(
    "monitor",
    re.compile(
        r"relay-monitor (?:status|drill|maintenance|simulate --replay)(?![^#]*--url)"
        r"|127\.0\.0\.1:9464|http://(?:eu|us):9464"
    ),
    MONITOR,
    "127.0.0.1:9464",
    ready="relay is up",
)
SERVICES: Final = (
    RELAY,
    FRONT,
    LOCAL_MONITOR,
    Service(
        "remote monitor",
        re.compile(_named(MONITORS)),
        f"RELAY_MONITOR_LISTEN=127.0.2.1:9464 LOCATION=remote WEB_CONFIG=/etc/reader/web.yml {MONITOR}",
        "127.0.2.1:9464",
        ready="relay is up",
    ),
    Service(
        "Prometheus",
        re.compile(r"prometheus\.(?:internal\.)?example\.com:9090|relay-monitor drill|--replay"),
        f"sh -euc 'config=prometheus.yml; if [ ! -f $config ]; then config=tests/docs/given/prometheus.yml; "
        f"{PROGRAM} generate --config tests/docs/given/prod.yaml --output {GENERATED}; fi; exec prometheus "
        "--web.listen-address=:9090 --storage.tsdb.path=/var/lib/reader-prometheus --config.file=$config'",
        "127.0.0.1:9090",
        ready="Server is ready",
        # The series ALERTS is missing until Prometheus has restored its alerts, which it does in the first evaluations.
        until="promtool query instant http://127.0.0.1:9090 'ALERTS{alertname=\"Watchdog\"}' | grep -q Watchdog",
    ),
    Service(
        "Alertmanager",
        re.compile(r"alertmanager\.internal\.example\.com:9093|relay-monitor drill"),
        f"sh -euc 'for config in {ALERTMANAGER_YML}; do if [ -f $config ]; then exec $(command -v "
        "prometheus-alertmanager || command -v alertmanager) --web.listen-address=:9093 --cluster.listen-address= "
        "--storage.path=/var/lib/reader-alertmanager --config.file=$config; fi; done'",
        "127.0.0.1:9093",
    ),
)


def shortened(text: str) -> str:
    """Return a command as it is executed: a shorter one in place of one that takes minutes."""
    for pattern, replacement in SHORTER.items():
        text = re.sub(pattern, replacement, text)
    return text


@cache
def _authority() -> tuple[str, str]:
    """Return the certificate of an authority, and a chain with its key for all names, as PEM."""
    authority = trustme.CA()
    made = authority.issue_cert(*RELAYS, *MONITORS)
    chain = b"".join(part.bytes() for part in (made.private_key_pem, *made.cert_chain_pems))
    return authority.cert_pem.bytes().decode("ascii"), chain.decode("ascii")


def files() -> dict[str, str]:
    """Return the files that a reader's machine has."""
    trusted, chain = _authority()
    return {**FILES, "/etc/ssl/reader.pem": trusted, "/etc/reader/front.pem": chain}
