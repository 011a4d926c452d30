"""The rules of dashboard-linter, as it applies them with --strict, and more panels held to them than it knows.

That program is on no registry that serves this project, so its rules are written down here. An entry of `.lint` lets a
finding pass, as there; one that nothing needs is a finding of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.slo.dashboards.promql import VARIABLE_MATCHERS, selectors

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of Grafana's value formats, those in use here.
UNITS = {"none", "short", "percentunit", "s", "bytes", "dtdurations", "dateTimeFromNow"}
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What breaks a rule."""

    rule: str
    dashboard: str
    panel: str = ""
    target: str = ""
    about: str = ""

    @property
    def entry(self) -> tuple[str, str, str, str]:
        """What an exception names it by."""
        return self.rule, self.dashboard, self.panel, self.target


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every panel but rows, also those in collapsed rows."""
    for panel in dashboard["panels"]:
        yield from (nested for nested in panel.get("panels", ()))
        if panel["type"] != "row":
            yield panel


def lint(dashboard: dict[str, Any]) -> Iterator[Finding]:
    """Everything that breaks a rule in one dashboard."""
    title = dashboard["title"]
    if dashboard["editable"] is not False:
        yield Finding("uneditable-dashboard", title)
    for rule, about in _variables(dashboard["templating"]["list"]):
        yield Finding(rule, title, about=about)
    for panel in panels(dashboard):
        for rule in _panel(panel):
            yield Finding(rule, title, panel["title"])
        for index, target in enumerate(panel.get("targets", ())):
            for rule, about in _target(target["expr"]):
                yield Finding(rule, title, panel["title"], str(index), about)


def _variables(variables: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    sources = [variable for variable in variables if variable["type"] == "datasource"]
    if [(variable["name"], variable["label"]) for variable in sources] != [("datasource", "Data source")]:
        yield "template-datasource-rule", "one, named datasource and labelled Data source"
    named = {variable["name"]: variable for variable in variables}
    for name in ("job", "instance"):
        variable = named.get(name)
        if (
            variable is None
            or (variable["type"], variable["label"]) != ("query", name.title())
            or not (variable["multi"] and variable["allValue"] == ".+")
        ):
            yield f"template-{name}-rule", name
    for variable in variables:
        if variable["type"] != "query":
            continue
        if variable["datasource"] != SOURCE:
            yield "template-datasource-rule", variable["name"]
        if variable["refresh"] != 2:
            yield "template-on-time-change-reload-rule", variable["name"]
        if not variable["query"]["query"].startswith("label_values("):
            yield "template-label-promql-rule", variable["name"]


def _panel(panel: dict[str, Any]) -> Iterator[str]:
    if panel["datasource"] != SOURCE or any(target["datasource"] != SOURCE for target in panel["targets"]):
        yield "panel-datasource-rule"
    if not panel["title"] or not panel["description"]:
        yield "panel-title-description-rule"
    if panel["fieldConfig"]["defaults"].get("unit") not in UNITS:
        yield "panel-units-rule"
    if not panel["targets"]:
        yield "panel-no-targets-rule"


def _target(expr: str) -> Iterator[tuple[str, str]]:
    if VARIABLE_MATCHERS.search(expr):
        # The linter's parser fails here, and its other rules about expressions apply to none that it cannot parse.
        yield "target-promql-rule", expr
        return
    found = list(selectors(expr))
    if not found:
        yield "target-promql-rule", expr
    for selector in found:
        around = selector.within[-1] if selector.within else ""
        if around in {"rate", "irate"} and selector.range != "$__rate_interval":
            yield "target-rate-interval-rule", expr
        if selector.name.endswith("_total") and (selector.range is None or around not in {"rate", "irate", "increase"}):
            yield "target-counter-agg-rule", expr
    for label in ("job", "instance"):
        if not all(selector.has(label, "=~", f"${label}") for selector in found):
            yield f"target-{label}-rule", expr


def allowed(exceptions: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """The entries of `.lint`."""
    return [
        (rule, entry["dashboard"], entry["panel"], entry["targetIdx"])
        for rule, entries in exceptions["exclusions"].items()
        for entry in entries["entries"]
    ]
