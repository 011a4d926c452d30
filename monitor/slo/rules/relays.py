"""Alerts about relays: is it down, is a node of it ill, is a probe failing, does a budget burn."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from monitor.burn_rate import MIN_FAILURES, burn_conditions
from monitor.config import show_duration
from monitor.config.traffic import rate, sources_of
from monitor.scenarios import PAIRED, SPECS
from monitor.slo.rules.probes import DETAIL, probe_alerts
from monitor.slo.rules.recorded import BY, EVENTS, bad, budgeted, objectives, ratio
from monitor.slo.rules.rule import Alert, any_of, unless_down
from monitor.vocabulary import Sli

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from monitor.burn_rate import BurnCondition
    from monitor.config import Config, ProbeConfig, SloConfig

SECOND_LOSS: Final = 900.0
"""Seconds within which a second loss pages, where the objective is 100 %."""

RECENT: Final = 300.0
"""Seconds within which a page asks for losses: it must not outlive the repair."""

FLAP: Final = 120.0
"""Seconds that a silent node's alert goes on after its last failure, at least: a pair shows it once a cycle."""

VOTERS: Final = "(relay_up{@} unless on (location, instance, job) relay_monitor_healthy == 0)"
"""What locations say of relays, but for monitors that do not trust themselves: theirs is frozen."""

SCRAPES: Final = 4
DAY: Final = 86_400.0
CERTIFICATE: Final = "relay_probe_certificate_expiry_timestamp_seconds"

EXPIRES: Final = {"warning": 14 * DAY, "critical": 3 * DAY}
"""Seconds that a certificate must still last."""


