"""Alerts about the verdict on relays: down, not accepting, a group down, partial failure, a failing part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.config import show_duration
from monitor.scenarios import SPECS
from monitor.slo.rules import templates
from monitor.slo.rules.rule import OVERVIEW_DASHBOARD, RELAY_DASHBOARD, Alert
from monitor.slo.rules.timing import Timing
from monitor.slo.rules.verdicts import (
    ACCEPTING_VOTE,
    DEFAULT_PAGE_AFTER,
    DOWN,
    EVERYWHERE,
    GROUP,
    GROUP_DOWN,
    KEEP_FIRING,
    LOCAL_RELAY,
    NOT_ACCEPTING,
    ONE_LOCATION,
    OUTAGE,
    REFUSAL,
    RELAY,
    SEEN_UP,
    UP_RATIO,
    UP_VOTE,
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
            summary="Relay {{ $labels.relay }} is down" + templates.CAUSE,
            description="Every confirmation attempt (a new pairing and one message) over {{ $labels.relay }} failed, "
            "and no persistent pair delivers. Down at:" + templates.locations(UP_VOTE, 0) + ".",
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
            summary="Relay {{ $labels.relay }} does not accept new connections" + templates.CAUSE,
            description="Every new pairing over {{ $labels.relay }} fails; existing connections deliver messages. Not "
            "accepting at:" + templates.locations(ACCEPTING_VOTE, 0) + ".",
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
            + templates.GROUP_CAUSE,
            description="Relays of group {{ $labels.group }} fail together: check what they share. Alerts of the "
            "single relays are inhibited.",
            dashboard=OVERVIEW_DASHBOARD,
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
            summary="Relay {{ $labels.relay }} has never been up" + templates.CAUSE,
            description="No message has been delivered over {{ $labels.relay }} since it is monitored. Check its "
            "settings; the alert becomes a page after 30 minutes.",
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
        increase = f"sum by ({LOCAL_RELAY}) (increase({failed}[{show_duration(timing.window(60.0))}])) > 0"
        return Alert(
            name="RelayPartialFailure",
            severity="critical",
            capped=True,
            expr=f"({increase}){own.joined('severity, owner, group')}",
            keep_firing_for=timing.keep(max([KEEP_FIRING, *cycles])),
            summary="Partial failure of {{ $labels.relay }}: a persistent pair fails while a new pair succeeds",
            description="Messages over a persistent connection to {{ $labels.relay }} were not delivered, and those "
            "of a new pair were. One node accepts messages and does not deliver them; its health endpoint may "
            "report success. The run's timeline shows where the message was last found.",
            dashboard=RELAY_DASHBOARD,
        )

    def probe_failing(self) -> Alert:
        """The warning about a probe that fails while its relay is up."""
        own = self.own
        failing = f"min by ({LOCAL_RELAY}, probe) ({own('relay_probe_up')}) == 0"
        return Alert(
            name="RelayProbeFailing",
            severity="warning",
            expr=own.owned(f"{failing} and on ({LOCAL_RELAY}) max by ({LOCAL_RELAY}) ({own('relay_up')}) == 1"),
            pending_for=self.timing.wait(PROBE_WAIT),
            summary="Probe {{ $labels.probe }} fails while {{ $labels.relay }} is up",
            description="The last two runs of probe {{ $labels.probe }} on {{ $labels.relay }} "
            "({{ $labels.location }}) failed; other messages are delivered.",
            dashboard=RELAY_DASHBOARD,
        )

    def failing_at_one_location(self) -> Iterator[Alert]:
        """The warnings about a verdict of one location that does not page."""
        own = self.own
        for about, vote, verdict, what in (
            ("location", UP_VOTE, DOWN, "is down"),
            ("accepting", ACCEPTING_VOTE, NOT_ACCEPTING, "does not accept new connections"),
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
                summary=f"{{{{ $labels.relay }}}} {what} at {{{{ $labels.location }}}}" + templates.CAUSE_HERE,
                description=f"{{{{ $labels.relay }}}} {what} as seen from {{{{ $labels.location }}}}, which "
                "alone does not page. Not affected:" + templates.locations(vote, 1) + ".",
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
            summary="Endpoint {{ $labels.endpoint }} of {{ $labels.relay }} fails while the relay is up",
            description="Endpoint {{ $labels.endpoint }} of {{ $labels.relay }} failed repeatedly within "
            f"{window}, as seen from {{{{ $labels.location }}}}; the relay delivers over its other endpoints.",
            dashboard=RELAY_DASHBOARD,
        )
