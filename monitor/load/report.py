"""The HTML report of a result: one self-contained page for desks and phones, light and dark, without a script."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Final

from jinja2 import Environment, StrictUndefined

from monitor.load.charts import FAR, Axis, Chart, Line, Tick, highest, linear, logarithmic
from monitor.load.facts import LATENCIES, QUANTILES, facts, latencies, obstacles, parameters, shown
from monitor.load.verdict import Aim

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from monitor.load.plan import Plan
    from monitor.load.result import LoadResult
    from monitor.load.sketch import Sketch
    from monitor.load.totals import FinishedTest, Totals
    from monitor.load.verdict import Judged

MAX_REASONS: Final = 20

NINES: Final = ((1, "0"), (2, "50"), (10, "90"), (100, "99"), (1000, "99.9"), (10_000, "99.99"), (100_000, "99.999"))
"""Marks of the axis of percentiles: 1 over the share beyond, and the percentile."""

STYLES: Final = {
    "connectTime": "three",
    "handshake": "four",
    "messages": "one",
    "recovery": "one",
    "wireRequest": "two",
}
"""The latencies in the chart of percentiles, and their classes."""


def page(plan: Plan, finished: FinishedTest, judged: Sequence[Judged], result: LoadResult) -> str:
    """Return the page of a result."""
    template = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(files("monitor.load").joinpath("report.html").read_text("utf-8"))
    totals = finished.totals
    counted = sum(totals.reasons.values())
    return template.render(
        plan=plan,
        result=result,
        began=result.timestamp[:19].replace("T", " "),
        minutes=_duration(totals.seconds),
        obstacles=list(obstacles(plan, finished)),
        objectives=[(item.objective.name, *shown(item), item.passed) for item in judged],
        facts=[fact for fact in facts(plan, finished) if fact.name != "Failures"],
        quantiles=["min", *QUANTILES, "max"],
        latencies=latencies(finished),
        charts=list(charts(totals, judged)),
        reasons=[(name, count, count / counted) for name, count in totals.reasons.most_common(MAX_REASONS)],
        parameters=parameters(plan),
        host=list(_host(result)),
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"  # noqa: PLR2004 - two minutes


def _host(result: LoadResult) -> Iterator[tuple[str, str]]:
    """Yield what ran the test, and its cost."""
    meta, host = result.meta, result.meta.machine
    yield "relay-monitor", meta.version
    processes = f"{meta.workers} process{'' if meta.workers == 1 else 'es'}"
    yield "host", ", ".join([processes, *(str(host[key]) for key in ("system", "cpu") if host.get(key))])
    if "cpus" in host:
        yield "CPUs, Python", f"{host['cpus']}, {host.get('python', 'unknown')}"
    if "cpuSeconds" in meta.cost:
        yield (
            "cost of the test",
            f"{meta.cost['cpuSeconds']:.1f} s of CPU, {meta.cost.get('peakRssMb', 0):.0f} MB at most",
        )
    if meta.config.test_id:
        yield "test id", meta.config.test_id


def charts(totals: Totals, judged: Sequence[Judged]) -> Iterator[Chart]:
    """Yield the charts that have something to show."""
    limits = {item.objective.aim: item.objective for item in judged}
    within, quantile = limits.get(Aim.WITHIN), limits.get(Aim.ROUND_TRIP)
    threshold = within.threshold if within is not None else quantile.limit if quantile is not None else None
    limit = None if threshold is None else (f"objective {threshold * 1e3:g} ms", threshold * 1e3)
    if (over_time := _over_time(totals, limit)) is not None:
        yield over_time
    if (percentiles := _percentiles(totals.sketches, limit)) is not None:
        yield percentiles


def _over_time(totals: Totals, limit: tuple[str, float] | None) -> Chart | None:
    """Draw round trips by the time of their end; None for less than two windows."""
    windows = [window for window in totals.windows if window.sketch.counts]
    if len(windows) < 2:  # noqa: PLR2004 - a line has two points
        return None
    lines = [
        Line(name, style, [(window.at, window.sketch.quantile(QUANTILES[name]) * 1e3) for window in windows])
        for name, style in (("p50", "one"), ("p99", "three"))
    ]
    x = linear("seconds since the start", windows[-1].at)
    top = highest(lines)
    threshold, note = _threshold(limit, top, (0.0, x.high))
    y = linear("ms", max(top, limit[1]) if threshold is not None and limit is not None else top)
    return Chart("Round trip over time, ms, windows of 10\u00a0s", x, y, lines, threshold, note)


def _percentiles(sketches: Mapping[str, Sketch], limit: tuple[str, float] | None) -> Chart | None:
    """Draw latency by percentile, on a scale that gives each further nine the same width."""
    lines = [
        Line(LATENCIES[name].lower(), style, _curve(sketches[name]))
        for name, style in STYLES.items()
        if sketches[name].counts
    ]
    if not lines:
        return None
    most = max(line.points[-1][0] for line in lines)
    x = Axis(
        "percentile", 1.0, max(most, 10.0), [Tick(at, name) for at, name in NINES if at <= max(most, 10.0)], log=True
    )
    top = highest(lines)
    threshold, note = _threshold(limit if sketches["messages"].counts else None, top, (1.0, x.high))
    lowest = min(y for line in lines for _, y in line.points)
    y = logarithmic("ms", lowest, max(top, threshold.points[0][1] if threshold is not None else 0.0))
    return Chart("Latency by percentile, ms", x, y, lines, threshold, note)


def _curve(sketch: Sketch) -> list[tuple[float, float]]:
    nines = max(2.0, 2.0 * sketch.count)
    steps = [nines ** (step / 100) for step in range(101)]
    return [(step, max(sketch.quantile(1.0 - 1.0 / step) * 1e3, 1e-3)) for step in steps]


def _threshold(limit: tuple[str, float] | None, top: float, ends: tuple[float, float]) -> tuple[Line | None, str]:
    """Return the line of a threshold; if it is too far above the lines, a note instead."""
    if limit is None:
        return None, ""
    name, value = limit
    if value > FAR * top:
        return None, f"{name}: above this chart"
    return Line(name, "limit", [(ends[0], value), (ends[1], value)]), ""
