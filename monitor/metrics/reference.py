"""`python -m monitor.metrics.reference [--check]` writes docs/metrics.md from the declarations, or tells of drift."""

from __future__ import annotations

import sys
from pathlib import Path

from monitor.metrics.declared import ALL, DECLARED
from monitor.metrics.series import DIRECTIONS, ENDINGS, FAMILIES, JUDGED, OVER, RESULTS, STATES
from monitor.scenarios import Scenario
from monitor.vocabulary import BUCKETS, Outcome, Phase, Reason, Step, Verdict

OWN = (
    ("relay_probe_wire_seconds", "direction", DIRECTIONS),
    ("relay_probe_handshakes_total", "outcome", ENDINGS),
    ("relay_probe_pair_seconds_total", "state", STATES),
    ("relay_probe_confirmations_total", "over", OVER),
    ("relay_probe_confirmations_total", "outcome", ENDINGS),
    ("relay_probe_address_failures_total", "family", FAMILIES),
    ("relay_monitor_runs_total", "result", RESULTS),
    ("relay_slo_events_total", "outcome", JUDGED),
)
"""Labels of one metric alone."""
PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def render() -> str:
    """The page."""
    lines = [
        "# Metrics",
        "",
        "What `/metrics` shows, in text and, where asked for, in OpenMetrics with the run id as exemplar.",
        "This page is generated from `monitor/metrics/declared.py`: `make docs`.",
        "",
        "Every counter exists at 0 from the start. A removed relay or probe takes its series along.",
        f"Histograms have one layout, with edges at {', '.join(f'{edge:g}' for edge in BUCKETS)} seconds.",
        "",
        "| name | type | labels | probes | meaning |",
        "|---|---|---|---|---|",
    ]
    for item in DECLARED:
        labels = ", ".join(f"`{label}`" for label in item.labels)
        scenarios = "all" if item.scenarios == ALL else ", ".join(sorted(name.value for name in item.scenarios))
        scenarios += ", continuous" if item.persistent else ""
        lines.append(f"| `{item.name}` | {item.kind} | {labels} | {scenarios} | {item.meaning} |")
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
    lines += [f"- `{label}` of `{name}`: {', '.join(f'`{value}`' for value in values)}" for name, label, values in OWN]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page, or with `--check` compare it; the exit status."""
    text = render()
    if "--check" not in sys.argv[1:]:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(text, "utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text("utf-8") == text:
        return 0
    print(f"{PAGE.name} is not what the code says: run `make docs`", file=sys.stderr)  # noqa: T201 - a command
    return 1


if __name__ == "__main__":
    sys.exit(main())
