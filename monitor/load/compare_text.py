"""The changes between two results as a table, and the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitor.load.compare import SHARES
from monitor.text_table import Column, paragraph, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.load.compare import Change

_COLUMNS: Final = (
    Column(""),
    Column("A", right=True),
    Column("B", right=True),
    Column("change", right=True),
    Column("95 % interval", right=True),
    Column("verdict"),
)


def lines(changes: Sequence[Change], ratio: float, *, width: int | None = None) -> list[str]:
    """Return the changes as a table for a terminal of `width`; the last line is the verdict."""
    note = "Latencies in ms; their intervals come from order statistics, those of shares are Newcombe's."
    return [
        *table(_COLUMNS, [_row(item) for item in changes], width=width),
        "",
        *paragraph(note, width=width),
        *paragraph(verdict(changes, ratio), width=width),
    ]


def verdict(changes: Sequence[Change], ratio: float) -> str:
    """Return FAIL, PASS, or UNDECIDED if nothing is worse and too few samples leave that open for some figures."""
    if worse := [item.name for item in changes if item.worse]:
        return f"FAIL: {len(worse)} worse beyond {ratio:g}×: {', '.join(worse)}"
    if undecided := [item for item in changes if item.undecided]:
        few = f"{len(undecided)} of {len(changes)} figures have too few samples to rule it out"
        return f"UNDECIDED: nothing proves to be worse beyond {ratio:g}×, but {few}"
    return f"PASS: nothing worse beyond {ratio:g}×"


def _row(item: Change) -> tuple[str, ...]:
    points = item.name in SHARES
    unit = " %" if points else ""
    after, effect, interval = "none", "", "not measured in B"
    if item.after is not None and item.effect is not None:
        after = f"{item.after:.2f}{unit}"
        effect = f"{item.effect:+.2f} pt" if points else f"{item.effect:.2f}×"
        interval = "no sketches"
    if item.interval is not None:
        low, high = item.interval
        interval = f"{low:+.2f} … {high:+.2f} pt" if points else f"{low:.2f} … {high:.2f}×".replace("inf", "∞")
    word = "WORSE" if item.worse else "too few samples" if item.undecided else "not worse"
    return item.name, f"{item.before:.2f}{unit}", after, effect, interval, word
