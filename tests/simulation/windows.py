"""Configurations at many scrape and evaluation intervals: each alert fires for its fault, and none for a blip.

`python -m tests.simulation.windows NUMBER SEED` checks many of them, and prints each that fails with its seed.
"""

from __future__ import annotations

import math
import sys
from collections import Counter

from tests.simulation.windows_config import draw_config
from tests.simulation.windows_exports import START, delay_of
from tests.simulation.windows_faults import blips, burns, faults


def problems(seed: int) -> tuple[list[str], Counter[tuple[str, str]]]:
    """Return what is wrong with one configuration, and how often each alert and blip was checked."""
    config = draw_config(seed)
    prometheus = config.prometheus
    where = f"seed {seed}, scrape {prometheus.scrape_interval:g} s, evaluation {prometheus.evaluation_interval:g} s, "
    where += f"lag {delay_of(seed):g} s"
    wrong, checked = [], Counter[tuple[str, str]]()
    for fault in (*faults(config, seed), *burns(config, seed)):
        checked[fault.key] += 1
        found = fault.exports.firing(START + fault.within, fault.raises)
        if fault.exports.fails:
            found = [each for each in found if each.severity == "critical"]
        first = min((each.start for each in found), default=math.inf)
        what = f"{where}: {' '.join((fault.alert, *fault.labels.values()))}"
        if first > START + fault.within:
            wrong.append(f"{what} does not fire within {fault.within:.0f} s")
        if first < START:
            wrong.append(f"{what} fires before its fault")
    for blip, exports, pages in blips(config, seed):
        checked[blip, ""] += 1
        until = START + 900.0 + 2 * exports.slack
        firing = exports.firing(until, pages)
        wrong += [
            f"{where}: {each.alert} pages for {blip} at {each.start - START:.0f} s"
            for each in firing
            if each.severity == "critical"
        ]
    return wrong, checked


def main() -> int:
    """Check many configurations."""
    number, first = int(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 0
    total, bad = Counter[tuple[str, str]](), 0
    for seed in range(first, first + number):
        wrong, checked = problems(seed)
        total += checked
        bad += bool(wrong)
        for line in wrong:
            print(line, flush=True)  # noqa: T201 - a command
    counts = ", ".join(f"{' '.join(key).strip()} {count}" for key, count in sorted(total.items()))
    print(  # noqa: T201 - a command
        f"{number} configurations from seed {first}, {bad} with problems; checked: {counts}"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
