"""`RelayMessagesLost`: SLOs with an objective of 100 %. A first failure warns, a second one soon after it pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.burn_rate import MIN_SCRAPES
from monitor.config import show_duration
from monitor.scenarios import PAIRED
from monitor.slo.rules.paging import RECENT_WINDOW, event_gap, unless_down, with_matcher
from monitor.slo.rules.recorded import BUDGET_LABELS, EVENTS, bad_events, budgeted, objectives
from monitor.slo.rules.rule import RELAY_DASHBOARD, Alert, any_of
from monitor.vocabulary import Sli

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from monitor.config import Config, SloConfig
    from monitor.slo.rules.paging import Paging

LOSS_WINDOW: Final = 900.0
"""Seconds within which a second failure pages."""


class MessageLossAlerts:
    """The alerts of one configuration about SLOs without an error budget."""

    def __init__(self, config: Config, paging: Paging) -> None:
        self._config, self._paging = config, paging

    def alerts(self) -> Iterator[Alert]:
        """Yield the warning, and the pages of the relays that may page."""
        all_relays = [relay.name for relay in self._config.relays]
        strict = [slo for slo in budgeted(self._config) if 1 in objectives(self._config, slo, all_relays)]
        if strict:
            yield with_matcher(_first_failure(strict), "")
        # The page requires lost messages, where the events of an SLO are exchanges; other events have no message.
        sending = [slo for slo in strict if slo.sli is Sli.AVAILABILITY and self._senders([slo])]
        others = [slo for slo in strict if slo not in sending]
        for relays in self._paging.classes:
            if relays.severity != "critical":
                continue  # the warning covers them
            for slos, senders, labels in (
                (sending, self._senders(sending), {}),
                (others, [], {"about": "events"}),
            ):
                if found := [slo for slo in slos if 1 in objectives(self._config, slo, relays.relays)]:
                    yield with_matcher(self._second_failure(found, senders, labels), relays.matcher)

    def _senders(self, slos: Sequence[SloConfig]) -> list[str]:
        """The probes of these SLOs that send messages."""
        names = {name for slo in slos for name in slo.probe}
        return [probe.name for probe in self._config.probes if probe.name in names and probe.scenario in PAIRED]

    def _second_failure(self, slos: Sequence[SloConfig], senders: Sequence[str], labels: Mapping[str, str]) -> Alert:
        """The page: a second failure and, for probes that send messages, a second lost message."""
        matcher = f'slo=~"{any_of(slo.name for slo in slos)}"'
        window = show_duration(LOSS_WINDOW)
        expr = f"{bad_events(LOSS_WINDOW, f', {matcher}@')} > 1.5\nand\n(slo:error_budget:ratio{{{matcher}@}} == 0)"
        if senders:
            # A refused connection loses no message, and a late message is not lost.
            lost = f'probe=~"{any_of(senders)}", verdict!~"delivered|late"'
            increase = f"increase(relay_probe_messages_total{{{lost}}}[{window}])"
            expr += f"\nunless on (relay, probe, location)\nsum by (relay, probe, location) ({increase}) < 1.5"
        voters = f"sum by ({BUDGET_LABELS}) (increase({EVENTS}{{{matcher}@}}[{window}])) > 0"
        expr = self._paging.quorum(expr, voters, "slo, relay, probe")
        expr += self._paging.recent_failure(self._recent_window(slos), matcher) + unless_down(LOSS_WINDOW)
        failures = f'Failures of probe {{{{ $labels.probe }}}} within {window}: {{{{ $value | printf "%.0f" }}}}.'
        if self._paging.several_locations:
            failures = f"Probe {{{{ $labels.probe }}}} failed more than once within {window} at most locations."
        return Alert(
            name="RelayMessagesLost",
            severity="critical",
            expr=expr,
            labels=labels,
            summary="Repeated message loss on {{ $labels.relay }} (100 % objective)"
            if senders
            else "Repeated failures on {{ $labels.relay }} (100 % objective)",
            description="SLO {{ $labels.slo }} of {{ $labels.relay }} has an objective of 100 %. "
            f"{failures} The run's timeline shows the step and, of a lost message, where it was last found.",
            dashboard=RELAY_DASHBOARD,
        )

    def _recent_window(self, slos: Sequence[SloConfig]) -> float:
        """Seconds within which the page requires a failure: the slowest probe that can fail twice runs once in it."""
        scrape = self._config.prometheus.scrape_interval
        names = {name for slo in slos for name in slo.probe}
        gaps = [event_gap(probe) for probe in self._config.probes if probe.name in names]
        slowest = max((gap for gap in gaps if RECENT_WINDOW < gap <= LOSS_WINDOW / 2), default=0.0)
        return max(RECENT_WINDOW, MIN_SCRAPES * scrape, slowest + 2 * scrape if slowest else 0.0)


def _first_failure(slos: Sequence[SloConfig]) -> Alert:
    matcher = f'slo=~"{any_of(slo.name for slo in slos)}"'
    return Alert(
        name="RelayMessagesLost",
        severity="warning",
        expr=f"{bad_events(LOSS_WINDOW, f', {matcher}@')} > 0.5\nand\n(slo:error_budget:ratio{{{matcher}@}} == 0)",
        summary="Message lost on {{ $labels.relay }} (100 % objective)",
        description="SLO {{ $labels.slo }} of {{ $labels.relay }} has an objective of 100 %. Failures of probe "
        f'{{{{ $labels.probe }}}} within {show_duration(LOSS_WINDOW)}: {{{{ $value | printf "%.0f" }}}}. '
        "At step recover a message was lost, and the run's timeline shows where it was last found; at an earlier step "
        "no message was sent.",
        dashboard=RELAY_DASHBOARD,
    )
