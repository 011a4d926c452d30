"""Dashboard variables: which values they have, and how they are put into texts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.dashboards.prometheus import Prometheus
    from tests.dashboards.time_range import TimeRange

_REFERENCE: Final = re.compile(r"\$\{(?P<braced>\w+)(?::(?P<syntax>\w+))?\}|\$(?P<plain>\w+)")
_LABEL_VALUES: Final = re.compile(r"label_values\(\s*(?P<selector>.+),\s*(?P<label>\w+)\s*\)", re.DOTALL)
_HIDDEN: Final = (2, "hideVariable")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is selected of a variable; `everything` is the text for All, if all values are selected."""

    values: tuple[str, ...]
    several: bool = False
    everything: str | None = None
    label: str = ""
    hidden: bool = False

    def text(self, syntax: str | None) -> str:
        """Return the text for a reference with this format."""
        if self.everything is not None:
            return self.everything
        match syntax:
            case "raw" | "text":
                return ",".join(self.values)
            case "csv":
                return ",".join(self.values)
            case "pipe":
                return "|".join(self.values)
        if not self.several:
            return self.values[0] if self.values else ""
        escaped = [escape(value) for value in self.values]
        return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})" if escaped else ""

    @property
    def shown(self) -> str:
        """What the dashboard shows as selected."""
        return "All" if self.everything is not None else " + ".join(self.values)


def escape(value: str) -> str:
    """Return a value as a regular expression in PromQL's string, as Grafana escapes it."""
    return re.sub(r"[.+*?^$()\[\]{}|\\]", lambda match: rf"\\{match[0]}", value)


@dataclass(slots=True)
class Variables:
    """The selected values by variable; `problems` are variables without values."""

    chosen: dict[str, Chosen] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def put_into(self, text: str, extra: Mapping[str, str] | None = None) -> str:
        """Return a text with its references replaced; an unknown one stays."""

        def replaced(match: re.Match[str]) -> str:
            name = match["braced"] or match["plain"]
            if extra is not None and name in extra:
                return extra[name]
            return self.chosen[name].text(match["syntax"]) if name in self.chosen else match[0]

        return _REFERENCE.sub(replaced, text)


def resolve(
    listed: list[dict[str, Any]], given: Mapping[str, str], prometheus: Prometheus, times: TimeRange
) -> Variables:
    """Return the values of a dashboard's variables: the given ones, All, the file's selection, or the first."""
    variables = Variables()
    for item in listed:
        name = item["name"]
        made = _resolved(item, given.get(name), variables, prometheus, times)
        if not made.values and made.everything is None:
            variables.problems.append(f"variable {name} has no values")
        variables.chosen[name] = made
    return variables


def _resolved(
    item: dict[str, Any], given: str | None, variables: Variables, prometheus: Prometheus, times: TimeRange
) -> Chosen:
    current = (item.get("current") or {}).get("value")
    label, hidden = item.get("label") or item["name"], item.get("hide") in _HIDDEN
    if item["type"] == "datasource":
        return Chosen(("prometheus",), label=label, hidden=hidden)
    if item["type"] != "query":
        first = str(item.get("query", "")).split(",")[0].strip()
        return Chosen((given or current or first,), label=label, hidden=hidden)
    values = _values(item, variables, prometheus, times)
    several = bool(item.get("multi"))
    if given is not None:
        return Chosen((given,), several, label=label, hidden=hidden)
    if item.get("includeAll") and current in (None, "$__all", ["$__all"]):
        everything = item.get("allValue") or Chosen(tuple(values), several=True).text(None)
        return Chosen(tuple(values), several, everything, label, hidden)
    selected = current if current in values else values[0] if values else None
    return Chosen((selected,) if selected else (), several, label=label, hidden=hidden)


def _values(item: dict[str, Any], variables: Variables, prometheus: Prometheus, times: TimeRange) -> list[str]:
    query = item["query"]["query"] if isinstance(item["query"], dict) else item["query"]
    match = _LABEL_VALUES.fullmatch(query)
    if match is None:
        raise ValueError(f"variable {item['name']}: {query!r} is no label_values(selector, label)")
    found = prometheus.label_values(variables.put_into(match["selector"]), match["label"], times)
    if item.get("regex"):
        pattern = re.compile(item["regex"].strip("/"))
        found = [match[0] for value in found if (match := pattern.search(value))]
    return found
