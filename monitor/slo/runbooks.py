"""A runbook for every alert, with the numbers of the configuration in it."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import yaml

from monitor.config import show_duration, show_ratio
from monitor.slo.rules import alerts
from monitor.slo.rules.recorded import watched

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from monitor.config import Config, SloConfig
    from monitor.slo.rules import Alert


def runbook_files(config: Config) -> dict[str, bytes]:
    """Each runbook by its path."""
    words: Mapping[str, Mapping[str, str]] = yaml.safe_load(
        files("monitor.slo").joinpath("runbooks.yaml").read_text("utf-8")
    )
    by_name: dict[str, list[Alert]] = {}
    for alert in alerts(config):
        by_name.setdefault(alert.name, []).append(alert)
    return {
        f"docs/runbooks/{name}.md": ("\n".join(_page(config, name, rules, words[name])) + "\n").encode()
        for name, rules in by_name.items()
    }


def _page(config: Config, name: str, rules: Sequence[Alert], words: Mapping[str, str]) -> Iterator[str]:
    severities = " and ".join(dict.fromkeys(alert.severity for alert in rules))
    yield f"# {name}"
    yield ""
    yield f"*{severities}.* {rules[0].summary}"
    for title in ("Meaning", "Impact", "First look", "Diagnosis", "Mitigation"):
        yield ""
        yield f"## {title}"
        yield ""
        yield words[title.lower().replace(" ", "_")].strip()
        if title == "First look":
            yield ""
            page = config.alerts.external_url.rstrip("/")
            yield f"The on-call page: <{page}/>. The rule, as deployed, in Prometheus:"
            for alert in rules:
                yield ""
                yield f"```promql\n# {_about(alert)}\n{alert.expr.strip()}\n```"
    if slos := list(_objectives(config)) if name in _WITH_SLOS else []:
        yield ""
        yield "## Objectives"
        yield ""
        yield from slos


_WITH_SLOS = frozenset({"RelayErrorBudgetBurn", "RelayMessagesLost", "RelayLatencyTrend", "RelayMonitorRulesDrift"})


def _about(alert: Alert) -> str:
    parts = [alert.severity, *(f"{key} {value}" for key, value in alert.labels.items())]
    if alert.wait:
        parts.append(f"for {show_duration(alert.wait)}")
    if alert.keep_firing:
        parts.append(f"kept firing for {show_duration(alert.keep_firing)}")
    return ", ".join(parts)


def _objectives(config: Config) -> Iterator[str]:
    yield "| SLO | SLI | probes | relays | objective | threshold | window |"
    yield "|---|---|---|---|---|---|---|"
    for slo in config.slos:
        for relays, objective, threshold in _in_force(config, slo):
            probes = ", ".join(slo.probe)
            shown = show_duration(slo.window)
            yield f"| {slo.name} | {slo.sli} | {probes} | {relays} | {objective} | {threshold} | {shown} |"


def _in_force(config: Config, slo: SloConfig) -> Iterator[tuple[str, str, str]]:
    """Objective and threshold of an SLO, by the relays for which they hold."""
    found: dict[tuple[str, str], list[str]] = {}
    for relay in config.relays:
        if watched(config, slo, relay.name):
            objective, threshold = slo.objective_for(relay.name), slo.threshold_for(relay.name)
            told = show_ratio(objective) if objective is not None else f"≤ {slo.factor:g}× (trend)"
            found.setdefault((told, show_duration(threshold) if threshold is not None else "–"), []).append(relay.name)
    for (objective_shown, threshold_shown), relays in found.items():
        yield "all" if len(found) == 1 else ", ".join(relays), objective_shown, threshold_shown
