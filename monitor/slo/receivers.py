"""Receivers of an Alertmanager configuration: PagerDuty for pages, Slack for pages and tickets, by the relay's owner.

Their texts are templates in the configuration itself, so that no other file must be deployed. PagerDuty deduplicates by
the key of Alertmanager's group: an outage is one incident, which "resolved" closes. Secrets are read from files.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.config import Config

SECRETS: Final = "/etc/alertmanager/secrets"
"""Folder of the files with PagerDuty's routing keys, Slack's webhook URLs and the token of drills."""

CHANNEL: Final = "#relay-monitor"

LINKS: Final = (("page_url", "On-call page"), ("runbook_url", "Runbook"), ("dashboard_url", "Dashboard"))
"""The annotations that every alert has, and their names in a notification."""

_FIRST: Final = "{{ with index .Alerts 0 }}{{ .Annotations.%s }}{{ end }}"

TITLE: Final = (
    "{{ if .Alerts.Firing }}{{ with index .Alerts.Firing 0 }}{{ .Annotations.summary }}{{ end }}"
    "{{ if gt (len .Alerts.Firing) 1 }} ({{ len .Alerts.Firing }} alerts){{ end }}"
    "{{ else }}Resolved: " + _FIRST % "summary" + "{{ end }}"
)
"""The first line: what fails, or failed."""

DETAILS: Final = (
    "{{ range .Alerts.Firing }}{{ .Annotations.summary }}\n{{ .Annotations.description }}\n\n{{ end }}"
    '{{ range .Alerts.Resolved }}Resolved at {{ .EndsAt.UTC.Format "2006-01-02 15:04:05" }} UTC: '
    "{{ .Annotations.summary }}\n{{ end }}"
)

SLACK_TEXT: Final = (
    "{{ range .Alerts.Firing }}*{{ .Labels.severity }}* {{ .Annotations.summary }}\n{{ .Annotations.description }}\n"
    + " · ".join(f"<{{{{ .Annotations.{annotation} }}}}|{name}>" for annotation, name in LINKS)
    + "{{ with .Annotations.incident_url }} · <{{ . }}|Incidents>{{ end }}\n\n{{ end }}"
    '{{ range .Alerts.Resolved }}*resolved* at {{ .EndsAt.UTC.Format "2006-01-02 15:04:05" }} UTC: '
    "{{ .Annotations.summary }}\n{{ end }}"
)

SEVERITY: Final = '{{ if eq .CommonLabels.severity "warning" }}warning{{ else }}critical{{ end }}'
"""PagerDuty's severity; a group with both has that of its pages."""

COLOR: Final = (
    '{{ if ne .Status "firing" }}good{{ else if eq .CommonLabels.severity "warning" }}warning{{ else }}danger{{ end }}'
)


def owners(config: Config) -> list[str]:
    """Return the owners of relays."""
    return sorted({relay.owner for relay in config.relays if relay.owner})


def receivers(config: Config) -> Iterator[dict[str, Any]]:
    """Yield the receivers of pages and tickets, of all and of each owner, and that of the dead man's switch."""
    files = dict(zip(owners(config), _file_names(owners(config)), strict=True))
    for owner, suffix in {"": "", **files}.items():
        of = f" of {owner}" if owner else ""
        yield {
            "name": f"pages{of}",
            "pagerduty_configs": [_pagerduty(f"{SECRETS}/pagerduty{suffix}")],
            "slack_configs": [_slack(f"{SECRETS}/slack{suffix}")],
        }
        yield {"name": f"tickets{of}", "slack_configs": [_slack(f"{SECRETS}/slack{suffix}")]}
    # A service that pages when it is no longer called; Alertmanager 0.25 reads its URL from no file.
    yield {"name": "dead-mans-switch", "webhook_configs": [{"url": "http://127.0.0.1:8080/dead-mans-switch"}]}
    yield {"name": "nobody"}


def _file_names(names: list[str]) -> Iterator[str]:
    """Yield a different end of a file name for each owner."""
    used: set[str] = set()
    for name in names:
        plain = suffix = "-" + (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "owner")
        number = 2
        while suffix in used:
            suffix, number = f"{plain}-{number}", number + 1
        used.add(suffix)
        yield suffix


def _pagerduty(key_file: str) -> dict[str, Any]:
    return {
        "routing_key_file": key_file,
        "send_resolved": True,
        "severity": SEVERITY,
        "description": TITLE,
        "class": "{{ .CommonLabels.alertname }}",
        "component": "{{ .CommonLabels.relay }}",
        "group": "{{ .CommonLabels.group }}",
        "client": "relay-monitor",
        "client_url": _FIRST % "page_url",
        "details": {"alerts": DETAILS},
        "links": [{"href": _FIRST % annotation, "text": name} for annotation, name in LINKS],
    }


def _slack(url_file: str) -> dict[str, Any]:
    return {
        "api_url_file": url_file,
        "send_resolved": True,
        "channel": CHANNEL,
        "color": COLOR,
        "title": TITLE,
        "title_link": _FIRST % "page_url",
        "text": SLACK_TEXT,
        "fallback": TITLE,
    }
