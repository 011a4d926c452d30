"""Alerts about relays that are not observed as they should be: unknown, in maintenance, with expiring credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.config import show_duration
from monitor.slo.rules import templates
from monitor.slo.rules.names import ACCEPTING_RATIO, MAINTENANCE, UP_RATIO, UP_VOTE
from monitor.slo.rules.rule import RELAY_DASHBOARD, Alert
from monitor.slo.rules.timing import Timing
from monitor.slo.rules.verdicts import KEEP_FIRING, LOCAL_RELAY, RELAY, VOTER, Selectors

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
        summary="Relay {{ $labels.relay }} is not observed from {{ $labels.location }}"
        + templates.cause(templates.CAUSE_HERE),
        description=templates.since("unknown", "Unknown", templates.HERE)
        + "An outage would not be noticed from there. Locations with a verdict: "
        + templates.number(f"count({UP_VOTE}{{{templates.OF_RELAY}}})", "0")
        + ".\nHow sure: the monitor is healthy; no attempt at this relay has finished."
        "\nFirst: read the reason on the on-call page; check the relay's settings there: token file, addresses, proxy.",
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
        summary="The monitor's token for {{ $labels.relay }} " + templates.expires() + " ({{ $labels.location }})",
        description=templates.value_time("It {{ if lt $value 0.0 }}expired{{ else }}expires{{ end }} at ", ".")
        + " {{ if lt $value 0.0 }}The relay is not observed from {{ $labels.location }}: an outage would not be "
        "noticed."
        "{{ else }}Less than a fifth of its life is left.{{ end }}"
        + templates.condition(templates.HERE)
        + "\nHow sure: the expiry is written in the token. The relay itself is not at fault."
        "\nFirst: renew `token_file` at {{ $labels.location }}, and check the job that renews it.",
        dashboard=RELAY_DASHBOARD,
    )


def _in_maintenance(own: Selectors, timing: Timing) -> Alert:
    """Fires in the window, and after it while verdict alerts of a relay that is up again still fire."""
    after = show_duration(timing.keep(KEEP_FIRING) + 2 * timing.step)
    window = f"{MAINTENANCE}{{{templates.OF_RELAY}}}"
    healed = f"{own(UP_RATIO)} > 0.5 and on ({RELAY}) {own(ACCEPTING_RATIO)} > 0.5"
    return Alert(
        name="RelayInMaintenance",
        severity="none",
        expr=own.owned(
            f"{own(MAINTENANCE)}\n"
            f"or on ({RELAY}) (last_over_time({own(MAINTENANCE)}[{after}]) and on ({RELAY}) {healed})"
        ),
        summary=templates.first(
            window,
            "{{ $labels.relay }} is in a maintenance window; its other alerts are inhibited",
            "The maintenance window of {{ $labels.relay }} has ended; alerts from within it are inhibited",
        ),
        description=templates.first(
            window,
            "Every location that votes on the relay is in a maintenance window: "
            + templates.each(f"relay_maintenance{{{templates.OF_RELAY}}} == 1", "location")
            + ". Runs continue and are excluded from every SLO.",
            f"The window has ended, and the relay is up. Alerts that began in the window may fire for another {after}.",
        )
        + templates.condition()
        + "\nFirst: nothing."
        + templates.first(
            window,
            " If nobody works on it: `relay-monitor maintenance list` says who opened the window"
            ", `relay-monitor maintenance end` ends it.",
        ),
        dashboard=RELAY_DASHBOARD,
    )
