"""The `.lint` file of dashboard-linter: rules that panels may break, with reasons."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.slo.dashboards.model import Dashboard

_HEAD: Final = "# Exclusions for dashboard-linter, with reasons. Generated with the dashboards.\n"
_METRIC: Final = re.compile(r"\b(slo:[a-z_:0-9]+|ALERTS(?:_FOR_STATE)?|centrifugo_[a-z_]+)")
_REASONS: Final = {
    "slo:": "recorded over all jobs and instances of a location: the series has neither label",
    "ALERTS": "written by Prometheus for rules that have neither label",
    "centrifugo_": "a series of the relay, selected by centrifugo_selector: the monitor's job does not apply",
}


def exclusions(boards: Sequence[Dashboard]) -> bytes:
    """Return the file."""
    found = list(_found(boards))
    rules = {rule: {"entries": found} for rule in ("target-job-rule", "target-instance-rule")}
    return (_HEAD + yaml.dump({"exclusions": rules}, Dumper=_Dumper, sort_keys=False, width=120)).encode()


def _found(boards: Sequence[Dashboard]) -> Iterator[dict[str, str]]:
    for board in boards:
        for panel in board.panels:
            for index, query in enumerate(panel.queries):
                names = _METRIC.findall(query.expr)
                reasons = [reason for prefix, reason in _REASONS.items() if any(n.startswith(prefix) for n in names)]
                if reasons:
                    yield {
                        "dashboard": board.title,
                        "panel": panel.title,
                        "targetIdx": str(index),
                        "reason": "; ".join(reasons),
                    }


class _Dumper(yaml.SafeDumper):
    """Writes no aliases: the entries are written for each rule."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        """Called by PyYAML."""
        return True