class Relays:
    """The alerts for the relays of one configuration."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._scrape = config.prometheus.scrape_interval
        self._several = len(config.locations) > 1

    def alerts(self) -> Iterator[Alert]:
        """All of them."""
        yield from self._down()
        yield from self._partial()
        yield from self._failing()
        yield from self._burning()
        yield from self._lost()
        yield from probe_alerts(self._config)
        yield from self._certificates()

    def _capped(self, alert: Alert, *, warned: bool = False) -> Iterator[Alert]:
        """A critical alert; for relays that are worth no page, the same as a warning.

        `warned`: there is a warning of the same labels, which holds whenever this does. Two alerts of all the same
        labels are one to Alertmanager, and an error to Prometheus, which records both.
        """
        for matcher, severity, _ in self._classes():
            if severity == "critical" or not warned:
                yield _where(alert, matcher, severity=severity)

    def _classes(self) -> list[tuple[str, str, list[str]]]:
        """The relays that page, and those that at most warn: the matcher that finds them, the severity, their names."""
        watched = {relay for probe in self._config.probes for relay in probe.relays}
        relays = [relay for relay in self._config.relays if relay.name in watched]
        low = [relay.name for relay in relays if relay.max_severity != "critical"]
        high = [relay.name for relay in relays if relay.name not in low]
        classes = [
            (f'relay!~"{any_of(low)}"' if low else "", "critical", high),
            (f'relay=~"{any_of(low)}"', "warning", low),
        ]
        return [each for each in classes if each[2]]

    def _quorum(self, condition: str, voters: str, by: str) -> str:
        """A condition that holds at most locations that have data; with one location, where that one says so."""
        if not self._several:
            return condition
        return f"count by ({by}) ({condition})\n> 0.5 * count by ({by}) ({voters})"

    def _down(self) -> Iterator[Alert]:
        yield from self._capped(
            Alert(
                name="RelayDown",
                severity="critical",
                expr=self._sees_down(),
                summary="No message crosses the relay.",
                description="Fresh attempts to pair and to send one message over {{ $labels.relay }} all failed; "
                "step and reason are on the dashboard and in relay_probe_failures_total.",
                panel=DETAIL,
            )
        )

    def _sees_down(self) -> str:
        voters = VOTERS if self._several else "relay_up{@}"
        return self._quorum(f"{voters} == 0", voters, "relay")

    def _partial(self) -> Iterator[Alert]:
        window = show_duration(max(60.0, SCRAPES * self._scrape))
        failed = 'relay_probe_confirmations_total{over="standing", outcome="failed"@}'
        yield from self._capped(
            Alert(
                name="RelayPartialFailure",
                severity="critical",
                expr=f"sum by (relay, location) (increase({failed}[{window}])) > 0",
                keep_firing=self._shown_again(),
                summary="A standing pair's messages fail while fresh ones cross: a node of the relay is silent.",
                description="At {{ $labels.relay }} two messages in a row failed over a connection that stood all the "
                "time, while a new pair's message crossed. A node accepts and delivers nothing; its health page may "
                "well be green. The run's timeline ends with where the message was found.",
                panel=DETAIL,
            )
        )

    def _shown_again(self) -> float:
        """Seconds from one failure of a pair at a silent node to where its next one is seen, at the slowest probe."""
        persistent = [
            probe for probe in self._config.probes if probe.is_continuous and SPECS[probe.scenario].exchanging
        ]
        return max([FLAP, *(probe.cycle + probe.timeout + 2 * self._scrape for probe in persistent)])

    def _failing(self) -> Iterator[Alert]:
        yield Alert(
            name="RelayProbeFailing",
            severity="warning",
            expr="relay_probe_up == 0 and on (relay, location) relay_up == 1",
            wait=60.0,
            summary="A probe fails while messages cross the relay.",
            description="Probe {{ $labels.probe }} at {{ $labels.relay }} ({{ $labels.location }}) failed twice in a "
            "row; others get through.",
            panel=DETAIL,
        )
        if self._several:
            alone = Alert(
                name="RelayProbeFailing",
                severity="warning",
                expr=f"{VOTERS} == 0\nunless on (relay) (\n{self._sees_down()}\n)",
                wait=60.0,
                labels={"about": "location"},
                summary="A location sees the relay down, and most others do not.",
                description="From {{ $labels.location }} no message crosses {{ $labels.relay }}, and from most other "
                "locations they do.",
                panel=DETAIL,
            )
            yield _where(alone, "")

    # Budgets.

    def _burning(self) -> Iterator[Alert]:
        for window in sorted({slo.window for slo in budgeted(self._config)}):
            paces = self._paces(window)
            for gap, probes in sorted(paces.items()):
                matcher = f', probe=~"{any_of(probe.name for probe in probes)}"' if len(paces) > 1 else ""
                yield from self._burning_at(window, gap, probes, matcher)

    def _paces(self, window: float) -> dict[float, list[ProbeConfig]]:
        """The probes of the SLOs of a window by the time between their runs; 0: often enough not to matter."""
        paces: dict[float, list[ProbeConfig]] = {}
        watching = {name for slo in budgeted(self._config) if slo.window == window for name in slo.probe}
        for probe in self._config.probes:
            if probe.name in watching:
                often = burn_conditions(window, self._scrape, pace(probe)) == burn_conditions(window, self._scrape)
                paces.setdefault(0.0 if often else pace(probe), []).append(probe)
        return paces

    def _burning_at(self, window: float, gap: float, probes: Sequence[ProbeConfig], theirs: str) -> Iterator[Alert]:
        """The alerts for the SLOs of a window as far as these probes go."""
        fed = {probe.name for probe in probes}
        slos = [slo for slo in budgeted(self._config) if slo.window == window and fed & set(slo.probe)]
        everywhere = [("", "warning", [relay.name for relay in self._config.relays])]
        spans = {"slo_window": window} | ({"longest_gap": gap} if gap else {})
        conditions = burn_conditions(window, self._scrape, gap)
        warned = {(burn.long_window, burn.short_window) for burn in conditions if burn.severity == "warning"}
        for burn in conditions:
            for matcher, severity, relays in self._classes() if burn.severity == "critical" else everywhere:
                if severity != burn.severity and (burn.long_window, burn.short_window) in warned:
                    continue  # the warning of these windows asks for less
                if spent := self._with_budget(slos, probes, relays):
                    names = any_of(dict.fromkeys(slo.name for slo, _ in spent))
                    made = self._burn(burn, f'slo=~"{names}"{theirs}', _unless_fresh(burn, spent), spans)
                    yield _where(made, matcher, severity=severity)

    def _with_budget(
        self, slos: Sequence[SloConfig], probes: Sequence[ProbeConfig], relays: Sequence[str]
    ) -> list[tuple[SloConfig, ProbeConfig]]:
        """Which of them allow a failure of which probe at any of some relays: nothing else could burn."""
        return [
            (slo, probe)
            for slo in slos
            for probe in probes
            if probe.name in slo.probe
            and any(0 < each < 1 for each in objectives(self._config, slo, set(relays) & set(probe.relays)))
        ]

    def _burn(self, burn: BurnCondition, slos: str, unless: str, spans: Mapping[str, float]) -> Alert:
        spans = {**spans, "long_window": burn.long_window, "short_window": burn.short_window}
        limit = f"{burn.factor:f} * (slo:error_budget:ratio{{{slos}@}} > 0)"
        short = f"{ratio(burn.short_window)}{{{slos}@}}"
        if burn.recent_window > burn.short_window:
            short = f"last_over_time({short}[{show_duration(burn.recent_window)}])"
        condition = "\nand\n".join(
            (
                f"{ratio(burn.long_window)}{{{slos}@}} > {limit}",
                f"{short} > {limit}",
                f"{bad(burn.count_window or burn.long_window, f', {slos}@')} > {MIN_FAILURES - 0.5:g}{unless}",
            )
        )
        if burn.severity == "critical":
            # Who has no events votes for nothing: a monitor that is gone, or that does not trust itself.
            condition = self._quorum(condition, short, "slo, relay, probe")
            condition += self._lately(burn.recent_window, slos) + unless_down(
                burn.recent_window + min(RECENT, burn.recent_window)
            )
        return Alert(
            name="RelayErrorBudgetBurn",
            severity=burn.severity,
            expr=condition,
            keep_firing=burn.keep_firing_for,
            labels={name: show_duration(seconds) for name, seconds in spans.items()},
            summary="An SLO's error budget burns too fast.",
            description="SLO {{ $labels.slo }} of {{ $labels.relay }} (probe {{ $labels.probe }}): the budget burns "
            f"more than {burn.factor:f} times too fast over {show_duration(burn.long_window)} and "
            f"{show_duration(burn.short_window)}.",
            panel=DETAIL,
        )

    def _lately(self, window: float, slos: str) -> str:
        """And something failed within a window, wherever: locations try at different times, so not in each at once."""
        by = "slo, relay, probe" if self._several else BY
        return f"\nand\n{bad(window, f', {slos}@', by)} > 0"

    def _lost(self) -> Iterator[Alert]:
        everywhere = [relay.name for relay in self._config.relays]
        strict = [slo for slo in budgeted(self._config) if 1 in objectives(self._config, slo, everywhere)]
        if strict:
            yield _where(self._loss(any_of(slo.name for slo in strict)), "")
        # Whoever asks for 100 % of something else means each of its events, and there is no message to ask for.
        sending = [slo for slo in strict if slo.sli is Sli.AVAILABILITY and self._senders([slo])]
        others = [slo for slo in strict if slo not in sending]
        for matcher, severity, relays in self._classes():
            if severity != "critical":
                continue  # where no page is worth it, the warning says it already
            for slos, labels in ((sending, {}), (others, {"about": "events"})):
                if found := [slo for slo in slos if 1 in objectives(self._config, slo, relays)]:
                    yield _where(
                        self._loss_again(found, self._senders(slos) if slos is sending else [], labels), matcher
                    )

    def _senders(self, slos: Sequence[SloConfig]) -> list[str]:
        """The probes of some SLOs that send messages."""
        fed = {name for slo in slos for name in slo.probe}
        return [probe.name for probe in self._config.probes if probe.name in fed and probe.scenario in PAIRED]

    def _loss(self, names: str) -> Alert:
        slos = f'slo=~"{names}"'
        return Alert(
            name="RelayMessagesLost",
            severity="warning",
            expr=f"{bad(SECOND_LOSS, f', {slos}@')} > 0.5\nand\n(slo:error_budget:ratio{{{slos}@}} == 0)",
            summary="An SLO that allows no failure has one.",
            description="SLO {{ $labels.slo }} of {{ $labels.relay }} allows none: probe {{ $labels.probe }} has "
            '{{ $value | printf "%.0f" }} within a quarter of an hour. At step recover a message was lost, and the '
            "run's timeline ends with where it was found; at an earlier step none could be sent.",
            panel=DETAIL,
        )

    def _loss_again(self, strict: Sequence[SloConfig], senders: Sequence[str], labels: Mapping[str, str]) -> Alert:
        """The page: a second failure and, of probes that send messages, a second message that is gone."""
        slos = f'slo=~"{any_of(slo.name for slo in strict)}"'
        condition = f"{bad(SECOND_LOSS, f', {slos}@')} > 1.5\nand\n(slo:error_budget:ratio{{{slos}@}} == 0)"
        if senders:
            # A connection that is refused loses nothing; and what is late is not lost.
            about = f'probe=~"{any_of(senders)}", verdict!~"delivered|late"'
            gone = f"increase(relay_probe_messages_total{{{about}}}[{show_duration(SECOND_LOSS)}])"
            condition += f"\nunless on (relay, probe, location)\nsum by (relay, probe, location) ({gone}) < 1.5"
        voters = f"sum by ({BY}) (increase({EVENTS}{{{slos}@}}[{show_duration(SECOND_LOSS)}])) > 0"
        condition = self._quorum(condition, voters, "slo, relay, probe")
        condition += self._lately(self._recent_loss(strict), slos) + unless_down(SECOND_LOSS)
        many = "failed again" if self._several else 'has {{ $value | printf "%.0f" }}'
        where = " at most locations" if self._several else ""
        return Alert(
            name="RelayMessagesLost",
            severity="critical",
            expr=condition,
            labels=labels,
            summary="An SLO that allows no failure has another.",
            description="SLO {{ $labels.slo }} of {{ $labels.relay }} allows no failure: probe {{ $labels.probe }} "
            f"{many} within a quarter of an hour{where}. The run's timeline has the step and, of a message that was "
            "lost, where it was found.",
            panel=DETAIL,
        )

    def _recent_loss(self, strict: Sequence[SloConfig]) -> float:
        """Seconds within which the last loss must be: what the slowest that can lose two takes to try again."""
        fed = {name for slo in strict for name in slo.probe}
        paces = [pace(probe) for probe in self._config.probes if probe.name in fed]
        slowest = max((each for each in paces if RECENT < each <= SECOND_LOSS / 2), default=0.0)
        return max(RECENT, SCRAPES * self._scrape, slowest + 2 * self._scrape if slowest else 0.0)

    def _certificates(self) -> Iterator[Alert]:
        seen = f"min_over_time({CERTIFICATE}{{@}}[{show_duration(lately(self._config))}])"
        left = f"min by (relay, location) ({seen} - time())"
        expiring = partial(
            Alert,
            name="RelayCertificateExpiring",
            panel=DETAIL,
            summary="The relay's certificate expires soon.",
            description="The certificate of {{ $labels.relay }} expires in {{ $value | humanizeDuration }}.",
            wait=300.0,
        )
        yield _where(expiring(severity="warning", expr=f"{left} < {EXPIRES['warning']:.0f}"), "")
        critical = expiring(severity="critical", expr=f"{left} < {EXPIRES['critical']:.0f}")
        yield from self._capped(critical, warned=True)


def lately(config: Config) -> float:
    """Seconds in which handshakes meet every node: each meets another, and one may have kept its old certificate."""
    return max([1800.0, *(probe.max_age for probe in config.probes if probe.is_continuous)])


def pace(probe: ProbeConfig) -> float:
    """The longest time between two runs of a probe, in seconds, while it runs.

    The nights of a cron line are no such time: nobody tries, and a page about the evening may end.
    """
    return min(probe.longest_gap, probe.shortest_span(MIN_FAILURES))


def _unless_fresh(burn: BurnCondition, spent: Sequence[tuple[SloConfig, ProbeConfig]]) -> str:
    """But not for a blip of the first hours: seconds are many, and a few of them are soon a large part of all."""
    by_rate: dict[float, tuple[dict[str, None], dict[str, None]]] = {}
    for slo, probe in spent:
        if slo.sli is Sli.STABILITY and probe.is_continuous:
            slos, probes = by_rate.setdefault(rate(sources_of(probe, Sli.STABILITY)), ({}, {}))
            slos[slo.name] = probes[probe.name] = None
    parts = []
    for seconds, (slos, probes) in sorted(by_rate.items()):
        where = f'slo=~"{any_of(slos)}", probe=~"{any_of(probes)}"@'
        blip = f"{burn.half_window_failures(seconds):g} * slo:error_budget:ratio{{{where}}}"
        parts.append(f"\nunless\n{bad(burn.long_window, f', {where}')} <= {blip}")
    return "".join(parts)


def _where(alert: Alert, matcher: str, *, severity: str | None = None) -> Alert:
    """An alert whose every selector also matches `matcher`; `@` marks where it goes."""
    expr = alert.expr.replace("{@}", f"{{{matcher}}}" if matcher else "").replace(
        "@", f", {matcher}" if matcher else ""
    )
    return Alert(
        name=alert.name,
        severity=severity or alert.severity,
        expr=expr,
        summary=alert.summary,
        description=alert.description,
        panel=alert.panel,
        wait=alert.wait,
        keep_firing=alert.keep_firing,
        labels=alert.labels,
    )


__all__ = ["BY", "EVENTS", "Relays"]
