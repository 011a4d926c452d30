"""An example Alertmanager configuration for the rules: routes, grouping and inhibition.

Critical alerts are grouped by relay, so that one outage is one page. `RelayDown` inhibits every other alert of its
relay, lost messages included; a maintenance window inhibits them all. Alerts about a monitor inhibit nothing: an
unhealthy monitor suspends its verdicts itself. Each inhibition requires the label `relay`, because labels that are
missing on both sides count as equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from monitor.config import show_duration
from monitor.slo.rules.rule import dump

if TYPE_CHECKING:
    from monitor.config import Config

SERVICE: Final = 'service="relay-monitor"'
HAS_RELAY: Final = 'relay=~".+"'
EQUAL: Final = ["service", "relay"]
GROUP_WAIT: Final = {"critical": 10.0, "warning": 30.0}
"""Seconds from the first alert of a group to its notification, by severity."""


def alertmanager_file(config: Config) -> bytes:
    """Return the file; the receivers' URLs are placeholders."""
    del config  # the file is the same for every configuration
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
                        "matchers": [SERVICE, 'alertname="Watchdog"'],
                        "group_wait": "0s",
                        "group_interval": "1m",
                        # Less than group_interval: an equal one skips every second notification.
                        "repeat_interval": "50s",
                    },
                    {"receiver": "nobody", "matchers": [SERVICE, 'severity=~"info|none"']},
                    {
                        "receiver": "pages",
                        "matchers": [SERVICE, 'severity="critical"'],
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
        "source_matchers": [SERVICE, HAS_RELAY, *source],
        "target_matchers": [SERVICE, HAS_RELAY, *target],
        "equal": EQUAL,
    }
