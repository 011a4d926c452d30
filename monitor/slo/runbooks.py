"""A runbook for every alert, with the numbers of the configuration in it."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import yaml

from monitor.config import show_duration, show_ratio
from monitor.slo.rules import alerts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from monitor.config import Config
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
            yield f"The on-call page: <{config.alerts.external_url}/>. The rule, as deployed, in Prometheus:"
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
    yield "| SLO | SLI | probes | objective | threshold | window |"
    yield "|---|---|---|---|---|---|"
    for slo in config.slos:
        objective = show_ratio(slo.objective) if slo.objective is not None else f"≤ {slo.factor:g}× (trend)"
        threshold = show_duration(slo.threshold) if slo.threshold is not None else "–"
        probes = ", ".join(slo.probe)
        yield f"| {slo.name} | {slo.sli} | {probes} | {objective} | {threshold} | {show_duration(slo.window)} |"
