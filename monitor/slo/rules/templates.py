"""Parts of annotations that query Prometheus when an alert fires."""

from __future__ import annotations

from typing import Final


def first(expr: str, labels: str, text: str) -> str:
    """Return a template that writes `text` for the first row of `expr`, and nothing if it has none.

    Each `%q` of `expr` is one of the alert's `labels`, separated by spaces, in this order.
    """
    arguments = " ".join(f"$labels.{label}" for label in labels.split())
    escaped = expr.replace('"', '\\"')
    return f'{{{{ range query (printf "{escaped}" {arguments}) }}}}{text}{{{{ end }}}}'


_CAUSE: Final = ": {{ .Labels.step }} {{ with .Labels.status }}{{ . }}{{ else }}{{ .Labels.reason }}{{ end }}"

CAUSE: Final = first(
    "topk(1, count by (step, reason, status) (relay_cause_info{install=%q, relay=%q} == 1))", "install relay", _CAUSE
)
"""The present cause at most locations: step, and status or reason."""

CAUSE_HERE: Final = first(
    "topk(1, count by (step, reason, status) (relay_cause_info{install=%q, location=%q, relay=%q} == 1))",
    "install location relay",
    _CAUSE,
)
"""The present cause at the alert's location."""

GROUP_CAUSE: Final = first(
    "topk(1, count by (step, reason, status) (relay_cause_info{install=%q} == 1 "
    "and on (install, relay) relay:settings{install=%q, group=%q}))",
    "install install group",
    _CAUSE,
)
"""The present cause at most relays of a group."""

GROUP_SIZE: Final = first("count(relay:settings{install=%q, group=%q})", "install group", "{{ .Value }}")
"""The number of relays in a group."""


def locations(vote: str, value: int) -> str:
    """Return a template that lists the locations with this vote on the alert's relay."""
    expr = f"sort(count by (location) ({vote}{{install=%q, relay=%q}} == {value}))"
    return first(expr, "install relay", " {{ .Labels.location }}")
