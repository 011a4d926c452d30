"""SLOs with an objective of 100 %: a first failure warns, a second one soon after it pages.

Of SLOs that count exchanges, failures with lost messages are `RelayMessagesLost`. Other failures are
`RelayErrorBudgetBurn` with `about="no budget"`: a refused or dropped connection and a slow round trip lose no message.
A second refused exchange does not page: a relay that refuses connections has alerts of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.burn_rate import MIN_SCRAPES
from monitor.config import show_duration
from monitor.config.traffic import rate, sources_of
from monitor.scenarios import PAIRED
from monitor.slo.rules import templates
from monitor.slo.rules.explained import BAD, unexplained
from monitor.slo.rules.paging import RECENT_WINDOW, event_gap
from monitor.slo.rules.recorded import BUDGET_LABELS, EVENTS, bad_events, budgeted, objectives
from monitor.slo.rules.rule import RELAY_DASHBOARD, Alert, any_of
from monitor.vocabulary import Sli

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.config import Config, SloConfig
    from monitor.slo.rules.paging import Paging

LOSS_WINDOW: Final = 900.0
"""Seconds within which a second failure pages."""

SENDER: Final = "install, location, relay, probe"
"""The labels of the messages of one probe."""

_DIAGNOSIS: Final = (
    "\nThe page of the failed run says who lost it: the relay, the broker (not_stored), or the node of the receiver "
    "(stored_not_pushed)."
)

RECONNECT: Final = 5.0
"""Seconds that a persistent connection may be away once, such as after a deploy, before stability has failed."""


def allowed_events(config: Config, slo: SloConfig) -> float:
    """Return the bad events that are no failure yet: the seconds of one reconnect of every persistent connection."""
    if slo.sli is not Sli.STABILITY:
        return 0.0
    named = (probe for probe in config.probes if probe.name in slo.probe)
    return RECONNECT * max((rate(sources_of(probe, Sli.STABILITY)) for probe in named), default=0.0)


class MessageLossAlerts:
    """The alerts of one configuration about SLOs without an error budget."""

    def __init__(self, config: Config, paging: Paging) -> None:
        self._config, self._paging, self._own = config, paging, paging.own
        self._window = max(LOSS_WINDOW, MIN_SCRAPES * config.prometheus.step)

    def alerts(self) -> Iterator[Alert]:
        """Yield the warnings, and the pages of the relays that may page."""
        all_relays = [relay.name for relay in self._config.relays]
        strict = [slo for slo in budgeted(self._config) if 1 in objectives(self._config, slo, all_relays)]
        counts_messages = [slo for slo in strict if slo.sli is Sli.AVAILABILITY and self._senders([slo])]
        if counts_messages:
            yield self._first_loss(counts_messages)
            yield self._second_failure(counts_messages, 0.0, messages=True)
        by_limit: dict[float, list[SloConfig]] = {}
        for slo in strict:
            by_limit.setdefault(allowed_events(self._config, slo), []).append(slo)
        for allowed, slos in sorted(by_limit.items()):
            yield self._first_failure(slos, allowed, [slo for slo in slos if slo in counts_messages])
            if others := [slo for slo in slos if slo not in counts_messages]:
                yield self._second_failure(others, allowed, messages=False)

    def _senders(self, slos: Sequence[SloConfig]) -> list[str]:
        """The probes of these SLOs that send messages."""
        names = {name for slo in slos for name in slo.probe}
        return [probe.name for probe in self._config.probes if probe.name in names and probe.scenario in PAIRED]

    def _matcher(self, slos: Sequence[SloConfig]) -> str:
        return f'slo=~"{any_of(slo.name for slo in slos)}"'

    def _no_budget(self, matcher: str) -> str:
        return f"({self._own('slo:error_budget:ratio', matcher)} == 0)"

    def _lost(self, slos: Sequence[SloConfig]) -> str:
        """The messages that these SLOs' probes lost. One that is late, or that the relay still stores, is not lost."""
        lost = f'probe=~"{any_of(self._senders(slos))}", verdict!~"delivered|late|unrecovered"'
        increase = f"increase({self._own('relay_probe_messages_total', lost)}[{show_duration(self._window)}])"
        return f"sum by ({SENDER}) ({increase})"

    def _failed_and_lost(self, slos: Sequence[SloConfig]) -> str:
        """The failures of SLOs whose probe lost a message."""
        return (
            f"{bad_events(self._own, self._window, self._matcher(slos))} > 0.5\nand on ({SENDER})\n"
            f"{self._lost(slos)} > 0.5"
        )

    def _first_loss(self, slos: Sequence[SloConfig]) -> Alert:
        window = show_duration(self._window)
        return Alert(
            name="RelayMessagesLost",
            severity="warning",
            expr=self._own.owned(f"{self._failed_and_lost(slos)}\nand\n{self._no_budget(self._matcher(slos))}"),
            summary="Message lost on {{ $labels.relay }} (100 % objective)" + self._cause(templates.HERE),
            description=self._began(templates.HERE)
            + f"SLO {{{{ $labels.slo }}}}, probe {{{{ $labels.probe }}}}; failed exchanges within {window}: "
            '{{ $value | printf "%.0f" }}.'
            + self._verdicts(templates.HERE)
            + templates.condition()
            + templates.layer(self._failures(templates.HERE))
            + _DIAGNOSIS,
            dashboard=RELAY_DASHBOARD,
        )

    def _first_failure(self, slos: Sequence[SloConfig], allowed: float, messages: Sequence[SloConfig]) -> Alert:
        """The warning of a failure that lost no message; `messages` are those of `slos` that can lose some."""
        matcher, window = self._matcher(slos), show_duration(self._window)
        failed = f"{bad_events(self._own, self._window, matcher)} > {allowed + 0.5:g}"
        if messages:
            failed += f"\nunless (\n{self._failed_and_lost(messages)}\n)"
        return Alert(
            name="RelayErrorBudgetBurn",
            severity="warning",
            expr=self._own.owned(f"{failed}\nand\n{self._no_budget(matcher)}"),
            labels=_no_budget_labels(allowed),
            summary="Failure of {{ $labels.slo }} on {{ $labels.relay }} (100 % objective)"
            + self._cause(templates.HERE),
            description=self._began(templates.HERE)
            + f"No message was lost. Probe {{{{ $labels.probe }}}}; bad events within {window}: "
            '{{ $value | printf "%.0f" }}.'
            + templates.condition()
            + templates.layer(self._failures(templates.HERE))
            + "\nThe page of the failed run, on the on-call page, shows the step.",
            dashboard=RELAY_DASHBOARD,
        )

    def _second_failure(self, slos: Sequence[SloConfig], allowed: float, *, messages: bool) -> Alert:
        """The page: a second failure and, for probes that send messages, a second lost message.

        Of a relay with max_severity warning the first warning covers it.
        """
        own, matcher, window = self._own, self._matcher(slos), show_duration(self._window)
        expr = f"{unexplained(own, self._window, matcher)} > {2 * allowed + 1.5:g}\nand\n{self._no_budget(matcher)}"
        if messages:
            expr += f"\nunless on ({SENDER})\n{self._lost(slos)} < 1.5"
        voters = f"sum by ({BUDGET_LABELS}) (increase({own(EVENTS, matcher)}[{window}])) > 0"
        expr = self._paging.quorum(expr, voters) + self._paging.recent_failure(self._recent_window(slos), matcher)
        may_page = own.joined("owner, group", 'severity="critical"')
        where = templates.OF_RELAY if self._paging.several_locations else templates.HERE
        return Alert(
            name="RelayMessagesLost" if messages else "RelayErrorBudgetBurn",
            severity="critical",
            expr=f"({expr}){may_page}",
            labels={} if messages else _no_budget_labels(allowed),
            summary=("Repeated message loss" if messages else "Repeated failures of {{ $labels.slo }}")
            + " on {{ $labels.relay }} (100 % objective)"
            + self._cause(where),
            description=self._began(where)
            + f"SLO {{{{ $labels.slo }}}}, probe {{{{ $labels.probe }}}}: more than one failure within {window}."
            + (self._verdicts(where) if messages else "")
            + templates.condition()
            + templates.layer(self._failures(where))
            + (_DIAGNOSIS if messages else "\nThe page of the failed run, on the on-call page, shows the step."),
            dashboard=RELAY_DASHBOARD,
        )

    def _failures(self, where: str) -> str:
        return templates.failures(show_duration(self._window), f"{where}, probe=$probe")

    def _cause(self, where: str) -> str:
        return templates.cause(self._failures(where))

    def _began(self, where: str) -> str:
        """The sentence that says when the first failure was counted."""
        bad = f"min by (slo) (timestamp({BAD.delta}{{{where}, probe=$probe, slo=$slo}} > 0))"
        step = show_duration(self._config.prometheus.evaluation_interval)
        first = f"min_over_time({bad}[{show_duration(self._window)}:{step}])"
        return templates.at_time(first, "First failure at ")

    def _verdicts(self, where: str) -> str:
        """The line that says what became of the messages, and where this was seen."""
        window = show_duration(self._window)
        lost = f'relay_probe_messages_total{{{where}, probe=$probe, verdict!~"delivered|late"}}'
        increase = f"increase({lost}[{window}])"
        counts = templates.rows(
            f"sum by (verdict) ({increase}) > 0.5",
            "verdict",
            '{{ $each.Value | printf "%.0f" }} {{ $each.Labels.verdict }}',
            "none now",
        )
        seen = templates.each(f"sum by (location) ({increase}) > 0.5", "location", "no location now")
        return f"\nHow sure: messages within {window}: {counts}; seen from {seen}."

    def _recent_window(self, slos: Sequence[SloConfig]) -> float:
        """Seconds within which the page requires a failure: the slowest probe that can fail twice runs once in it."""
        scrape = self._config.prometheus.step
        names = {name for slo in slos for name in slo.probe}
        gaps = [event_gap(probe) for probe in self._config.probes if probe.name in names]
        slowest = max((gap for gap in gaps if RECENT_WINDOW < gap <= self._window / 2), default=0.0)
        return max(RECENT_WINDOW, MIN_SCRAPES * scrape, slowest + 2 * scrape if slowest else 0.0)


def _no_budget_labels(allowed: float) -> dict[str, str]:
    return {"about": "no budget"} | ({"allowed": f"{allowed:g}s"} if allowed else {})
