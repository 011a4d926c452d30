"""Alerts about drills of the page chain: the one that a drill lets fire, and the warning after one that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.drill import ALERT, LABEL, SERIES
from monitor.slo.rules import templates
from monitor.slo.rules.rule import HEALTH_DASHBOARD, Alert
from monitor.slo.rules.verdicts import Selectors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.config import Config

MONITOR: Final = "install, location, shard"
"""The labels of one monitor."""


def alerts(config: Config) -> Iterator[Alert]:
    """Yield the alerts.

    The alert of a drill has no label `relay`, so that no maintenance window and no other alert of a relay inhibits it,
    and the severity none, so that it pages nobody where its route is not deployed.
    """
    own = Selectors(config)
    yield Alert(
        name=ALERT,
        severity="none",
        expr=f"max by ({MONITOR}, {LABEL}) ({own(SERIES)}) == 0",
        summary="A drill of monitor {{ $labels.location }}: nothing is broken",
        description="The monitor at {{ $labels.location }} has set a reserved relay down, to measure how long a page "
        "takes. Its notification belongs to the webhook of that monitor, and to no person.",
        dashboard=HEALTH_DASHBOARD,
        is_of_relay=False,
    )
    yield Alert(
        name="RelayMonitorDrillFailed",
        severity="warning",
        expr=f"max by ({MONITOR}) ({own('relay_monitor_drill_last_successful')}) == 0",
        summary="The last drill of monitor {{ $labels.location }} failed: its notification did not arrive",
        description="The monitor at {{ $labels.location }} set a reserved relay down, and the notification did not "
        "come back to it."
        + templates.at_time(
            "max(relay_monitor_drill_last_success_timestamp_seconds"
            "{install=$install, location=$location, shard=$shard})",
            " The last drill that succeeded was at ",
            after=".",
            otherwise=" No drill has succeeded yet.",
        )
        + " A part of the chain from its /metrics to a page may be broken."
        "\nFirst: run `relay-monitor drill`: it names the link that is missing.",
        dashboard=HEALTH_DASHBOARD,
        is_of_relay=False,
    )
