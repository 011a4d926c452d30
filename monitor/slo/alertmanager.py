"""An example Alertmanager configuration for the rules: routes, grouping and inhibition.

Alerts about the verdict on a relay have a route of their own, grouped by relay, so that one outage is one page that no
open page about an error budget delays. A budget often burns before the verdict on its relay has lasted for
`page_after`: the route of the budgets waits for that, so that the verdict alert is there to inhibit them.

An alert inhibits what it explains, and no more: a group its members, a relay that is down its symptoms and budgets, one
that is not accepting the budgets of new connections, a page the warning of the same SLO or certificate, a maintenance
window everything of its relay. Each inhibition requires the label that it compares: labels that are missing on both
sides count as equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from monitor.burn_rate import burn_conditions
from monitor.config import show_duration
from monitor.config.attempts import GROUP_WAIT as VERDICT_WAIT
from monitor.config.attempts import slowest_verdict
from monitor.slo.drill_route import drill_receivers, drill_routes
from monitor.slo.receivers import owners, receivers
from monitor.slo.rules.explained import new_connections
from monitor.slo.rules.recorded import budgeted
from monitor.slo.rules.rule import any_of, dump
from monitor.slo.rules.templates import quoted
from monitor.slo.rules.timing import Timing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.config import Config, RelayConfig

SERVICE: Final = 'service="relay-monitor"'
GROUP_WAIT: Final = {"critical": 10.0, "warning": 30.0}
"""Seconds from the first alert of a group to its notification, by severity.

Pages about the verdict on a relay wait for `VERDICT_WAIT`, those about budgets for `budget_wait`.
"""

ROUTE_HEADER: Final = b"""\
# Merge this into the configuration of an Alertmanager that has routes of other teams:
# - the route into `route.routes`, before every route that could take its alerts by other labels, such as severity;
# - the inhibitions into `inhibit_rules`: both sides of each are alerts of this install;
# - the receivers into `receivers`, with your secrets.
"""

VERDICT_INTERVAL: Final = 15.0
"""Seconds between two notifications of a changed group of verdict alerts."""

BUDGET_INTERVAL: Final = 60.0
"""Least seconds between two notifications of a changed group of alerts about budgets."""

VERDICTS: Final = "RelayDown|RelayNotAccepting|RelayPartialFailure|RelayGroupDown"
BUDGETS: Final = "RelayErrorBudgetBurn|RelayMessagesLost"
SYMPTOMS: Final = (
    "RelayProbeFailing|RelayPartialFailure|RelayPairsUnstable|RelayProbeRateLimited|RelayLatencyTrend|RelayUnobserved"
)
"""Alerts about what a relay that is down does to its probes."""


def budget_wait(config: Config, relay: RelayConfig) -> float:
    """Return the seconds from an alert about a relay's budgets to its page.

    `RelayDown` and `RelayNotAccepting` fire within this time after the first failure.
    """
    timing = Timing.of(config)
    return timing.wait(relay.page_after) + slowest_verdict(relay) + timing.scrape + timing.evaluation


def _budget_interval(config: Config) -> float:
    """Return the seconds between two notifications about budgets.

    An alert that the verdict explains fires on for `keep_firing_for`: it must not be sent when the verdict ends sooner.
    """
    kept = (
        condition.keep_firing_for
        for slo in budgeted(config)
        for condition in burn_conditions(slo.window, config.prometheus.step)
        if condition.severity == "critical"
    )
    return max([BUDGET_INTERVAL, *kept])


def alertmanager_file(config: Config) -> bytes:
    """Return a whole configuration of Alertmanager; secrets' files and the dead man's switch are placeholders."""
    return dump(_configuration(config))


def route_part(config: Config) -> bytes:
    """Return what a configuration with routes of other teams needs for the alerts of an install.

    That is a route for `route.routes`, which takes the alerts of this install alone, the inhibitions and the receivers.
    The receivers' names have a prefix, so that they equal none of other teams or installs.
    """
    made = _configuration(config)
    prefix = f"relay-monitor-{config.install}-"
    route = {"matchers": _own(config), **_renamed(made["route"], prefix)}
    receivers = [{**receiver, "name": prefix + receiver["name"]} for receiver in made["receivers"]]
    return ROUTE_HEADER + dump({**made, "route": route, "receivers": receivers})


def _configuration(config: Config) -> dict[str, Any]:
    own = _own(config)
    return {
        "route": {
            "receiver": "tickets",
            "group_by": ["install", "alertname", "slo", "relay"],
            "group_wait": show_duration(GROUP_WAIT["warning"]),
            "group_interval": "5m",
            "repeat_interval": "12h",
            "routes": list(_routes(config, own, owners(config))),
        },
        "inhibit_rules": list(_inhibitions(config, own)),
        "receivers": [*drill_receivers(config), *receivers(config)],
    }


def _own(config: Config) -> list[str]:
    return [SERVICE, f'install="{config.install}"']


def _renamed(route: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Return a route and those below it with a prefix before the names of their receivers."""
    more = {"routes": [_renamed(each, prefix) for each in route["routes"]]} if "routes" in route else {}
    return {**route, "receiver": prefix + route["receiver"], **more}


