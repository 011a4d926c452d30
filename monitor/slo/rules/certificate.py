"""`RelayCertificateExpiring`: the earliest expiry in the certificate chains that TLS handshakes received."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from monitor.config import show_duration
from monitor.slo.rules import templates
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
        summary="TLS certificate of {{ $labels.relay }} " + templates.expires(),
        description=templates.value_time("It {{ if lt $value 0.0 }}expired{{ else }}expires{{ end }} at ", ".")
        + " From then on every new connection fails with tls_expired."
        f"\nHow sure: read in TLS handshakes within {window}, from {{{{ $labels.location }}}}; the earliest "
        "certificate of "
        "the chain counts. Locations that see one expire within 14 days: "
        + templates.each(f"{EXPIRY}{{{templates.OF_RELAY}}} - time() < {MIN_VALIDITY['warning']:.0f}", "location")
        + "."
        + templates.condition()
        + "\nFailing layer: TLS (certificate)."
        "\nFirst: check whether the renewal failed, or one node or load balancer still has the old certificate.",
        dashboard=RELAY_DASHBOARD,
    )
    yield warning
    may_page = own.joined("owner, group", 'severity="critical"')
    yield replace(warning, severity="critical", expr=f"({page('critical')}){may_page}")


def handshake_window(config: Config) -> float:
    """Return the seconds in which handshakes reach every node: one node may still have its old certificate."""
    return max([1800.0, *(probe.max_age for probe in config.probes if probe.is_continuous)])
