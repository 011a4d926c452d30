"""Two results held together: what changed, how sure that is, and whether it got worse.

Latencies: where both results have sketches, the interval of a ratio of two quantiles comes of order statistics. How
many of n samples lie below the true q-quantile is binomial in n and q (by the normal approximation for many), so it
lies between the values of that rank and the next. Ranks are drawn for each sketch, and the 2.5 % point of the least
ratios and the 97.5 % point of the greatest are the interval. Beyond the last sample nothing is known: a P99 of fewer
than 368 exchanges has no upper end, and proves nothing. Shares: Newcombe's interval of a difference, from Wilson's two.
Without sketches, as in results of the relay team's own tool, there are whole milliseconds and no interval: what
rounding alone can have done is not held against B.

What A has and B has not (nothing came through) is no gap in the table but the worst of regressions.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from math import inf, isfinite, sqrt
from typing import TYPE_CHECKING, Any, Final

from monitor.errors import StartupError
from monitor.load.result import is_ours, totals_of

if TYPE_CHECKING:
    from monitor.load.result import Json
    from monitor.load.sketch import Sketch

DRAWS: Final = 4000
CONFIDENCE: Final = 0.95
_Z: Final = 1.959963984540054  # of the normal distribution, for 95 %
_HALF: Final = 0.5  # of a whole millisecond, lost to rounding
_SMALL: Final = 200  # samples up to which ranks are drawn one Bernoulli trial at a time

LATENCIES: Final = (
    ("connect", "connectTime", ("connectTime",)),
    ("handshake", "handshake", ("handshake", "latency")),
    ("round trip", "messages", ("messages", "latency")),
    ("recovery", "recovery", ("recovery", "latency")),
)
"""What is compared: its name, its sketch, and where the whole milliseconds stand under `results`."""

SHARES: Final = (
    ("connected", "connections", "successful", "attempted"),
    ("delivered", "messages", "received", "sent"),
    ("recovered", "recovery", "received", "attempted"),
)
"""Its name, its part of `results`, and what of it is held over what."""

STABLE: Final = "stable"
DROPS: Final = (("steadyMessaging", "disconnects"), ("steadyState", "peakDisconnects"))
"""Where those stand that came about and did not stay: of connections that are held, the most away at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One figure of A beside that of B.

    Of a latency (ms) `effect` is B over A, of a share (percent) B minus A in points; `interval` is the effect's, where
    there is one. `after` and `effect` are None where B has no such figure. `worse`: beyond the ratio asked for, and not
    by chance; or B has none.
    """

    name: str
    before: float
    after: float | None
    effect: float | None
    interval: tuple[float, float] | None
    worse: bool

    def to_json(self) -> Json:
        """As JSON, which knows no infinity: null where there is no end."""
        interval = None if self.interval is None else [_finite(end) for end in self.interval]
        effect = None if self.effect is None else _finite(self.effect)
        return asdict(self) | {"effect": effect, "interval": interval}


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def compare(
    before: Json, after: Json, *, ratio: float, seed: int = 1, names: tuple[str, str] = ("A", "B")
) -> list[Change]:
    """What changed from A to B. A latency is worse where it grew beyond `ratio`, a share where its failures did.

    Where there is an interval it must also lie wholly on the worse side. `names` are the files'. Raises `StartupError`
    for results of different scenarios, for one that is not whole, and where A has nothing to compare with.
    """
    _whole(before, names[0])
    _whole(after, names[1])
    if before["scenario"] != after["scenario"]:
        raise StartupError(f"cannot compare {before['scenario']} with {after['scenario']}")
    sketches = _sketches(before, names[0]), _sketches(after, names[1])
    changes = _latencies(before, after, sketches, ratio, random.Random(seed))  # noqa: S311 - draws ranks
    changes += _shares(before, after, ratio)
    if not changes:
        raise StartupError(f"{names[0]}: has nothing to compare with: no connection was tried in it")
    return changes


def _whole(data: Json, name: str) -> None:
    """What is left of a test shows nothing of the rest."""
    meta = data.get("meta", {}) if is_ours(data) else {}
    if missing := meta.get("missingWorkers"):
        raise StartupError(f"{name}: is no complete result: it lacks worker {', '.join(map(str, missing))}")
    if meta.get("interrupted"):
        raise StartupError(f"{name}: is no complete result: the test was interrupted")


def _latencies(
    before: Json, after: Json, sketches: tuple[dict[str, Sketch], dict[str, Sketch]], ratio: float, rng: random.Random
) -> list[Change]:
    changes = []
    for name, key, path in LATENCIES:
        one, two = (found.get(key) for found in sketches)
        for quantile, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            was, became = _figure(before, one, path, quantile, share), _figure(after, two, path, quantile, share)
            if was is None:
                continue
            name_of = f"{name} {quantile}"
            if became is None:
                changes.append(_gone(name_of, was))
                continue
            interval = _interval(one, two, share, rng) if one is not None and two is not None else None
            effect = became / was if was else (1.0 if not became else inf)
            # Of whole milliseconds the true ones may lie closer to each other, by half of one each.
            grew = became - (_HALF if two is None else 0.0) > ratio * (was + (_HALF if one is None else 0.0))
            worse = grew and (interval is None or interval[0] > 1.0)
            changes.append(
                Change(name=name_of, before=was, after=became, effect=effect, interval=interval, worse=worse)
            )
    return changes


def _gone(name: str, before: float) -> Change:
    """What A has and B has not."""
    return Change(name=name, before=before, after=None, effect=None, interval=None, worse=True)


def _sketches(data: Json, name: str) -> dict[str, Sketch]:
    if not is_ours(data):
        return {}
    try:
        return totals_of(data).sketches
    except ValueError as error:
        raise StartupError(f"{name}: is no complete result: {error}") from error


def _figure(data: Json, sketch: Sketch | None, path: tuple[str, ...], quantile: str, share: float) -> float | None:
    """A quantile in milliseconds: of the sketch where there is one, else what the result says."""
    if sketch is not None:
        return sketch.quantile(share) * 1e3 if sketch.counts else None
    found: Any = data["results"]
    for key in path:
        found = (found or {}).get(key)
    return float(found[quantile]) if found else None


def _interval(one: Sketch, two: Sketch, share: float, rng: random.Random) -> tuple[float, float]:
    """The 95 % interval of the ratio of a quantile of two sketches."""
    drawn = list(zip(_drawn(one, share, rng), _drawn(two, share, rng), strict=True))
    lows = sorted(after[0] / before[1] for before, after in drawn)
    highs = sorted(after[1] / before[0] if before[0] else inf for before, after in drawn)
    edge = (1.0 - CONFIDENCE) / 2
    return lows[int(edge * len(lows))], highs[int((1.0 - edge) * len(highs))]


def _drawn(sketch: Sketch, share: float, rng: random.Random) -> list[tuple[float, float]]:
    """The two values between which the quantile lies, for each draw of a rank."""
    count = sketch.count
    spread = sqrt(count * share * (1.0 - share))
    known: dict[int, tuple[float, float]] = {}
    values = []
    for _ in range(DRAWS):
        if count <= _SMALL:
            rank = sum(rng.random() < share for _ in range(count))
        else:
            rank = min(count, max(0, round(rng.gauss(count * share, spread))))
        if rank not in known:
            below = sketch.ranked(rank) if rank else 0.0
            known[rank] = below, sketch.ranked(rank + 1) if rank < count else inf
        values.append(known[rank])
    return values


def _shares(before: Json, after: Json, ratio: float) -> list[Change]:
    changes = []
    ones, twos = _counts(before), _counts(after)
    for name, one in ones.items():
        two = twos.get(name)
        if two is None:
            changes.append(_gone(name, one[0] / one[1] * 100))
            continue
        rates = one[0] / one[1], two[0] / two[1]
        interval = _difference(one, two)
        failures = 1.0 - rates[0], 1.0 - rates[1]
        changes.append(
            Change(
                name=name,
                before=rates[0] * 100,
                after=rates[1] * 100,
                effect=(rates[1] - rates[0]) * 100,
                interval=(interval[0] * 100, interval[1] * 100),
                worse=failures[1] > failures[0] * ratio and interval[1] < 0.0,
            )
        )
    return changes


def _counts(data: Json) -> dict[str, tuple[int, int]]:
    """The good and all of them for each share, where there were any."""
    results = data["results"]
    found = {}
    for name, key, part, whole in SHARES:
        if held := results.get(key):
            found[name] = held[part], held[whole]
    for key, drops in DROPS:
        if (held := results.get(key)) and (connections := results.get("connections")):
            came = connections["successful"]
            found[STABLE] = came - held[drops], came
    return {name: (min(whole, max(0, part)), whole) for name, (part, whole) in found.items() if whole}


def _wilson(good: int, count: int) -> tuple[float, float]:
    share, square = good / count, _Z * _Z
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = _Z * sqrt(share * (1 - share) / count + square / (4 * count * count)) / (1 + square / count)
    return middle - half, middle + half


def _difference(one: tuple[int, int], two: tuple[int, int]) -> tuple[float, float]:
    """Newcombe's hybrid score interval of the second share minus the first."""
    before, after = one[0] / one[1], two[0] / two[1]
    (low1, high1), (low2, high2) = _wilson(*one), _wilson(*two)
    below = sqrt(max(0.0, after - low2) ** 2 + max(0.0, high1 - before) ** 2)
    above = sqrt(max(0.0, high2 - after) ** 2 + max(0.0, before - low1) ** 2)
    return after - before - below, after - before + above


