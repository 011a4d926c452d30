"""Write docs/metrics.md from the declarations, or check it: `python -m monitor.metrics.reference [--check]`."""

from __future__ import annotations

import sys
from pathlib import Path

from monitor.metrics.declared import ALL, DECLARED
from monitor.metrics.series import CONFIRMED_OVER, DIRECTIONS, ENDED, FAMILIES, RESULTS, SLO_OUTCOMES, STATES
from monitor.scenarios import Scenario
from monitor.vocabulary import BUCKETS, Outcome, Phase, Reason, Step, Verdict

OWN_LABELS = (
    ("relay_probe_wire_seconds", "direction", DIRECTIONS),
    ("relay_probe_handshakes_total", "outcome", ENDED),
    ("relay_probe_pair_seconds_total", "state", STATES),
    ("relay_probe_confirmations_total", "over", CONFIRMED_OVER),
    ("relay_probe_confirmations_total", "outcome", ENDED),
    ("relay_probe_address_failures_total", "family", FAMILIES),
    ("relay_monitor_runs_total", "result", RESULTS),
    ("relay_slo_events_total", "outcome", SLO_OUTCOMES),
)
"""Labels that only one metric has, and their values."""
PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def render() -> str:
    """Render the page."""
    lines = [
        "# Metrics",
        "",
        "`/metrics` serves the text format or OpenMetrics, in which the run id is an exemplar.",
        "This page is generated from `monitor/metrics/declared.py`: `make docs`.",
        "",
        "Every counter exists at 0 from the start. The series of a relay or probe are removed with it.",
        f"All histograms have the same buckets: {', '.join(f'{edge:g}' for edge in BUCKETS)} seconds.",
        "",
        "| name | type | labels | probes | meaning |",
        "|---|---|---|---|---|",
    ]
    for item in DECLARED:
        labels = ", ".join(f"`{label}`" for label in item.labels)
        scenarios = "all" if item.scenarios == ALL else ", ".join(sorted(name.value for name in item.scenarios))
        scenarios += ", continuous" if item.persistent else ""
        lines.append(f"| `{item.name}` | {item.kind} | {labels} | {scenarios} | {item.help} |")
    lines += ["", "## Label values", ""]
    for label, values in (
        ("scenario", Scenario),
        ("outcome", Outcome),
        ("verdict", Verdict),
        ("phase", Phase),
        ("step", Step),
        ("reason", Reason),
    ):
        lines.append(f"- `{label}`: " + ", ".join(f"`{value.value}`" for value in values))
    lines.append("")
    for name, label, own in OWN_LABELS:
        lines.append(f"- `{label}` of `{name}`: {', '.join(f'`{value}`' for value in own)}")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page, or compare it with `--check`; returns the exit status."""
    text = render()
    if "--check" not in sys.argv[1:]:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(text, "utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text("utf-8") == text:
        return 0
    print(f"{PAGE.name} does not match the code: run `make docs`", file=sys.stderr)  # noqa: T201 - a command
    return 1


if __name__ == "__main__":
    sys.exit(main())
