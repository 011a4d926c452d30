"""An Alertmanager configuration that goes with the rules: who is told what, how often, and what holds back what.

One outage is one page: criticals of a relay are grouped, and hold back its warnings; `RelayDown` holds back all else of
its relay, lost messages included. The health of the monitor holds back nothing: an unhealthy monitor freezes its
verdicts by itself. Labels that are missing on both sides of an inhibition count as equal, so that every rule asks for
a relay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from monitor.config import show_duration
from monitor.slo.rules.rule import dump

if TYPE_CHECKING:
    from monitor.config import Config

OURS: Final = 'service="relay-monitor"'
OF_A_RELAY: Final = 'relay=~".+"'
EQUAL: Final = ["service", "relay"]
GROUP_WAIT: Final = {"critical": 10.0, "warning": 30.0}
"""Seconds that are waited before the first of a group is told, by its severity."""


def alertmanager_file(config: Config) -> bytes:
    """The file; its receivers' addresses are to be filled in."""
    del config  # the same for every configuration, so far
    return dump(
        {
            "route": {
                "receiver": "tickets",
                "group_by": ["alertname", "slo", "relay"],
                "group_wait": show_duration(GROUP_WAIT["warning"]),
                "group_interval": "5m",
                "repeat_interval": "12h",
                "routes": [
                    {
                        "receiver": "dead-mans-switch",
                        "matchers": [OURS, 'alertname="Watchdog"'],
                        "group_wait": "0s",
                        "group_interval": "1m",
                        "repeat_interval": "50s",  # less, or each second beat comes a moment too soon and is left out
                    },
                    {"receiver": "nobody", "matchers": [OURS, 'severity=~"info|none"']},
                    {
                        "receiver": "pages",
                        "matchers": [OURS, 'severity="critical"'],
                        "group_by": ["relay"],
                        "group_wait": show_duration(GROUP_WAIT["critical"]),
                        "group_interval": "1m",
                        "repeat_interval": "4h",
                    },
                ],
            },
            "inhibit_rules": [
                _inhibit(['alertname="RelayInMaintenance"'], ['alertname!="RelayInMaintenance"']),
                _inhibit(['alertname="RelayDown"'], ['alertname!~"RelayDown|RelayInMaintenance"']),
                _inhibit(['severity="critical"'], ['severity="warning"']),
            ],
            "receivers": [
                {"name": "pages", "webhook_configs": [{"url": "http://127.0.0.1:8080/pages"}]},
                {"name": "tickets", "webhook_configs": [{"url": "http://127.0.0.1:8080/tickets"}]},
                {"name": "dead-mans-switch", "webhook_configs": [{"url": "http://127.0.0.1:8080/dead-mans-switch"}]},
                {"name": "nobody"},
            ],
        }
    )


def _inhibit(source: list[str], target: list[str]) -> dict[str, Any]:
    return {
        "source_matchers": [OURS, OF_A_RELAY, *source],
        "target_matchers": [OURS, OF_A_RELAY, *target],
        "equal": EQUAL,
    }
