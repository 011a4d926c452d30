"""`RelayCertificateExpiring`: the earliest expiry in the certificate chains that TLS handshakes received."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from monitor.config import show_duration
from monitor.slo.rules.rule import RELAY_DASHBOARD, Alert
from monitor.slo.rules.timing import Timing
from monitor.slo.rules.verdicts import LOCAL_RELAY, Selectors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.config import Config

DAY: Final = 86_400.0
EXPIRY: Final = "relay_probe_certificate_expiry_timestamp_seconds"

MIN_VALIDITY: Final = {"warning": 14 * DAY, "critical": 3 * DAY}
"""Seconds of remaining validity below which an alert of this severity fires."""

_SINCE: Final = '{{ $value | humanizeDuration | reReplaceAll "^-" "" }}'


def alerts(config: Config) -> Iterator[Alert]:
    """Yield the warning, and the page for the relays that may page."""
    own, timing = Selectors(config), Timing.of(config)
    window = show_duration(timing.window(handshake_window(config)))
    remaining = f"min by ({LOCAL_RELAY}) (min_over_time({own(EXPIRY)}[{window}]) - time())"

    def page(severity: str) -> str:
        return f"{remaining} < {MIN_VALIDITY[severity]:.0f}"

    warning = Alert(
        name="RelayCertificateExpiring",
        severity="warning",
        expr=own.owned(page("warning")),
        pending_for=timing.wait(300.0),
        summary="TLS certificate of {{ $labels.relay }} "
        "{{ if lt $value 0.0 }}has expired{{ else }}expires soon{{ end }}",
        description="The TLS certificate of {{ $labels.relay }} "
        f"{{{{ if lt $value 0.0 }}}}expired {_SINCE} ago{{{{ else }}}}expires in "
        "{{ $value | humanizeDuration }}{{ end }}.",
        dashboard=RELAY_DASHBOARD,
    )
    yield warning
    may_page = own.joined("owner, group", 'severity="critical"')
    yield replace(warning, severity="critical", expr=f"({page('critical')}){may_page}")


def handshake_window(config: Config) -> float:
    """Return the seconds in which handshakes reach every node: one node may still have its old certificate."""
    return max([1800.0, *(probe.max_age for probe in config.probes if probe.is_continuous)])
