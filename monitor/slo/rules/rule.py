"""Rules as values, and as the YAML that Prometheus and the Operator read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

from monitor.config import show_duration
from monitor.config.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

HOUR: Final = 3600.0
HEADER: Final = "# Written by `relay-monitor generate` from config.yaml; change that, and generate again.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A recorded series."""

    name: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """As Prometheus' rule files have it."""
        labels = {"labels": dict(self.labels)} if self.labels else {}
        return {"record": self.name, "expr": self.expr, **labels}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert: `severity` critical, warning, info or none; times in seconds.

    `summary` is one sentence, always the same; `description` may use templates; `panel` is the dashboard it opens.
    """

    name: str
    severity: str
    expr: str
    summary: str
    description: str
    panel: str
    wait: float = 0.0
    keep_firing: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)

    def body(self, common: Mapping[str, str], runbooks: str, grafana: str) -> dict[str, Any]:
        """As Prometheus' rule files have it."""
        held = {"for": show_duration(self.wait)} if self.wait else {}
        kept = {"keep_firing_for": show_duration(self.keep_firing)} if self.keep_firing else {}
        return {
            "alert": self.name,
            "expr": self.expr,
            **held,
            **kept,
            "labels": {**common, **self.labels, "service": "relay-monitor", "severity": self.severity},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{runbooks.rstrip('/')}/{self.name}",
                "dashboard_url": f"{grafana.rstrip('/')}/d/{self._shown()}",
            },
        }

    def _shown(self) -> str:
        """The dashboard, over what the alert looks back on and over an hour at least."""
        windows = [self.labels[name] for name in ("long_window", "window") if name in self.labels]
        back = max([HOUR, *(parse_duration(window) for window in windows)])
        return f"{self.panel}{'&' if '?' in self.panel else '?'}from=now-{back:.0f}s&to=now"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules that are evaluated together, in order."""

    name: str
    rules: Sequence[Record | Alert]
    interval: float | None = None


def any_of(names: Iterable[str]) -> str:
    """A pattern for `=~` that fits these names and no others: of what a name may hold, the dot alone means more."""
    return "|".join(name.replace(".", "[.]") for name in names)


class _Dumper(yaml.SafeDumper):
    """Blocks for long expressions, and no aliases: promtool accepts those, and Prometheus never evaluates them."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def dump(document: Any) -> bytes:
    """A document as YAML, the same bytes each time."""
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    return (HEADER + text).encode()


def unless_down(window: float) -> str:
    """No page about what an outage left behind: `RelayDown` has paged for it, and the repair must not page again.

    Asked of the alert and not of `relay_up`: a relay that is away too briefly to page must not silence the others.
    """
    paged = 'ALERTS{alertname="RelayDown", alertstate="firing"}'
    return f"\nunless on (relay)\nmax_over_time({paged}[{show_duration(window)}]) > 0"
