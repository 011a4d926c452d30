"""Alerts about relays that are not observed as they should be: unknown, in maintenance, with expiring credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.config import show_duration
from monitor.slo.rules import templates
from monitor.slo.rules.rule import RELAY_DASHBOARD, Alert
from monitor.slo.rules.timing import Timing
from monitor.slo.rules.verdicts import (
    ACCEPTING_RATIO,
    KEEP_FIRING,
    LOCAL_RELAY,
    MAINTENANCE,
    RELAY,
    UP_RATIO,
    VOTER,
    Selectors,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.config import Config

UNOBSERVED_WAIT: Final = 300.0
"""Seconds for which a relay must be unknown to a healthy monitor."""

TOKEN_SHARE: Final = 0.2
"""Share of a token's life that must remain."""


def alerts(config: Config) -> Iterator[Alert]:
    """Yield the alerts about the observation of relays."""
    own, timing = Selectors(config), Timing.of(config)
    yield _unobserved(own, timing)
    yield _credentials(own, timing)
    yield _in_maintenance(own, timing)


def _unobserved(own: Selectors, timing: Timing) -> Alert:
    unknown = own("relay_state", 'state="unknown"')
    healthy = f"({unknown} unless on ({VOTER}) {own('relay_monitor_healthy')} == 0)"
    return Alert(
        name="RelayUnobserved",
        severity="warning",
        expr=own.owned(f"min by ({LOCAL_RELAY}) {healthy} == 1"),
        pending_for=timing.wait(UNOBSERVED_WAIT),
        summary="Relay {{ $labels.relay }} is not observed from {{ $labels.location }}" + templates.CAUSE_HERE,
        description="The monitor at {{ $labels.location }} has no verdict on {{ $labels.relay }}, because no attempt "
        "finishes, or because of the relay's own settings. The on-call page shows the reason.",
        dashboard=RELAY_DASHBOARD,
    )


def _credentials(own: Selectors, timing: Timing) -> Alert:
    expiry = f"min by ({LOCAL_RELAY}) ({own('relay_probe_token_expiry_timestamp_seconds')})"
    lifetime = f"max by ({LOCAL_RELAY}) ({own('relay_probe_token_lifetime_seconds')})"
    left = f"({expiry} - time())"
    return Alert(
        name="RelayMonitorCredentials",
        severity="warning",
        expr=own.owned(f"{left} < on ({LOCAL_RELAY}) {TOKEN_SHARE:g} * {lifetime}\nor on ({LOCAL_RELAY}) {left} < 0"),
        pending_for=timing.wait(60.0),
        summary="The monitor's token for {{ $labels.relay }} "
        "{{ if lt $value 0.0 }}has expired{{ else }}expires soon{{ end }} ({{ $labels.location }})",
        description="{{ if lt $value 0.0 }}The token has expired: {{ $labels.relay }} is not observed from "
        "{{ $labels.location }}.{{ else }}The token expires in {{ $value | humanizeDuration }}; less than a fifth of "
        "its life is left.{{ end }} Renew it in `token_file`.",
        dashboard=RELAY_DASHBOARD,
    )


def _in_maintenance(own: Selectors, timing: Timing) -> Alert:
    """Fires in the window, and after it while verdict alerts of a relay that is up again still fire."""
    after = show_duration(timing.keep(KEEP_FIRING) + 2 * timing.step)
    healed = f"{own(UP_RATIO)} > 0.5 and on ({RELAY}) {own(ACCEPTING_RATIO)} > 0.5"
    return Alert(
        name="RelayInMaintenance",
        severity="none",
        expr=own.owned(
            f"{own(MAINTENANCE)}\n"
            f"or on ({RELAY}) (last_over_time({own(MAINTENANCE)}[{after}]) and on ({RELAY}) {healed})"
        ),
        summary="{{ $labels.relay }} is in a maintenance window; its other alerts are inhibited",
        description="Every location that votes on {{ $labels.relay }} is in a maintenance window. Runs continue and "
        "are excluded from every SLO.",
        dashboard=RELAY_DASHBOARD,
    )