def _routes(config: Config, own: list[str], names: list[str]) -> Iterator[dict[str, Any]]:
    yield from drill_routes(config, own)
    yield {
        "receiver": "dead-mans-switch",
        "matchers": [*own, 'alertname="Watchdog"'],
        "group_wait": "0s",
        "group_interval": "1m",
        # Less than group_interval: an equal one skips every second notification.
        "repeat_interval": "50s",
    }
    yield {"receiver": "nobody", "matchers": [*own, 'severity=~"info|none"']}
    # A group of relays is one page, beside those of single relays.
    for alerts, group_by in (("RelayGroupDown", ["install", "group"]), (VERDICTS, ["install", "relay"])):
        yield {
            "receiver": "pages",
            "matchers": [*own, 'severity="critical"', f'alertname=~"{alerts}"'],
            "group_by": group_by,
            "group_wait": show_duration(VERDICT_WAIT),
            "group_interval": show_duration(VERDICT_INTERVAL),
            "repeat_interval": "4h",
            **_by_owner(names),
        }
    yield from _budget_routes(config, own, names)
    yield {
        "receiver": "pages",
        "matchers": [*own, 'severity="critical"'],
        "group_by": ["install", "alertname", "relay", "location"],
        "group_wait": show_duration(GROUP_WAIT["critical"]),
        "group_interval": "1m",
        "repeat_interval": "4h",
        **_by_owner(names),
    }
    yield from ({"receiver": f"tickets of {owner}", "matchers": [*own, f"owner={quoted(owner)}"]} for owner in names)


def _budget_routes(config: Config, own: list[str], names: list[str]) -> Iterator[dict[str, Any]]:
    """Yield a route for each wait of the relays; that of the longest one takes all other relays."""
    by_wait: dict[float, list[str]] = {}
    for relay in config.relays:
        by_wait.setdefault(budget_wait(config, relay), []).append(relay.name)
    longest_wait = max(by_wait)
    for wait, relays in sorted(by_wait.items()):
        named = [] if wait == longest_wait else [f'relay=~"{any_of(relays)}"']
        yield {
            "receiver": "pages",
            "matchers": [*own, 'severity="critical"', f'alertname=~"{BUDGETS}"', *named],
            "group_by": ["install", "relay"],
            "group_wait": show_duration(wait),
            "group_interval": show_duration(_budget_interval(config)),
            "repeat_interval": "4h",
            **_by_owner(names),
        }


def _by_owner(names: list[str]) -> dict[str, Any]:
    """The routes of each owner's alerts, if there are owners; all other settings are those of the parent."""
    routes = [{"receiver": f"pages of {owner}", "matchers": [f"owner={quoted(owner)}"]} for owner in names]
    return {"routes": routes} if routes else {}


def _inhibitions(config: Config, own: list[str]) -> Iterator[dict[str, Any]]:
    relay, of_relay = 'relay=~".+"', ["service", "install", "relay"]
    yield _inhibit([*own, relay], ['alertname="RelayInMaintenance"'], ['alertname!="RelayInMaintenance"'], of_relay)
    grouped = [*own, 'group=~".+"']
    yield _inhibit(
        grouped,
        ['alertname="RelayGroupDown"'],
        [f'alertname=~"RelayDown|RelayNotAccepting|{SYMPTOMS}"'],
        ["service", "install", "group"],
    )
    yield _inhibit([*own, relay], ['alertname="RelayDown"'], [f'alertname=~"{SYMPTOMS}"'], of_relay)
    yield _inhibit([*own, relay], ['alertname="RelayNotAccepting"'], ['alertname="RelayProbeFailing"'], of_relay)
    # They would repeat what the page of the outage says.
    budgets, paged = f'alertname=~"{BUDGETS}"', 'severity="critical"'
    yield _inhibit([*own, relay], ['alertname="RelayDown"', paged], [budgets], of_relay)
    for matcher in new_connections(config):
        yield _inhibit([*own, relay], ['alertname="RelayNotAccepting"', paged], [budgets, matcher], of_relay)
    for alert, equal in (
        (BUDGETS, [*of_relay, "alertname", "slo"]),
        ("RelayCertificateExpiring", [*of_relay, "alertname", "location"]),
    ):
        name = f'alertname=~"{alert}"'
        yield _inhibit([*own, relay, name], ['severity="critical"'], ['severity="warning"'], equal)
    location = 'location=~".+"'
    yield _inhibit(
        [*own, location, 'alertname="RelayMonitorUnhealthy"'],
        ['severity="critical"'],
        ['severity="warning"'],
        ["service", "install", "alertname", "location"],
    )


def _inhibit(both: list[str], source: list[str], target: list[str], equal: list[str]) -> dict[str, Any]:
    return {"source_matchers": [*both, *source], "target_matchers": [*both, *target], "equal": equal}
