"""Alerts about relays: is it down, is a node of it ill, is a probe failing, does a budget burn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.burn import ENOUGH, burns
from monitor.catalogue import Sli
from monitor.config import show_duration
from monitor.slo.rules.recorded import BY, EVENTS, bad, budgeted, ratio
from monitor.slo.rules.rule import Alert

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.burn import Burn
    from monitor.config import Config

DETAIL: Final = "relay-monitor-relay?var-relay={{ $labels.relay }}"
SECOND_LOSS: Final = 900.0
"""Seconds within which a second loss pages, where the objective is 100 %."""

RECENT: Final = 300.0
"""Seconds within which a page asks for losses: it must not outlive the repair."""

FLAP: Final = 120.0
"""Seconds that a silent node's alert goes on after its last failure: a pair shows it once a cycle."""

TREND_EVENTS: Final = 100
"""Round trips that a P99 needs."""

SCRAPES: Final = 4
DAY: Final = 86_400.0


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
        low = [relay.name for relay in self._config.relays if relay.max_severity != "critical"]
        if not low:
            yield _where(alert, "")
            return
        if len(low) < len(self._config.relays):
            yield _where(alert, f'relay!~"{"|".join(low)}"')
        if not warned:
            yield _where(alert, f'relay=~"{"|".join(low)}"', severity="warning")

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
        for window in sorted({slo.window for slo in budgeted(self._config)}):
            names = "|".join(slo.name for slo in budgeted(self._config) if slo.window == window)
            for severity in ("critical", "warning"):
                conditions = [burn for burn in burns(window, self._scrape) if burn.severity == severity]
                for burn in conditions:
                    yield from self._burn(burn, names)

    def _burn(self, burn: Burn, names: str) -> Iterator[Alert]:
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
        alert = Alert(
            name="RelayErrorBudgetBurn",
            severity=burn.severity,
            expr=condition,
            keep_firing=burn.keep_firing,
            labels={"long_window": show_duration(burn.long), "short_window": show_duration(burn.short)},
            summary="An SLO's error budget burns too fast.",
            description="SLO {{ $labels.slo }} of {{ $labels.relay }} (probe {{ $labels.probe }}): the budget burns "
            f"more than {burn.factor:f} times too fast over {show_duration(burn.long)} and "
            f"{show_duration(burn.short)}.",
            panel=DETAIL,
        )
        yield from self._capped(alert) if critical else iter([_where(alert, "")])

    def _lost(self) -> Iterator[Alert]:
        names = [slo.name for slo in budgeted(self._config) if self._is_zero(slo.name)]
        if not names:
            return
        slos = f', slo=~"{"|".join(names)}"'
        lost = bad(SECOND_LOSS, slos + "@")
        zero = f'(slo:error_budget:ratio{{slo=~"{"|".join(names)}"@}} == 0)'
        common = {
            "name": "RelayMessagesLost",
            "panel": DETAIL,
            "summary": "A message was lost where none may be.",
            "description": "SLO {{ $labels.slo }} of {{ $labels.relay }} allows no loss: probe {{ $labels.probe }} has "
            '{{ $value | printf "%.0f" }} within a quarter of an hour. The run\'s timeline ends with where the '
            "message was found.",
        }
        yield _where(Alert(severity="warning", expr=f"{lost} > 0.5\nand\n{zero}", **common), "")  # type: ignore[arg-type]
        recent = bad(max(RECENT, SCRAPES * self._scrape), slos + "@")
        again = f"{lost} > 1.5\nand\n{recent} > 0\nand\n{zero}" + _unless_down(SECOND_LOSS)
        yield from self._capped(Alert(severity="critical", expr=again, **common), warned=True)  # type: ignore[arg-type]

    def _is_zero(self, name: str) -> bool:
        return any(
            slo.objective_for(relay.name) == 1
            for slo in self._config.slos
            if slo.name == name
            for relay in self._config.relays
        )

    def _trend(self) -> Iterator[Alert]:
        for slo in self._config.slos:
            if slo.sli is not Sli.TREND or slo.factor is None:
                continue
            by = "le, relay, probe, location"
            buckets = f'relay_probe_round_trip_seconds_bucket{{probe=~"{"|".join(slo.probe)}"}}'
            counted = f'relay_probe_round_trip_seconds_count{{probe=~"{"|".join(slo.probe)}"}}'
            before = show_duration(slo.window)
            yield Alert(
                name="RelayLatencyTrend",
                severity="warning",
                expr=f"histogram_quantile(0.99, sum by ({by}) (rate({buckets}[1h])))\n"
                f"> {slo.factor:g} * histogram_quantile(0.99, sum by ({by}) (rate({buckets}[{before}] offset 1h)))\n"
                f"and\nsum by (relay, probe, location) (increase({counted}[1h])) > {TREND_EVENTS}\n"
                f"and\nsum by (relay, probe, location) (increase({counted}[{before}] offset 1h)) > {TREND_EVENTS}",
                wait=600.0,
                labels={"slo": slo.name},
                summary="Round trips have become slower than they were.",
                description="P99 of the last hour at {{ $labels.relay }} (probe {{ $labels.probe }}) is more than "
                f"{slo.factor:g} times that of the {before} before; now {{{{ $value | humanizeDuration }}}}.",
                panel=DETAIL,
            )

    # The rest.

    def _unstable(self) -> Iterator[Alert]:
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
        warning = Alert(severity="warning", expr=f"{left} < {14 * DAY:.0f}", wait=300.0, **common)  # type: ignore[arg-type]
        yield _where(warning, "")
        critical = Alert(severity="critical", expr=f"{left} < {3 * DAY:.0f}", wait=300.0, **common)  # type: ignore[arg-type]
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
