"""The HTML report of a result: one self-contained page with the summary, latencies and charts."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment
from matplotlib import rc_context
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from monitor.load.result import LoadResult
    from monitor.load.sketch import Sketch
    from monitor.load.totals import Totals

MAX_REASONS: Final = 10
BLUE, RED, GREY = "#2563a8", "#c0392b", "#8a8f98"

_STYLE: Final[dict[Any, Any]] = {
    "svg.hashsalt": "relay-monitor",  # the same result, the same bytes
    "svg.fonttype": "path",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
}

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{{ title }}</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: #1c2430; }
h1 { font-size: 1.35rem; margin: 0 0 .2rem; } .sub { color: #5a6472; margin: 0 0 1.2rem; }
.verdict { display: inline-block; padding: .15rem .7rem; border-radius: .3rem; color: #fff; font-weight: 600; }
.pass { background: #2e7d4f; } .fail { background: #c0392b; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { padding: .25rem .8rem .25rem 0; text-align: right; }
td:first-child, th:first-child { text-align: left; } th { border-bottom: 1px solid #c9d0d9; font-weight: 600; }
svg { width: 100%; height: auto; } pre { background: #f4f6f8; padding: 1rem; overflow-x: auto; font-size: 13px; }
</style>
</head>
<body>
<h1>{{ title }} <span class="verdict {{ 'pass' if passed else 'fail' }}">{{ 'PASS' if passed else 'FAIL' }}</span></h1>
<p class="sub">{{ when }}, relay-monitor {{ version }}{% if interrupted %}, interrupted{% endif %}</p>
<table>
<tr><th>objective</th><th>measured / objective</th><th></th></tr>
{% for name, shown, good in slos %}
<tr><td>{{ name }}</td><td>{{ shown }}</td><td><span class="verdict {{ 'pass' if good else 'fail' }}">
{{- 'PASS' if good else 'FAIL' }}</span></td></tr>
{% endfor %}
</table>
<table>
<tr><th>milliseconds</th><th>count</th><th>min</th><th>p50</th><th>p90</th><th>p95</th><th>p99</th><th>p99.9</th>
<th>max</th></tr>
{% for name, row in latencies %}
<tr><td>{{ name }}</td>{% for value in row %}<td>{{ value }}</td>{% endfor %}</tr>
{% endfor %}
</table>
{{ picture|safe }}
<pre>{{ text }}</pre>
</body>
</html>
"""

_NAMES: Final = {
    "connectTime": "connect",
    "handshake": "handshake",
    "messages": "round trip",
    "recovery": "recovery",
    "wireRequest": "wire, request",
    "wireResponse": "wire, response",
}


def page(totals: Totals, result: LoadResult, *, text: Sequence[str], slos: Sequence[tuple[str, str, bool]]) -> str:
    """Return the page of a result: `text` is its summary, `slos` are (name, measured and objective, passed)."""
    rows = [(_NAMES[name], _row(sketch)) for name, sketch in totals.sketches.items() if sketch.counts]
    template = Environment(autoescape=True).from_string(_PAGE)
    return template.render(
        title=f"{result.scenario.value} at {result.target}",
        when=result.timestamp,
        version=result.meta.version,
        interrupted=result.meta.interrupted,
        passed=result.passed,
        slos=slos,
        latencies=rows,
        picture=picture(totals),
        text="\n".join(text),
    )


def _row(sketch: Sketch) -> list[str]:
    values = [sketch.minimum, *(sketch.quantile(share) for share in (0.5, 0.9, 0.95, 0.99, 0.999)), sketch.maximum]
    return [f"{sketch.count}", *(f"{value * 1e3:.2f}" for value in values)]


def picture(totals: Totals) -> str:
    """Return four charts as one SVG element."""
    with rc_context(_STYLE):
        figure = Figure(figsize=(11, 7), layout="constrained")
        time, percentiles, reasons, connects = figure.subplots(2, 2).flat
        _over_time(time, totals)
        _percentiles(percentiles, totals)
        _reasons(reasons, totals)
        _connects(connects, totals.sketches["connectTime"])
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = written.getvalue()
    return text[text.index("<svg") :]


def _over_time(axes: Axes, totals: Totals) -> None:
    axes.set_title("latency over time, windows of 10 s")
    axes.set_xlabel("seconds since the beginning")
    axes.set_ylabel("ms")
    times = [window.at for window in totals.windows]
    for share, name, colour in ((0.5, "p50", BLUE), (0.99, "p99", RED)):
        values = [window.sketch.quantile(share) * 1e3 for window in totals.windows]
        axes.plot(times, values, marker="o", markersize=3, color=colour, label=name)
    if times:
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)
    else:
        _nothing(axes)


def _percentiles(axes: Axes, totals: Totals) -> None:
    """Draw latency by percentile, on a scale that gives each further nine the same width."""
    axes.set_title("latency by percentile")
    drawn = False
    for name, colour in (("messages", BLUE), ("recovery", BLUE), ("wireRequest", GREY), ("handshake", RED)):
        sketch = totals.sketches[name]
        if not sketch.counts:
            continue
        nines = max(1.0, 1.0 / (1.0 - min(0.999999, 1.0 - 0.5 / sketch.count)))
        steps = [nines ** (step / 100) for step in range(101)]
        values = [sketch.quantile(1.0 - 1.0 / step) * 1e3 for step in steps]
        axes.plot(steps, values, color=colour, label=_NAMES[name])
        drawn = True
    axes.set_xscale("log")
    axes.set_yscale("log")
    shares = ((1, "0"), (2, "50"), (10, "90"), (100, "99"), (1000, "99.9"), (10_000, "99.99"), (100_000, "99.999"))
    limit = axes.get_xlim()[1]
    axes.set_xticks([at for at, _ in shares if at <= limit], [name for at, name in shares if at <= limit])
    axes.minorticks_off()
    axes.set_xlabel("percentile")
    axes.set_ylabel("ms")
    if drawn:
        axes.legend(frameon=False)
    else:
        _nothing(axes)


def _reasons(axes: Axes, totals: Totals) -> None:
    axes.set_title("errors by step and reason")
    found = totals.reasons.most_common(MAX_REASONS)[::-1]
    if found:
        axes.barh([name for name, _ in found], [count for _, count in found], color=RED)
    else:
        _nothing(axes, "none")


def _connects(axes: Axes, sketch: Sketch) -> None:
    axes.set_title("connect time")
    if not sketch.counts:
        _nothing(axes)
        return
    seen, times, shares = 0, [], []
    for value, count in sorted(sketch.counts.items()):
        seen += count
        times.append(max(value / 1e3, 1e-3))
        shares.append(100 * seen / sketch.count)
    axes.step(times, shares, where="post", color=BLUE)
    axes.set_xscale("log")
    axes.set_ylim(0, 100)
    axes.set_xlabel("ms")
    axes.set_ylabel("% connected")


def _nothing(axes: Axes, text: str = "nothing measured") -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, color=GREY)
    axes.set_axis_off()
