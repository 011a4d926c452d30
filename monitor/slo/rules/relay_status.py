"""Alerts about the status of relays: `RelayDown`, `RelayPartialFailure` and `RelayProbeFailing`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.burn_rate import MIN_SCRAPES
from monitor.config import show_duration
from monitor.scenarios import SPECS
from monitor.slo.rules.paging import HEALTHY_VOTERS, with_matcher
from monitor.slo.rules.rule import RELAY_DASHBOARD, Alert

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.config import Config
    from monitor.slo.rules.paging import Paging

MIN_KEEP_FIRING: Final = 120.0
"""Shortest `keep_firing_for` of `RelayPartialFailure`, in seconds: a persistent pair fails once a cycle."""

CAUSE_WINDOW: Final = 300.0
"""Seconds over which the cause in the summary of `RelayDown` is the most frequent one."""


def alerts(config: Config, paging: Paging) -> Iterator[Alert]:
    """Yield the alerts about the status of relays."""
    yield from paging.by_class(_down(config, paging))
    yield from paging.by_class(_partial(config))
    yield _probe_failing()
    if paging.several_locations:
        yield _down_at_one_location(paging)


def _down(config: Config, paging: Paging) -> Alert:
    return Alert(
        name="RelayDown",
        severity="critical",
        expr=_is_down(paging),
        summary="Relay {{ $labels.relay }} is down" + _cause(config),
        description="Every confirmation attempt (a new pairing and one message) over {{ $labels.relay }} failed. The "
        "dashboard and relay_probe_failures_total show step and reason.",
        dashboard=RELAY_DASHBOARD,
    )


def _cause(config: Config) -> str:
    """Template of step and reason of the most frequent failure; empty while no failure has been scraped."""
    window = show_duration(max(CAUSE_WINDOW, MIN_SCRAPES * config.prometheus.scrape_interval))
    query = f"topk(1, sum by (step, reason) (increase(relay_probe_failures_total{{relay=%q}}[{window}])) > 0)"
    return (
        f'{{{{ range query (printf "{query}" $labels.relay) }}}}'
        ": {{ .Labels.step }} {{ .Labels.reason }}{{ end }}"
    )


def _is_down(paging: Paging) -> str:
    voters = HEALTHY_VOTERS if paging.several_locations else "relay_up{@}"
    return paging.quorum(f"{voters} == 0", voters, "relay")


def _partial(config: Config) -> Alert:
    scrape = config.prometheus.scrape_interval
    window = show_duration(max(60.0, MIN_SCRAPES * scrape))
    failed = 'relay_probe_confirmations_total{over="standing", outcome="failed"@}'
    # Until the next failure at the same node is scraped, for the slowest probe.
    cycles = (
        probe.cycle + probe.timeout + 2 * scrape
        for probe in config.probes
        if probe.is_continuous and SPECS[probe.scenario].exchanging
    )
    return Alert(
        name="RelayPartialFailure",
        severity="critical",
        expr=f"sum by (relay, location) (increase({failed}[{window}])) > 0",
        keep_firing_for=max([MIN_KEEP_FIRING, *cycles]),
        summary="Partial failure of {{ $labels.relay }}: a persistent pair fails while a new pair succeeds",
        description="Two messages in a row over a persistent connection to {{ $labels.relay }} were not delivered, "
        "and a new pair's message was. One node accepts messages and does not deliver them; its health endpoint may "
        "report success. The run's timeline shows where the message was last found.",
        dashboard=RELAY_DASHBOARD,
    )


def _probe_failing() -> Alert:
    return Alert(
        name="RelayProbeFailing",
        severity="warning",
        expr="relay_probe_up == 0 and on (relay, location) relay_up == 1",
        pending_for=60.0,
        summary="Probe {{ $labels.probe }} fails while {{ $labels.relay }} is up",
        description="The last two runs of probe {{ $labels.probe }} on {{ $labels.relay }} ({{ $labels.location }}) "
        "failed; other messages are delivered.",
        dashboard=RELAY_DASHBOARD,
    )


def _down_at_one_location(paging: Paging) -> Alert:
    alert = Alert(
        name="RelayProbeFailing",
        severity="warning",
        expr=f"{HEALTHY_VOTERS} == 0\nunless on (relay) (\n{_is_down(paging)}\n)",
        pending_for=60.0,
        labels={"about": "location"},
        summary="{{ $labels.relay }} is down at {{ $labels.location }} but not at most locations",
        description="Messages from {{ $labels.location }} over {{ $labels.relay }} are not delivered; from most other "
        "locations they are.",
        dashboard=RELAY_DASHBOARD,
    )
    return with_matcher(alert, "")
