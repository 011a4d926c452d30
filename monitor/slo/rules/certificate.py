"""`RelayCertificateExpiring`: the earliest expiry in the certificate chains that TLS handshakes received."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from monitor.config import show_duration
from monitor.slo.rules.paging import with_matcher
from monitor.slo.rules.rule import RELAY_DASHBOARD, Alert

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.config import Config
    from monitor.slo.rules.paging import Paging

DAY: Final = 86_400.0
EXPIRY: Final = "relay_probe_certificate_expiry_timestamp_seconds"

MIN_VALIDITY: Final = {"warning": 14 * DAY, "critical": 3 * DAY}
"""Seconds of remaining validity below which an alert of this severity fires."""


def alerts(config: Config, paging: Paging) -> Iterator[Alert]:
    """Yield the warning, and the page for the relays that may page."""
    earliest = f"min_over_time({EXPIRY}{{@}}[{show_duration(handshake_window(config))}])"
    remaining = f"min by (relay, location) ({earliest} - time())"
    warning = Alert(
        name="RelayCertificateExpiring",
        severity="warning",
        expr=f"{remaining} < {MIN_VALIDITY['warning']:.0f}",
        pending_for=300.0,
        summary="TLS certificate of {{ $labels.relay }} expires soon",
        description="The TLS certificate of {{ $labels.relay }} expires in {{ $value | humanizeDuration }}.",
        dashboard=RELAY_DASHBOARD,
    )
    yield with_matcher(warning, "")
    critical = replace(warning, severity="critical", expr=f"{remaining} < {MIN_VALIDITY['critical']:.0f}")
    yield from paging.by_class(critical, has_warning=True)


def handshake_window(config: Config) -> float:
    """Return the seconds in which handshakes reach every node: one node may still have its old certificate."""
    return max([1800.0, *(probe.max_age for probe in config.probes if probe.is_continuous)])
