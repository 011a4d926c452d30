"""One runbook for each alert: numbered steps with their queries, and the rules and objectives of the configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import yaml

from monitor.config import monitor_url, show_duration, show_ratio
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

RELAY: Final = "RELAY"
"""Stands for the name of the relay in queries and links."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a runbook: a text, and a query for Prometheus or a command. `empty` says when a query has no data."""

    text: str
    query: str | None = None
    command: str | None = None
    empty: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Runbook:
    """The runbook of an alert."""

    headline: str
    meaning: str
    impact: str
    steps: Sequence[Step]
    neighbours: str
    escalate: str


def runbooks(config: Config) -> dict[str, Runbook]:
    """Return the runbook of each alert, with the install and the pages of a configuration."""
    sections: Mapping[str, Mapping[str, Any]] = yaml.safe_load(
        files("monitor.slo").joinpath("runbooks.yaml").read_text("utf-8")
    )
    return {
        name: Runbook(
            headline=each["headline"],
            meaning=each["meaning"],
            impact=each["impact"],
            steps=[_step(config, step) for step in each["steps"]],
            neighbours=each["neighbours"],
            escalate=each["escalate"],
        )
        for name, each in sections.items()
    }


def _step(config: Config, step: str | Mapping[str, str]) -> Step:
    install = f'install="{config.install}"'
    # Where each location has pages of its own, the links of a runbook lead to those of this one.
    page = monitor_url(config.alerts.external_url, config.location)
    text = (step if isinstance(step, str) else step["do"]).replace("PAGE/", f"{page}/")
    if isinstance(step, str):
        return Step(text=text)
    query, command = step.get("query"), step.get("command")
    if query is not None:
        query = query.replace("$relay", f'{install}, relay="{RELAY}"').replace("$install", install)
    if command is not None:
        command = command.replace("INSTALL", config.install)
    return Step(text=text, query=query, command=command, empty=step.get("empty"))


def runbook_files(config: Config) -> dict[str, bytes]:
    """Return each runbook, and their list, by the path."""
    known = runbooks(config)
    by_name: dict[str, list[Alert]] = {}
    for alert in alerts(config):
        by_name.setdefault(alert.name, []).append(alert)
    pages = {name: _page(config, name, rules, known[name]) for name, rules in by_name.items()}
    return {
        f"docs/runbooks/{name}.md": re.sub(r"\n{3,}", "\n\n", "\n".join(lines) + "\n").encode()
        for name, lines in {"README": _list(by_name, known), **pages}.items()
    }


def _list(rules: Mapping[str, Sequence[Alert]], known: Mapping[str, Runbook]) -> Iterator[str]:
    """Yield the page that a server of the folder shows first."""
    yield "# Runbooks"
    yield ""
    yield "One page for each alert: what it means, what to do, step by step, and what it is not. Alerts link to it."
    yield ""
    yield "| alert | what has happened | severity |"
    yield "|---|---|---|"
    for name in sorted(rules):
        yield f"| [{name}]({name}.md) | {known[name].headline} | {_severities(rules[name])} |"


def _severities(rules: Sequence[Alert]) -> str:
    return " and ".join(dict.fromkeys(alert.severity for alert in rules))


def _page(config: Config, name: str, rules: Sequence[Alert], runbook: Runbook) -> Iterator[str]:
    yield f"# {name}"
    yield ""
    yield f"*{_severities(rules)}.* {runbook.headline}"
    yield from _section("Meaning", runbook.meaning)
    yield from _section("Impact", runbook.impact)
    placed = any(RELAY in (step.query or "") for step in runbook.steps)
    about = "In queries, replace RELAY by the label `relay` of the alert." if placed else ""
    yield from _section("Steps", about)
    for number, step in enumerate(runbook.steps, 1):
        yield from _numbered(number, step)
    yield from _section("What it is not", runbook.neighbours)
    yield from _section("When to escalate, and to whom", runbook.escalate)
    if name in WITH_OBJECTIVES and (table := list(_objectives(config))):
        yield from ("", "## Objectives", "", *table)
    yield from ("", "## Rule")
    for alert in rules:
        yield ""
        yield f"```promql\n# {_settings(alert)}\n{alert.expr.strip()}\n```"


def _section(title: str, text: str) -> Iterator[str]:
    yield from ("", f"## {title}", "")
    if text:
        yield text.strip()


def _numbered(number: int, step: Step) -> Iterator[str]:
    """Yield a step as an item of a list, with its query or command in a block."""
    indent = " " * 4  # what renderers of all kinds take for a part of the item
    if number == 1:
        yield ""
    yield f"{number}. {step.text.strip()}"
    for language, block in (("promql", step.query), ("sh", step.command)):
        if block is not None:
            yield from ("", f"{indent}```{language}", f"{indent}{block}", f"{indent}```", "")
    if step.empty is not None:
        yield from (f"{indent}No data: {step.empty}.", "")


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
