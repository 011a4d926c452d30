"""Alerts about relays: is it down, is a node of it ill, is a probe failing, does a budget burn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.burn import ENOUGH, burns
from monitor.catalogue import Sli
from monitor.config import show_duration
from monitor.slo.rules.recorded import BY, EVENTS, bad, budgeted, objectives, ratio
from monitor.slo.rules.rule import Alert, any_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.burn import Burn
    from monitor.config import Config, SloConfig

DETAIL: Final = "relay-monitor-relay?var-relay={{ $labels.relay }}"
SECOND_LOSS: Final = 900.0
"""Seconds within which a second loss pages, where the objective is 100 %."""

RECENT: Final = 300.0
"""Seconds within which a page asks for losses: it must not outlive the repair."""

FLAP: Final = 120.0
"""Seconds that a silent node's alert goes on after its last failure: a pair shows it once a cycle."""

TREND_EVENTS: Final = 100
"""Round trips that a P99 needs."""

TREND_WAIT: Final = 600.0
"""Seconds for which they must have been slower."""

SCRAPES: Final = 4
DAY: Final = 86_400.0
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
        yield from self._trend()
        yield from self._unstable()
        yield from self._limited()
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
                expr=self._quorum("relay_up{@} == 0", "relay_up{@}", "relay"),
                summary="No message crosses the relay.",
                description="Fresh attempts to pair and to send one message over {{ $labels.relay }} all failed; "
                "step and reason are on the dashboard and in relay_probe_failures_total.",
                panel=DETAIL,
            )
        )

    def _partial(self) -> Iterator[Alert]:
        window = show_duration(max(60.0, SCRAPES * self._scrape))
        failed = 'relay_probe_confirmations_total{over="standing", outcome="failed"@}'
        yield from self._capped(
            Alert(
                name="RelayPartialFailure",
                severity="critical",
                expr=f"sum by (relay, location) (increase({failed}[{window}])) > 0",
                keep_firing=FLAP,
                summary="A standing pair's messages fail while fresh ones cross: a node of the relay is silent.",
                description="At {{ $labels.relay }} two messages in a row failed over a connection that stood all the "
                "time, while a new pair's message crossed. A node accepts and delivers nothing; its health page may "
                "well be green. The run's timeline ends with where the message was found.",
                panel=DETAIL,
            )
        )

    def _failing(self) -> Iterator[Alert]:
        failing = "relay_probe_up == 0 and on (relay, location) relay_up == 1"
        if self._several:
            alone = "relay_up == 0 unless on (relay) (\n" + self._quorum("relay_up == 0", "relay_up", "relay") + "\n)"
            failing = f"({failing})\nor\n({alone})"
        yield Alert(
            name="RelayProbeFailing",
            severity="warning",
            expr=failing,
            wait=60.0,
            summary="A probe fails while messages cross the relay, or one location alone sees it down.",
            description="Probe {{ $labels.probe }} at {{ $labels.relay }} ({{ $labels.location }}) failed twice in a "
            "row; others get through.",
            panel=DETAIL,
        )

    # Budgets.

    def _burning(self) -> Iterator[Alert]:
        everywhere = [("", "warning", [relay.name for relay in self._config.relays])]
        for window in sorted({slo.window for slo in budgeted(self._config)}):
            slos = [slo for slo in budgeted(self._config) if slo.window == window]
            conditions = burns(window, self._scrape)
            warned = {(burn.long, burn.short) for burn in conditions if burn.severity == "warning"}
            for burn in conditions:
                for matcher, severity, relays in self._classes() if burn.severity == "critical" else everywhere:
                    if severity != burn.severity and (burn.long, burn.short) in warned:
                        continue  # the warning of these windows asks for less
                    if names := self._with_budget(slos, relays):
                        yield _where(self._burn(burn, names, window), matcher, severity=severity)

    def _with_budget(self, slos: Sequence[SloConfig], relays: Sequence[str]) -> str:
        """Those that allow a failure at any of some relays: the others have nothing that could burn."""
        return any_of(slo.name for slo in slos if any(0 < each < 1 for each in objectives(self._config, slo, relays)))

    def _burn(self, burn: Burn, names: str, window: float) -> Alert:
        spans = {"slo_window": window, "long_window": burn.long, "short_window": burn.short}
        slos = f'slo=~"{names}"'
        limit = f"{burn.factor:f} * (slo:error_budget:ratio{{{slos}@}} > 0)"
        parts = [
            f"{ratio(burn.long)}{{{slos}@}} > {limit}",
            f"{ratio(burn.short)}{{{slos}@}} > {limit}",
            f"{bad(burn.long, ', ' + slos + '@')} > {ENOUGH - 0.5:g}",
        ]
        critical = burn.severity == "critical"
        if critical:
            parts.append(f"{bad(burn.recent, ', ' + slos + '@')} > 0")
        condition = "\nand\n".join(parts)
        if critical:
            condition += _unless_down(2 * burn.recent)
            condition = self._quorum(condition, f"slo:error_budget:ratio{{{slos}@}}", "slo, relay, probe")
        return Alert(
            name="RelayErrorBudgetBurn",
            severity=burn.severity,
            expr=condition,
            keep_firing=burn.keep_firing,
            labels={name: show_duration(seconds) for name, seconds in spans.items()},
            summary="An SLO's error budget burns too fast.",
            description="SLO {{ $labels.slo }} of {{ $labels.relay }} (probe {{ $labels.probe }}): the budget burns "
            f"more than {burn.factor:f} times too fast over {show_duration(burn.long)} and "
            f"{show_duration(burn.short)}.",
            panel=DETAIL,
        )

    def _lost(self) -> Iterator[Alert]:
        if names := self._without_budget([relay.name for relay in self._config.relays]):
            yield _where(self._loss(names, "warning"), "")
        for matcher, severity, relays in self._classes():
            # Where no page is worth it, the warning says it already.
            if severity == "critical" and (names := self._without_budget(relays)):
                yield _where(self._loss(names, severity), matcher)

    def _without_budget(self, relays: Sequence[str]) -> str:
        return any_of(slo.name for slo in budgeted(self._config) if 1 in objectives(self._config, slo, relays))

    def _loss(self, names: str, severity: str) -> Alert:
        slos = f', slo=~"{names}"'
        lost = bad(SECOND_LOSS, slos + "@")
        zero = f'(slo:error_budget:ratio{{slo=~"{names}"@}} == 0)'
        condition = f"{lost} > 0.5\nand\n{zero}"
        if severity == "critical":
            recent = bad(max(RECENT, SCRAPES * self._scrape), slos + "@")
            condition = f"{lost} > 1.5\nand\n{recent} > 0\nand\n{zero}" + _unless_down(SECOND_LOSS)
        return Alert(
            name="RelayMessagesLost",
            severity=severity,
            expr=condition,
            summary="An SLO that allows no failure has one.",
            description="SLO {{ $labels.slo }} of {{ $labels.relay }} allows none: probe {{ $labels.probe }} has "
            '{{ $value | printf "%.0f" }} within a quarter of an hour. At step recover a message was lost, and the '
            "run's timeline ends with where it was found; at an earlier step none could be sent.",
            panel=DETAIL,
        )

    def _trend(self) -> Iterator[Alert]:
        for slo in self._config.slos:
            if slo.sli is not Sli.TREND or slo.factor is None:
                continue
            by = "le, relay, probe, location"
            buckets = f'relay_probe_round_trip_seconds_bucket{{probe=~"{any_of(slo.probe)}"}}'
            counted = f'relay_probe_round_trip_seconds_count{{probe=~"{any_of(slo.probe)}"}}'
            before = show_duration(slo.window)
            yield Alert(
                name="RelayLatencyTrend",
                severity="warning",
                expr=f"histogram_quantile(0.99, sum by ({by}) (rate({buckets}[1h])))\n"
                f"> {slo.factor:g} * histogram_quantile(0.99, sum by ({by}) (rate({buckets}[{before}] offset 1h)))\n"
                f"and\nsum by (relay, probe, location) (increase({counted}[1h])) > {TREND_EVENTS}\n"
                f"and\nsum by (relay, probe, location) (increase({counted}[{before}] offset 1h)) > {TREND_EVENTS}",
                wait=TREND_WAIT,
                labels={"slo": slo.name},
                summary="Round trips have become slower than they were.",
                description="P99 of the last hour at {{ $labels.relay }} (probe {{ $labels.probe }}) is more than "
                f"{slo.factor:g} times that of the {before} before; now {{{{ $value | humanizeDuration }}}}.",
                panel=DETAIL,
            )

    # The rest.

    def _unstable(self) -> Iterator[Alert]:
        if not any(probe.is_continuous for probe in self._config.probes):
            return  # nothing stands
        by = "relay, probe, location"
        away = f'sum by ({by}) (increase(relay_probe_pair_seconds_total{{state="disconnected"}}[15m]))'
        every = f"sum by ({by}) (increase(relay_probe_pair_seconds_total[15m]))"
        drops = f'sum by ({by}) (increase(relay_probe_disconnects_total{{code!~"3001|2500"}}[15m]))'
        yield Alert(
            name="RelayPairsUnstable",
            severity="warning",
            expr=f"{away}\n/ ({every} > 0) > 0.01\nand\n{drops} > {ENOUGH - 0.5:g}",
            keep_firing=300.0,
            summary="Standing connections drop again and again.",
            description="Standing connections of probe {{ $labels.probe }} at {{ $labels.relay }} were away "
            "{{ $value | humanizePercentage }} of a quarter of an hour; shutdowns and lost positions not counted.",
            panel=DETAIL,
        )

    def _limited(self) -> Iterator[Alert]:
        limited = 'relay_probe_failures_total{reason="rate_limited"}'
        yield Alert(
            name="RelayProbeRateLimited",
            severity="warning",
            expr=f"sum by (relay, probe, location) (increase({limited}[15m])) > 0.5",
            summary="The relay asks the monitor for less.",
            description="{{ $labels.relay }} rate-limits probe {{ $labels.probe }}; nothing is confirmed meanwhile.",
            panel=DETAIL,
        )

    def _certificates(self) -> Iterator[Alert]:
        left = "min by (relay, location) (relay_probe_certificate_expiry_timestamp_seconds{@} - time())"
        common = {
            "name": "RelayCertificateExpiring",
            "panel": DETAIL,
            "summary": "The relay's certificate expires soon.",
            "description": "The certificate of {{ $labels.relay }} expires in {{ $value | humanizeDuration }}.",
        }
        warning = Alert(severity="warning", expr=f"{left} < {EXPIRES['warning']:.0f}", wait=300.0, **common)  # type: ignore[arg-type]
        yield _where(warning, "")
        critical = Alert(severity="critical", expr=f"{left} < {EXPIRES['critical']:.0f}", wait=300.0, **common)  # type: ignore[arg-type]
        yield from self._capped(critical, warned=True)


def _unless_down(window: float) -> str:
    """No page about what an outage left behind: `RelayDown` has paged for it, and the repair must not page again.

    Asked of the alert and not of `relay_up`: a relay that is away too briefly to page must not silence the others.
    """
    paged = 'ALERTS{alertname="RelayDown", alertstate="firing"}'
    return f"\nunless on (relay)\nmax_over_time({paged}[{show_duration(window)}]) > 0"


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