def lines(changes: list[Change], ratio: float) -> list[str]:
    """The changes as a table, and the verdict."""
    shown = [f"{'':<18}{'A':>10}{'B':>10}{'change':>10}  95 % interval"]
    for item in changes:
        points = item.name in {STABLE, *(name for name, *_ in SHARES)}
        unit = " %" if points else ""
        before, after, effect = f"{item.before:.2f}{unit}", "none", ""
        interval = "none: nothing of it in B" if item.after is None else "none: no sketches"
        if item.after is not None and item.effect is not None:
            after = f"{item.after:.2f}{unit}"
            effect = f"{item.effect:+.2f} pt" if points else f"{item.effect:.2f}×"
        if item.interval is not None:
            low, high = item.interval
            interval = f"{low:+.2f} … {high:+.2f} pt" if points else f"{low:.2f} … {high:.2f}×"
        shown.append(f"{item.name:<18}{before:>10}{after:>10}{effect:>10}  {interval}{'  WORSE' if item.worse else ''}")
    worse = sum(item.worse for item in changes)
    verdict = f"FAIL: {worse} worse beyond {ratio:g}×" if worse else f"PASS: nothing worse beyond {ratio:g}×"
    return [*shown, "latencies in ms; intervals from order statistics, of shares by Newcombe", verdict]
