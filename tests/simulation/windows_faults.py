"""For each generated alert a fault that ought to fire it, and what must raise no page."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from monitor.burn_rate import burn_conditions
from monitor.config.units import parse_duration
from monitor.simulation.budgets import EventTimes, Intervals, Rule, first_page, simulate_events
from monitor.simulation.year.observed import Status
from monitor.simulation.year.outcomes import budgets_of
from monitor.slo.rules.certificate import EXPIRY
from monitor.slo.rules.drift import INTERVAL_SCRAPES
from monitor.slo.rules.message_loss import LOSS_WINDOW, allowed_events
from monitor.slo.rules.paging import event_gap
from monitor.slo.rules.verdicts import UNSEEN_WAIT
from monitor.vocabulary import Condition, Sli
from tests.simulation.windows_config import alerts_of
from tests.simulation.windows_exports import START, Exports, Sampled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from monitor.config import Config
    from monitor.simulation.promql.series import Floats
    from monitor.slo.rules.rule import Alert

FOLLOWED: Final = 7200.0
"""Seconds for which an error budget burns; a later page is not checked."""

TREND_SCRAPE: Final = 30.0
"""Shortest scrape interval at which a trend is checked: it reads a day of histograms."""

DISTINGUISHED: Final = ("about", "window")
"""Labels by which alerts of one name differ in their condition."""

BUDGET_ALERTS: Final = ("RelayErrorBudgetBurn", "RelayMessagesLost")

EXCLUDED: Final = {
    ("RelayProbeFailing", "location"): "one location of three votes: promtool cases of alerts/tests have it",
    ("RelayProbeFailing", "accepting"): "one location of three votes: promtool cases of alerts/tests have it",
    ("RelayPairsUnstable", ""): "a share of connected time: promtool cases of alerts/tests have it",
}
"""Alerts without a fault here, by name and label `about`, each with the reason."""

UP: Final = Status(at=START + 20.0, condition=Condition.UP, up=True, accepting=True)
DOWN: Final = Status(at=START, condition=Condition.DOWN, up=False, accepting=False)
REFUSING: Final = Status(at=START, condition=Condition.NOT_ACCEPTING, up=True, accepting=False)
UNKNOWN: Final = Status(at=START, condition=Condition.UNKNOWN, up=None, accepting=None)
DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Fault:
    """An alert, and what ought to fire it within some seconds after `START`."""

    alert: str
    exports: Exports
    within: float
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """Its name and label `about`."""
        return self.alert, self.labels.get("about", "")

    def raises(self, alert: Alert) -> bool:
        """Whether a rule is one of this alert."""
        own = {name: alert.labels[name] for name in DISTINGUISHED if name in alert.labels}
        paging = alert.severity == "critical" or not self.exports.fails
        return alert.name == self.alert and own == self.labels and paging


def key_of(alert: Alert) -> tuple[str, str]:
    """Return the name and the label `about` of a rule."""
    return alert.name, alert.labels.get("about", "")


def step(before: float, after: float) -> Callable[[Floats], Floats]:
    """Return a gauge that changes at `START`."""
    return lambda at: np.where(at >= START, after, before)


def counted(before: float, after: float) -> Callable[[Floats], Floats]:
    """Return a counter that grows at these rates a second before and after `START`."""
    return lambda at: 1e9 + np.where(at < START, before, after) * (at - START)


def faults(config: Config, seed: int) -> Iterator[Fault]:
    """Yield the faults of every alert but those of error budgets."""
    yield from _of_relays(config, seed)
    yield from _of_monitors(config, seed)
    yield from _of_drift(config, seed)
    yield from _of_probes(config, seed)
    if config.prometheus.scrape_interval >= TREND_SCRAPE:
        yield from _of_trend(config, seed)


def _waits(seed: int) -> dict[tuple[str, str], float]:
    """Return the longest `for` of each alert."""
    found: dict[tuple[str, str], float] = {}
    for alert in alerts_of(seed):
        found[key_of(alert)] = max(found.get(key_of(alert), 0.0), alert.pending_for)
    return found


def _of_relays(config: Config, seed: int) -> Iterator[Fault]:
    wait, waits = config.relays[0].page_after, _waits(seed)
    slack = Exports(config, seed).slack
    for name, status in (("RelayDown", DOWN), ("RelayNotAccepting", REFUSING)):
        yield Fault(name, Exports(config, seed, statuses=[status]), wait + slack)
    unknown = Exports(config, seed, statuses=[UNKNOWN])
    yield Fault("RelayUnobserved", unknown, waits["RelayUnobserved", ""] + slack)
    yield Fault("RelayInMaintenance", Exports(config, seed, windows=[(START, START + DAY)]), slack)
    silent = Exports(config, seed, silent=[START + 20.0 * number for number in range(200)])
    yield Fault("RelayPartialFailure", silent, wait + 300.0 + slack)
    group = [
        Sampled(name, {"relay": f"member-{number}", **more}, value)
        for number in range(3)
        for name, more, value in (
            ("relay_probe_relay_info", {"max_severity": "critical", "page_after": "30s", "group": "pool"}, step(1, 1)),
            ("relay_up", {}, step(1, 0)),
            ("relay_accepting", {}, step(1, 0)),
        )
    ]
    yield Fault("RelayGroupDown", Exports(config, seed, more=group), waits["RelayGroupDown", ""] + slack)
    never = [
        Sampled("relay_probe_relay_info", {"relay": "new", "max_severity": "critical"}, step(math.nan, 1)),
        Sampled("relay_up", {"relay": "new"}, step(math.nan, 0)),
    ]
    within = waits["RelayDown", "never up"] + slack
    if within < UNSEEN_WAIT:
        yield Fault("RelayDown", Exports(config, seed, more=never), within, {"about": "never up"})
    token = [
        Sampled("relay_probe_token_expiry_timestamp_seconds", {"relay": "demo"}, step(START + 7 * DAY, START + DAY)),
        Sampled("relay_probe_token_lifetime_seconds", {"relay": "demo"}, step(7 * DAY, 7 * DAY)),
    ]
    yield Fault(
        "RelayMonitorCredentials", Exports(config, seed, more=token), waits["RelayMonitorCredentials", ""] + slack
    )
    certificate = [Sampled(EXPIRY, {"relay": "demo", "node": "a"}, step(START + 90 * DAY, START + DAY))]
    within = waits["RelayCertificateExpiring", ""] + slack
    yield Fault("RelayCertificateExpiring", Exports(config, seed, more=certificate), within)
    failing = [Sampled("relay_probe_up", {"relay": "demo", "probe": "steady"}, step(1, 0))]
    yield Fault("RelayProbeFailing", Exports(config, seed, more=failing), waits["RelayProbeFailing", ""] + slack)
    endpoint = [Sampled("relay_endpoint_failures_total", {"relay": "demo", "endpoint": "b"}, counted(0, 1 / 30))]
    yield Fault("RelayProbeFailing", Exports(config, seed, more=endpoint), 120.0 + slack, {"about": "endpoint"})


def _of_monitors(config: Config, seed: int) -> Iterator[Fault]:
    waits, prometheus = _waits(seed), config.prometheus
    slack = Exports(config, seed).slack
    absent = Exports(config, seed, absent=[(START, START + DAY)])
    # Without a marker that the target is gone, its last sample counts for five minutes.
    yield Fault("RelayMonitorAbsent", absent, waits["RelayMonitorAbsent", ""] + slack + 300.0)
    apart = prometheus.scrape_interval + prometheus.evaluation_interval + 10.0  # closer ones may be seen as one
    restarts = [(START + number * apart, START + number * apart) for number in range(3)]
    restarted = Exports(config, seed, absent=restarts)
    yield Fault("RelayMonitorAbsent", restarted, 2 * apart + slack, {"about": "restarts"})
    unhealthy = Exports(config, seed, unhealthy=[(START, START + DAY)])
    within = waits["RelayMonitorUnhealthy", ""] + 60.0 + 4 * prometheus.scrape_interval + slack
    yield Fault("RelayMonitorUnhealthy", unhealthy, within)
    for about, name, more, value in (
        ("all relays", "relay_monitor_failed_check", {"check": "all_relays"}, step(0, 1)),
        ("RelayMonitorConfigReloadFailed", "relay_monitor_config_last_reload_successful", {}, step(1, 0)),
        ("RelayMonitorJournalFailed", "relay_monitor_journal_healthy", {}, step(1, 0)),
        ("RelayMonitorTaskFailed", "relay_monitor_task_failures_total", {"task": "probe"}, step(1, 2)),
        ("RelayMonitorDrill", "relay_monitor_drill_relay_up", {"shard": "0/1", "drill": "k7m2"}, step(1, 0)),
        ("RelayMonitorDrillFailed", "relay_monitor_drill_last_successful", {"shard": "0/1"}, step(1, 0)),
    ):
        alert = about if about.startswith("Relay") else "RelayMonitorUnhealthy"
        labels = {} if about.startswith("Relay") else {"about": about}
        statuses = [UNKNOWN] if labels else []  # no vote while all relays fail
        exports = Exports(config, seed, more=[Sampled(name, more, value)], statuses=statuses)
        yield Fault(alert, exports, waits[alert, labels.get("about", "")] + slack, labels)
    yield Fault("Watchdog", Exports(config, seed, first_scrape=START), slack)


def _of_drift(config: Config, seed: int) -> Iterator[Fault]:
    slack, scrape = Exports(config, seed).slack, config.prometheus.scrape_interval
    drift = "RelayMonitorRulesDrift"
    pending = max(wait for (name, _), wait in _waits(seed).items() if name == drift)
    slos = [
        Sampled(name, {"relay": "demo", "slo": slo.name}, step(float(value), float(value)))
        for slo in config.slos
        for name, value in (
            ("relay_slo_window_seconds", slo.window),
            ("relay_slo_objective_ratio", slo.objective),
            ("relay_slo_threshold_seconds", slo.threshold),
        )
        if value is not None
    ]
    for about, name, more in (
        ("monitors", "relay_monitor_shard_info", {"shard": "7/8"}),
        ("relays", "relay_probe_relay_info", {"relay": "new"}),
        ("objectives", "relay_slo_window_seconds", {"relay": "demo", "slo": "unknown"}),
    ):
        exports = Exports(config, seed, more=[Sampled(name, more, step(math.nan, 1)), *slos])
        yield Fault(drift, exports, pending + slack, {"about": about})
    real = scrape * 2 if scrape <= 120.0 else scrape / 2
    other = Exports(config, seed, real_scrape=real, first_scrape=START)
    window = max(600.0, INTERVAL_SCRAPES * scrape)
    yield Fault(drift, other, window + pending + 2 * real + slack, {"about": "scrape interval"})


def _of_probes(config: Config, seed: int) -> Iterator[Fault]:
    slack, waits = Exports(config, seed).slack, _waits(seed)
    stopped = [
        Sampled("relay_monitor_runs_total", {"relay": "demo", "probe": probe.name, "result": "started"}, counted(1, 0))
        for probe in config.probes
    ]
    for alert in alerts_of(seed):
        if alert.name == "RelayProbeStale":
            within = parse_duration(alert.labels["window"]) + alert.pending_for + slack
            exports = Exports(config, seed, more=stopped)
            yield Fault(alert.name, exports, within, {"window": alert.labels["window"]})
    failures = {"relay": "demo", "probe": "steady", "reason": "rate_limited", "step": "connect"}
    limited = [Sampled("relay_probe_failures_total", failures, step(1, 2))]
    within = waits["RelayProbeRateLimited", ""] + slack
    yield Fault("RelayProbeRateLimited", Exports(config, seed, more=limited), within)


def _of_trend(config: Config, seed: int) -> Iterator[Fault]:
    """A tenth of an hour of slow round trips moves the P90 of an hour."""
    waits = _waits(seed)
    if ("RelayLatencyTrend", "") not in waits:
        return
    of = {"relay": "demo", "probe": "steady"}
    buckets = (("0.1", counted(1, 0)), ("0.5", counted(1, 1)), ("+Inf", counted(1, 1)))
    name = "relay_probe_round_trip_seconds"
    slow = [Sampled(f"{name}_bucket", {**of, "le": edge}, value) for edge, value in buckets]
    slow.append(Sampled(f"{name}_count", of, counted(1, 1)))
    exports = Exports(config, seed, more=slow)
    yield Fault("RelayLatencyTrend", exports, 900.0 + waits["RelayLatencyTrend", ""] + exports.slack)


def burns(config: Config, seed: int) -> Iterator[Fault]:
    """Yield the pages of each error budget, while all of its events fail, with the time that the forecast says."""
    prometheus = config.prometheus
    intervals = Intervals(scrape=prometheus.scrape_interval, evaluation=prometheus.evaluation_interval)
    rng = np.random.default_rng(seed)
    for number, budget in enumerate(budgets_of(config, "demo")):
        objective = budget.slo.objective
        assert objective is not None
        gap = event_gap(budget.probe)
        conditions = burn_conditions(budget.slo.window, prometheus.step, gap)
        critical = [each for each in conditions if each.severity == "critical"]
        history = max(each.long_window for each in critical)
        events = simulate_events(budget.sources, START - history, START + FOLLOWED, lambda at: at >= START, rng)
        if objective == 1:
            number_bad = math.floor(2 * allowed_events(config, budget.slo) + 1.5) + 1
            bad = events.bad
            close = np.flatnonzero(bad[number_bad - 1 :] - bad[: len(bad) - number_bad + 1] <= LOSS_WINDOW / 2)
            messages = budget.slo.sli is Sli.AVAILABILITY
            alert = "RelayMessagesLost" if messages else "RelayErrorBudgetBurn"
            page = float(bad[close[0] + number_bad - 1]) if len(close) else math.inf
        else:
            stability = budget.slo.sli is Sli.STABILITY
            rules = [
                Rule(
                    condition=each,
                    objective=objective,
                    min_failures=each.half_window_failures(budget.rate) * float(1 - objective) if stability else 0.0,
                )
                for each in critical
            ]
            alert = "RelayErrorBudgetBurn"
            page = first_page([(events, rules)], START, START + FOLLOWED, intervals, rng)
        exports = Exports(config, seed, fails={number: events}, fails_since=START - history)
        if page + exports.slack < START + FOLLOWED:
            labels = {"about": "no budget"} if objective == 1 and alert == "RelayErrorBudgetBurn" else {}
            yield Fault(alert, exports, page - START + exports.slack, labels)


def blips(config: Config, seed: int) -> Iterator[tuple[str, Exports, Callable[[Alert], bool]]]:
    """Yield what must raise no page, and the pages that it could raise."""

    def pages(alert: Alert) -> bool:
        return alert.severity == "critical"

    def of_budgets(alert: Alert) -> bool:
        return pages(alert) and alert.name in BUDGET_ALERTS

    def of_verdicts(alert: Alert) -> bool:
        return pages(alert) and alert.name not in BUDGET_ALERTS

    if config.relays[0].page_after >= 30.0:
        yield "down for 20 s", Exports(config, seed, statuses=[DOWN, UP]), of_verdicts
    budgets = range(len(budgets_of(config, "demo")))
    if budgets:
        once = dict.fromkeys(budgets, EventTimes(np.empty(0), np.array([START + 1.0])))
        yield "one bad event", Exports(config, seed, fails=once), of_budgets
    yield "one missed scrape", Exports(config, seed, missed=START), pages
    yield "a new Prometheus", Exports(config, seed, first_scrape=START - 60.0), pages
    yield "a restart of the monitor", Exports(config, seed, absent=[(START, START + 20.0)]), pages
