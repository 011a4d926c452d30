"""Alerts about the verdict on relays: down, not accepting, a group down, partial failure, a failing part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.config import show_duration
from monitor.scenarios import SPECS
from monitor.slo.rules import templates
from monitor.slo.rules.names import (
    ACCEPTING_VOTE,
    DOWN,
    GROUP_DOWN,
    NOT_ACCEPTING,
    OUTAGE,
    REFUSAL,
    SEEN_UP,
    UP_RATIO,
    UP_VOTE,
)
from monitor.slo.rules.rule import OVERVIEW_DASHBOARD, RELAY_DASHBOARD, Alert
from monitor.slo.rules.timing import Timing
from monitor.slo.rules.verdicts import (
    DEFAULT_PAGE_AFTER,
    EVERYWHERE,
    GROUP,
    KEEP_FIRING,
    LOCAL_RELAY,
    ONE_LOCATION,
    RELAY,
    Selectors,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.config import Config

PROBE_WAIT: Final = 60.0
"""Seconds for which a probe must fail while its relay is up."""

ENDPOINT_WINDOW: Final = 600.0
"""Seconds within which an endpoint must fail three times."""


def verdict_alerts(config: Config) -> Iterator[Alert]:
    """Yield the pages about verdicts, to be evaluated right after these are recorded."""
    status = _of(config)
    yield status.group_down()
    yield status.down()
    yield status.not_accepting()


def alerts(config: Config) -> Iterator[Alert]:
    """Yield the other alerts about the status of relays."""
    status = _of(config)
    yield status.never_up()
    yield status.partial(config)
    yield status.probe_failing()
    yield from status.failing_at_one_location()
    yield status.endpoint_failing()


def _of(config: Config) -> _RelayStatus:
    return _RelayStatus(Selectors(config), Timing.of(config), group_page_after(config))


def group_page_after(config: Config) -> float:
    """Return the seconds that `RelayGroupDown` waits: the shortest `page_after` of relays with a group."""
    return min((relay.page_after for relay in config.relays if relay.group is not None), default=DEFAULT_PAGE_AFTER)


@dataclass(frozen=True, slots=True)
class _RelayStatus:
    """Makes each alert; `group_wait` is the `page_after` of groups."""

    own: Selectors
    timing: Timing
    group_wait: float

    def down(self) -> Alert:
        """The page of a relay; a group that has just fallen is one page of its own."""
        own = self.own
        span = show_duration(self.timing.recorded(self.timing.wait(self.group_wait) + 2 * self.timing.evaluation))
        fallen = f"({own(GROUP_DOWN)} unless on ({GROUP}) last_over_time({own(GROUP_DOWN)}[{span}] offset {span}))"
        return Alert(
            name="RelayDown",
            severity="critical",
            capped=True,
            expr=f"({own(OUTAGE)}{own.joined('severity, owner, group')})\nunless on ({GROUP}) {fallen}",
            keep_firing_for=self.timing.keep(KEEP_FIRING),
            summary="Relay {{ $labels.relay }} is down" + templates.cause(templates.RELAY_CAUSE),
            description=templates.since("down", "Down")
            + "Neither a new pairing nor a persistent pair delivers a message."
            + templates.agreement(UP_VOTE)
            + templates.layer(templates.RELAY_CAUSE),
            dashboard=RELAY_DASHBOARD,
        )

    def not_accepting(self) -> Alert:
        """The page of a relay that refuses new clients while existing connections deliver."""
        return Alert(
            name="RelayNotAccepting",
            severity="critical",
            capped=True,
            expr=f"{self.own(REFUSAL)}{self.own.joined('severity, owner, group')}",
            keep_firing_for=self.timing.keep(KEEP_FIRING),
            summary="New connections to {{ $labels.relay }} fail" + templates.cause(templates.RELAY_CAUSE),
            description=templates.since("not_accepting|down", "New connections have failed")
            + "Existing connections deliver messages: do not restart nodes, which would cut them."
            + templates.agreement(ACCEPTING_VOTE)
            + templates.layer(templates.RELAY_CAUSE),
            dashboard=RELAY_DASHBOARD,
        )

    def group_down(self) -> Alert:
        """The page of a group of relays that falls together."""
        return Alert(
            name="RelayGroupDown",
            severity="critical",
            capped=True,
            expr=self.own(GROUP_DOWN),
            pending_for=self.timing.wait(self.group_wait),
            keep_firing_for=self.timing.keep(KEEP_FIRING),
            summary="{{ $value }} of "
            + templates.GROUP_SIZE
            + " relays of group {{ $labels.group }} are down"
            + templates.cause(templates.GROUP_CAUSE),
            description=templates.GROUP_SINCE
            + "Alerts of the single relays are inhibited.\nDown: "
            + templates.GROUP_MEMBERS
            + ".\nHow sure: each relay has a verdict of its own, confirmed by several attempts."
            + templates.layer(templates.GROUP_CAUSE)
            + "\nThey fail together: check what they share before a single relay.",
            dashboard=OVERVIEW_DASHBOARD,
            is_of_relay=False,
        )

    def never_up(self) -> Alert:
        """The warning about a relay that no monitor has seen up; after half an hour it pages as every other does."""
        own = self.own
        return Alert(
            name="RelayDown",
            severity="warning",
            expr=own.owned(f"{own(UP_RATIO)} < 0.5 unless on ({RELAY}) {own(SEEN_UP)}"),
            pending_for=self.timing.wait(DEFAULT_PAGE_AFTER),
            labels={"about": "never up"},
            summary="Relay {{ $labels.relay }} has never been up" + templates.cause(templates.RELAY_CAUSE),
            description=templates.since("down|unknown", "Not up")
            + "No message has been delivered since monitoring began; after 30 minutes the alert pages."
            + templates.agreement(UP_VOTE)
            + templates.layer(templates.RELAY_CAUSE)
            + "\nOr its settings are wrong: `url`, token, `origin` and headers in the monitor's configuration.",
            dashboard=RELAY_DASHBOARD,
        )

    def partial(self, config: Config) -> Alert:
        """The page of a node that accepts messages and does not deliver them."""
        own, timing = self.own, self.timing
        failed = own("relay_probe_confirmations_total", 'over="standing", outcome="failed"')
        # Until the next failure at the same node is scraped, for the slowest probe.
        cycles = (
            probe.cycle + probe.timeout + 2 * timing.scrape
            for probe in config.probes
            if probe.is_continuous and SPECS[probe.scenario].exchanging
        )
        window = show_duration(timing.window(60.0))
        increase = f"sum by ({LOCAL_RELAY}) (increase({failed}[{window}])) > 0"
        silent = f'relay_probe_confirmations_total{{{templates.OF_RELAY}, over="standing", outcome="failed"}}'
        return Alert(
            name="RelayPartialFailure",
            severity="critical",
            capped=True,
            expr=f"({increase}){own.joined('severity, owner, group')}",
            keep_firing_for=timing.keep(max([KEEP_FIRING, *cycles])),
            summary="A node of {{ $labels.relay }} is silent: it accepts messages and does not deliver them",
            description="Clients connected to that node receive nothing and get no error; new pairs deliver."
            + templates.condition()
            + "\nHow sure: three messages in a row over one persistent pair were not delivered, while each was "
            "stored or "
            "a new pair delivered; seen from "
            + templates.each(f"sum by (location) (increase({silent}[{window}])) > 0", "location", "no location now")
            + ".\nFailing layer: delivery, from the broker to the subscribers of one node; its health check may be "
            "green."
            "\nFirst: find the node in the timeline of a failed run on the on-call page, and restart it.",
            dashboard=RELAY_DASHBOARD,
        )

    def probe_failing(self) -> Alert:
        """The warning about a probe that fails while its relay is up."""
        own = self.own
        failing = f"min by ({LOCAL_RELAY}, probe) ({own('relay_probe_up')}) == 0"
        failures = templates.failures("1h", f"{templates.HERE}, probe=$probe")
        return Alert(
            name="RelayProbeFailing",
            severity="warning",
            expr=own.owned(f"{failing} and on ({LOCAL_RELAY}) max by ({LOCAL_RELAY}) ({own('relay_up')}) == 1"),
            pending_for=self.timing.wait(PROBE_WAIT),
            summary="Probe {{ $labels.probe }} fails on {{ $labels.relay }}, which is up" + templates.cause(failures),
            description=templates.last_success("Its last good run ended at ")
            + "Its last two runs failed at {{ $labels.location }}; other messages are delivered."
            + templates.condition(templates.HERE)
            + templates.layer(failures),
            dashboard=RELAY_DASHBOARD,
        )

    def failing_at_one_location(self) -> Iterator[Alert]:
        """The warnings about a verdict of one location that does not page."""
        own = self.own
        for about, vote, verdict, what in (
            ("location", UP_VOTE, DOWN, "Relay {{ $labels.relay }} is down"),
            ("accepting", ACCEPTING_VOTE, NOT_ACCEPTING, "New connections to {{ $labels.relay }} fail"),
        ):
            down = f"\nunless on ({LOCAL_RELAY}) {own(UP_VOTE)} == 0" if about == "accepting" else ""
            yield Alert(
                name="RelayProbeFailing",
                severity="warning",
                expr=own.owned(
                    f"{own(vote)} == 0 and on ({RELAY}) {own(SEEN_UP)}{down}\n"
                    f"unless on ({RELAY}) {own(verdict, EVERYWHERE)} == 1\n"
                    f"unless on ({LOCAL_RELAY}) {own(verdict, ONE_LOCATION)} == 1"
                ),
                keep_firing_for=self.timing.keep(KEEP_FIRING),
                labels={"about": about},
                summary=f"{what} at {{{{ $labels.location }}}}" + templates.cause(templates.CAUSE_HERE),
                description=templates.since("not_accepting|down", "Failing there", templates.HERE)
                + "Too few locations agree for a page."
                + templates.agreement(vote)
                + templates.layer(templates.CAUSE_HERE)
                + "\nThe way from {{ $labels.location }} to the relay may be the cause: its network, DNS and proxy.",
                dashboard=RELAY_DASHBOARD,
            )

    def endpoint_failing(self) -> Alert:
        """The warning about one endpoint of several that fails while the relay is up."""
        own, window = self.own, show_duration(self.timing.window(ENDPOINT_WINDOW))
        failures = (
            f"sum by ({LOCAL_RELAY}, endpoint) (increase({own('relay_endpoint_failures_total')}[{window}])) > 2.5"
        )
        return Alert(
            name="RelayProbeFailing",
            severity="warning",
            expr=own.owned(f"{failures}\nand on ({LOCAL_RELAY}) {own(UP_VOTE)} == 1"),
            keep_firing_for=self.timing.keep(KEEP_FIRING),
            labels={"about": "endpoint"},
            summary="Endpoint {{ $labels.endpoint }} of {{ $labels.relay }} fails, the others deliver"
            + templates.cause(templates.CAUSE_HERE),
            description='{{ $value | printf "%.0f" }} attempts at this endpoint failed within '
            f"{window}, seen from {{{{ $labels.location }}}}; the relay delivers over its other endpoints."
            + templates.condition(templates.HERE)
            + templates.layer(templates.CAUSE_HERE)
            + "\nCompare this node with the others: its process, its place in the load balancer, its broker "
            "connection.",
            dashboard=RELAY_DASHBOARD,
        )
