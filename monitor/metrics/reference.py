"""Write docs/metrics.md from the declarations, or check it: `python -m monitor.metrics.reference [--check]`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.generated_files import write_or_check
from monitor.metrics.declared import ALL, DECLARED
from monitor.metrics.failures import MAX_CODES, MAX_FAILURES
from monitor.metrics.series import CONFIRMED_OVER, DIRECTIONS, ENDED, FAMILIES, RESULTS, SLO_OUTCOMES, STATES
from monitor.scenarios import Scenario
from monitor.vocabulary import Check, Condition, Outcome, Phase, Reason, Step, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

OWN_LABELS = (
    ("relay_probe_wire_seconds", "direction", DIRECTIONS),
    ("relay_probe_handshakes_total", "outcome", ENDED),
    ("relay_probe_pair_seconds_total", "state", STATES),
    ("relay_probe_confirmations_total", "over", CONFIRMED_OVER),
    ("relay_probe_confirmations_total", "outcome", ENDED),
    ("relay_probe_address_failures_total", "family", FAMILIES),
    ("relay_monitor_failed_check", "check", tuple(Check)),
    ("relay_monitor_runs_total", "result", RESULTS),
    ("relay_slo_events_total", "outcome", SLO_OUTCOMES),
)
"""Labels that only one metric has, and their values."""
PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


_TEXT = f"""\
A counter that is likely to be incremented exists at 0 from the start. Any other (a rare pair of step and reason, a rare
close code, an endpoint) appears at 0 when it is first needed and is incremented two scrape intervals later (evaluation
intervals, if these are longer), so that `rate()`, `increase()` and recorded totals see it. The series of a relay
or probe are removed with it.

A probe has series for {MAX_FAILURES} pairs of step and reason and for {MAX_CODES} codes at most; all others count as
`other`.

`metrics: {{detail: lean}}` exports what the rules and the overview dashboard read: the metrics marked *lean*, of which
some have fewer series or buckets.

Upper bounds of the buckets:
"""


def _buckets() -> list[tuple[tuple[float, ...], list[str]]]:
    """The metrics that have the same buckets."""
    found: dict[tuple[float, ...], list[str]] = {}
    for item in DECLARED:
        if item.kind == "histogram":
            found.setdefault(item.buckets, []).append(f"`{item.name}`")
    return list(found.items())


def render() -> str:
    """Render the page."""
    lines = [
        "# Metrics",
        "",
        "Every metric of the monitor: its labels, which probes have it, and what it means. `process_*` are those of",
        "every Prometheus client. `/metrics` serves the text format or OpenMetrics, in which the id of a run is an",
        "exemplar: its timeline is at `/runs/ID`. `make docs` writes this page from `monitor/metrics/declared.py`.",
        "",
        _TEXT,
        *(f"- {', '.join(names)}: {', '.join(f'{edge:g}' for edge in edges)} seconds" for edges, names in _buckets()),
        "",
        "| name | meaning | type | labels | probes | lean |",
        "|---|---|---|---|---|---|",
    ]
    for item in DECLARED:
        labels = ", ".join(f"`{label}`" for label in item.labels)
        scenarios = "all" if item.scenarios == ALL else ", ".join(sorted(name.value for name in item.scenarios))
        scenarios += ", continuous" if item.persistent else ""
        lines.append(
            f"| `{item.name}` | {item.help} | {item.kind} | {labels} | {scenarios} | {'yes' if item.lean else ''} |"
        )
    lines += ["", "## Label values", ""]
    for label, values in (
        ("scenario", Scenario),
        ("outcome", Outcome),
        ("verdict", Verdict),
        ("state", Condition),
        ("phase", Phase),
        ("step", Step),
        ("reason", Reason),
    ):
        lines.append(f"- `{label}`: " + ", ".join(f"`{value.value}`" for value in values))
    lines.append("")
    for name, label, own in OWN_LABELS:
        lines.append(f"- `{label}` of `{name}`: {', '.join(f'`{value}`' for value in own)}")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or only compare it with `--check`. Returns the exit status."""
    return write_or_check({PAGE: render()}, arguments)


if __name__ == "__main__":
    sys.exit(main())
