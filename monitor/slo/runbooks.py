"""One runbook for each alert, with the expressions and objectives of the configuration."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import yaml

from monitor.config import show_duration, show_ratio
from monitor.slo.rules import alerts
from monitor.slo.rules.recorded import applies_to

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from monitor.config import Config, SloConfig
    from monitor.slo.rules import Alert

WITH_OBJECTIVES: Final = frozenset(
    {"RelayErrorBudgetBurn", "RelayMessagesLost", "RelayLatencyTrend", "RelayMonitorRulesDrift"}
)
"""The alerts whose runbooks list the objectives."""

_LABEL: Final = re.compile(r"\{\{ [$.][lL]abels\.(\w+) \}\}")
_TEMPLATE: Final = re.compile(r"\{\{.*?\}\}")


def runbook_files(config: Config) -> dict[str, bytes]:
    """Return each runbook by its path."""
    sections: Mapping[str, Mapping[str, str]] = yaml.safe_load(
        files("monitor.slo").joinpath("runbooks.yaml").read_text("utf-8")
    )
    by_name: dict[str, list[Alert]] = {}
    for alert in alerts(config):
        by_name.setdefault(alert.name, []).append(alert)
    return {
        f"docs/runbooks/{name}.md": ("\n".join(_runbook(config, name, rules, sections[name])) + "\n").encode()
        for name, rules in by_name.items()
    }


def _runbook(config: Config, name: str, rules: Sequence[Alert], sections: Mapping[str, str]) -> Iterator[str]:
    severities = " and ".join(dict.fromkeys(alert.severity for alert in rules))
    yield f"# {name}"
    yield ""
    yield f"*{severities}.* {_without_templates(rules[0].summary)}"
    for title in ("Meaning", "Impact", "First look", "Diagnosis", "Mitigation"):
        yield ""
        yield f"## {title}"
        yield ""
        yield sections[title.lower().replace(" ", "_")].strip()
        if title == "First look":
            yield ""
            page = config.alerts.external_url.rstrip("/")
            yield f"The on-call page: <{page}/>. The deployed rule:"
            for alert in rules:
                yield ""
                yield f"```promql\n# {_settings(alert)}\n{alert.expr.strip()}\n```"
    if name in WITH_OBJECTIVES and (table := list(_objectives(config))):
        yield ""
        yield "## Objectives"
        yield ""
        yield from table


def _without_templates(summary: str) -> str:
    """The summary with `<label>` for each templated label, and without other template actions."""
    return _TEMPLATE.sub("", _LABEL.sub(r"`<\1>`", summary))


def _settings(alert: Alert) -> str:
    parts = [alert.severity, *(f"{key} {value}" for key, value in alert.labels.items())]
    if alert.pending_for:
        parts.append(f"for {show_duration(alert.pending_for)}")
    if alert.keep_firing_for:
        parts.append(f"keep_firing_for {show_duration(alert.keep_firing_for)}")
    return ", ".join(parts)


def _objectives(config: Config) -> Iterator[str]:
    yield "| SLO | SLI | probes | relays | objective | threshold | window |"
    yield "|---|---|---|---|---|---|---|"
    for slo in config.slos:
        for relays, objective, threshold in _in_force(config, slo):
            probes = ", ".join(slo.probe)
            window = show_duration(slo.window)
            yield f"| {slo.name} | {slo.sli} | {probes} | {relays} | {objective} | {threshold} | {window} |"


def _in_force(config: Config, slo: SloConfig) -> Iterator[tuple[str, str, str]]:
    """Yield the objectives and thresholds of an SLO as text, each with the relays for which they are in force."""
    found: dict[tuple[str, str], list[str]] = {}
    for relay in config.relays:
        if applies_to(config, slo, relay.name):
            objective, threshold = slo.objective_for(relay.name), slo.threshold_for(relay.name)
            texts = (
                show_ratio(objective) if objective is not None else f"≤ {slo.factor:g}× (trend)",
                show_duration(threshold) if threshold is not None else "–",
            )
            found.setdefault(texts, []).append(relay.name)
    for (objective_text, threshold_text), relays in found.items():
        yield "all" if len(found) == 1 else ", ".join(relays), objective_text, threshold_text
