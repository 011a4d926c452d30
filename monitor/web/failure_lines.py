"""Failures as lines of a page: one for each relay and cause, with the probes that met it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.vocabulary import cause_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from monitor.journal import FailureGroup


@dataclass(slots=True)
class FailureLine:
    """Failures of one relay with one cause. `latest` is the group that failed last."""

    relay: str
    cause: str
    first: datetime
    latest: FailureGroup
    count: int = 0
    probes: dict[str, int] = field(default_factory=dict)

    @property
    def last(self) -> datetime:
        """When it failed last."""
        return self.latest.last

    @property
    def probes_text(self) -> str:
        """The probes, those with most failures first, with their counts if there are several."""
        if len(self.probes) == 1:
            return next(iter(self.probes))
        return ", ".join(f"{name} {count}" for name, count in Counter(self.probes).most_common())


def failure_lines(groups: Iterable[FailureGroup]) -> list[FailureLine]:
    """Merge groups of one relay and cause; in the order of their first groups."""
    lines: dict[tuple[str, str], FailureLine] = {}
    for group in groups:
        cause = cause_name(group.step, group.reason, group.status)
        line = lines.setdefault((group.relay, cause), FailureLine(group.relay, cause, group.first, group))
        line.count += group.count
        line.probes[group.probe] = line.probes.get(group.probe, 0) + group.count
        line.first = min(line.first, group.first)
        if group.last > line.latest.last:
            line.latest = group
    return list(lines.values())
