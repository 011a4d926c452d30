"""Random outages through the rules of a replay and through promtool: `python -m tests.simulation.replay.judged NUMBER`.

The replay evaluates in parts of a few minutes; promtool, all at once. Both must have the same alerts firing at each
evaluation.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import yaml

from monitor.simulation.promql import Series, Store
from monitor.simulation.replay.rolling import RollingRuler
from monitor.simulation.replay.rule_set import RuleSet
from monitor.simulation.ruler import at_one_interval
from monitor.slo.rules import group_to_dict
from monitor.slo.rules.rule import dump
from tests.simulation.replay import world
from tests.simulation.windows_promtool import promtool_input
from tests.slo.rules.promtool import promtool_3, run, without_annotations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.config import Config
    from monitor.simulation.ruler import Firing

STEP: Final = 15.0
"""Interval of scrapes and evaluations, in seconds."""

SPAN: Final = 45 * 60.0
"""Seconds of one case: promtool takes 10 ms for each evaluation."""

PARTS: Final = (150.0, 300.0, 450.0, 900.0)
"""Lengths of the replay's parts in seconds, of which `SPAN` is a multiple."""

BY: Final = ("alertname", "severity", "relay", "location", "slo", "long_window")


def draw(seed: int) -> tuple[Config, Store]:
    """Return a configuration, and the series of an hour with outages."""
    rng = random.Random(seed)
    changes = {f"{name}_page_after": rng.choice(("0s", "30s", "2m")) for name in ("alpha", "beta")}
    changes |= {f"{name}_scope": rng.choice(("global", "regional")) for name in ("alpha", "beta", "gamma")}
    config = world.load(world.config(**changes, objective=rng.choice(("99%", "99.9%", "100%"))))
    kinds = sorted(name for name, kind in world.BY_NAME.items() if not kind.maintenance)
    outages = []
    for name in rng.sample(kinds, 4):
        scope = world.BY_NAME[name].scope
        where = (rng.choice(world.LOCATIONS),) if scope in {"path", "location", "monitor"} else world.LOCATIONS
        relay = "" if scope in {"location", "monitor", "group"} else rng.choice(("alpha", "beta", "gamma"))
        outages.append((name, rng.uniform(0, SPAN - 900), rng.choice((20.0, 60.0, 200.0, 600.0)), relay, where))
    return config, world.recorded(config, outages, SPAN / world.HOUR, aligned=True)


def firing(rules: RuleSet, series: Sequence[Series], part: float, version: int) -> list[Firing]:
    """Return what fires, evaluated in parts of this length."""
    ruler = RollingRuler(rules, version=version)
    for number in range(round(SPAN / part)):
        start = world.DAY + number * part
        ruler.advance(series, start, start + part)
    return ruler.firing()


def since(store: Store, begin: float) -> list[Series]:
    """Return what is recorded from a time on."""
    found = []
    for each in store.all():
        kept = each.times >= begin
        of = tuple(item for item in each.labels if item[0] != "__name__")
        found.append(Series(each.name, of, each.times[kept], each.values[kept]))
    return found


def case(seed: int, version: int, folder: Path) -> tuple[dict[str, Any], int]:
    """Write the rules of a case, and return promtool's test of it, and how many alerts fire in it."""
    config, store = draw(seed)
    made = RuleSet.of_config("config.yaml", config)
    rules = replace(made, groups=at_one_interval(made.groups))
    series = since(store, world.DAY)
    fired = firing(rules, series, random.Random(seed).choice(PARTS), version)
    document = dump({"groups": [group_to_dict(config, group) for group in rules.groups]})
    (folder / f"rules-{seed}.yml").write_bytes(dump({"groups": without_annotations(document)}))
    expr = f'count by ({", ".join(BY)}) (ALERTS{{alertstate="firing"}})'
    test = {
        "rule_files": [f"rules-{seed}.yml"],
        "evaluation_interval": f"{STEP:g}s",
        "group_eval_order": [group.name for group in rules.groups],
        "tests": [
            {
                "name": f"seed {seed}",
                "interval": f"{STEP:g}s",
                "input_series": [promtool_input(each, world.DAY, STEP) for each in series],
                "promql_expr_test": [
                    {
                        "expr": expr,
                        "eval_time": f"{at:g}s",
                        "exp_samples": [
                            {"labels": "{" + ", ".join(f'{name}="{text}"' for name, text in of) + "}", "value": number}
                            for of, number in sorted(_at(fired, world.DAY + at).items())
                        ],
                    }
                    for at in np.arange(0.0, SPAN, STEP)
                ],
            }
        ],
    }
    return test, len(fired)


def _at(fired: Sequence[Firing], at: float) -> Counter[tuple[tuple[str, str], ...]]:
    return Counter(
        tuple((name, text) for name, text in each.labels if name in BY) for each in fired if each.start <= at < each.end
    )


def judge(promtool: str, version: int, seeds: Sequence[int]) -> int:
    """Run promtool on the cases of these seeds, and return how many alerts fired in them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files, total = [], 0
        for seed in seeds:
            test, number = case(seed, version, folder)
            total += number
            files.append(folder / f"test-{seed}.yml")
            files[-1].write_text(yaml.safe_dump(test, sort_keys=False, width=10_000_000), "utf-8")
        run(promtool, "test", "rules", *files, timeout=3600)
    return total


def main(number: int, first: int = 0) -> None:
    """Judge cases by both versions of promtool."""
    for program, major in (("promtool", 2), (promtool_3(), 3)):
        alerts = judge(program, major, range(first, first + number))
        print(f"{program}: {number} cases with {alerts} firing alerts agree")  # noqa: T201 - a command


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 0)
