"""Where the dashboards differ from what dashboard-linter asks for, and why: the `.lint` file that it reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.slo.dashboards.model import Board

_HEAD: Final = "# What dashboard-linter is told to let pass, with reasons. Generated with the dashboards.\n"
_METRIC: Final = re.compile(r"\b(slo:[a-z_:0-9]+|ALERTS(?:_FOR_STATE)?|centrifugo_[a-z_]+)")
_REASONS: Final = {
    "slo:": "recorded by rules, over all jobs and instances of a location: it has neither label",
    "ALERTS": "written by Prometheus itself, of rules that have neither label",
    "centrifugo_": "the relay's own, found by centrifugo_selector: the monitor's job is not its job",
}


def exceptions(boards: Sequence[Board]) -> bytes:
    """The file."""
    found = list(_found(boards))
    rules = {rule: {"entries": found} for rule in ("target-job-rule", "target-instance-rule")}
    return (_HEAD + yaml.dump({"exclusions": rules}, Dumper=_Dumper, sort_keys=False, width=120)).encode()


def _found(boards: Sequence[Board]) -> Iterator[dict[str, str]]:
    for board in boards:
        for panel in board.panels:
            for place, query in enumerate(panel.queries):
                names = _METRIC.findall(query.expr)
                reasons = [reason for prefix, reason in _REASONS.items() if any(n.startswith(prefix) for n in names)]
                if reasons:
                    yield {
                        "dashboard": board.title,
                        "panel": panel.title,
                        "targetIdx": str(place),
                        "reason": "; ".join(reasons),
                    }


class _Dumper(yaml.SafeDumper):
    """Without anchors and aliases: the entries of two rules are written twice."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        """Called by PyYAML."""
        return True
