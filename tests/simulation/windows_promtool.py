"""The configurations of `windows`, judged by promtool: `python -m tests.simulation.windows_promtool NUMBER SEED`."""

from __future__ import annotations

import math
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from monitor.slo.rules import groups, rules_file
from tests.simulation.windows import START, blips, draw_config, faults
from tests.slo.rules.promtool import promtool_3, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.config import Config
    from monitor.simulation.promql import Series

HISTORY: Final = 1800.0
"""Seconds before the fault; a multiple of all intervals."""

MAX_EVALUATIONS: Final = 120
"""Evaluations of one exports: promtool takes 10 ms for each."""


def promtool_input(series: Series, begin: float, interval: float) -> dict[str, str]:
    """Return a series in promtool's notation, from a time on."""
    skipped = round((series.times[0] - begin) / interval)
    values = ["stale" if math.isnan(value) else f"{value:.15g}" for value in series.values]
    labels = ", ".join(f'{name}="{value}"' for name, value in series.labels if name != "__name__")
    return {"series": f"{series.name}{{{labels}}}", "values": " ".join([*(["_"] * skipped), *values])}


def cases(config: Config, seed: int) -> Iterator[dict[str, Any]]:
    """Yield the promtool tests of one configuration; those that would take long are left out."""
    scrape, evaluation = config.prometheus.scrape_interval, config.prometheus.evaluation_interval
    begin = START - HISTORY
    phases = [0.0] * len(config.locations)
    for alert, exports, limit in faults(config, seed):
        until = evaluation * math.ceil((HISTORY + limit) / evaluation)
        if until / evaluation <= MAX_EVALUATIONS:
            store = exports.series(begin, begin + until + scrape, phases)
            firing = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}) > bool 0'
            yield {
                "name": f"seed {seed}: {alert}",
                "interval": f"{scrape:g}s",
                "input_series": [promtool_input(each, begin, scrape) for each in store.all() if len(each.times)],
                "promql_expr_test": [_expected(firing, until, 1)],
            }
    for name, exports in blips(config, seed):
        until = evaluation * math.ceil((HISTORY + 900.0 + 2 * exports.slack) / evaluation)
        if until / evaluation <= MAX_EVALUATIONS and math.isinf(exports.first_scrape):
            store = exports.series(begin, begin + until + scrape, phases)
            pages = 'count(ALERTS{severity="critical", alertstate="firing"}) or vector(0)'
            step = evaluation * math.ceil(60 / evaluation)
            times = [HISTORY + step * number for number in range(int((until - HISTORY) / step))]
            yield {
                "name": f"seed {seed}: {name}",
                "interval": f"{scrape:g}s",
                "input_series": [promtool_input(each, begin, scrape) for each in store.all() if len(each.times)],
                "promql_expr_test": [_expected(pages, time, 0) for time in times],
            }


def _expected(expr: str, at: float, value: int) -> dict[str, Any]:
    return {"expr": expr, "eval_time": f"{at:g}s", "exp_samples": [{"labels": "{}", "value": value}]}


def judge(promtool: str, seeds: Sequence[int]) -> int:
    """Run promtool on the configurations of these seeds, and return how many cases it judged."""
    judged = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = []
        for seed in seeds:
            config = draw_config(seed)
            if not (tests := list(cases(config, seed))):
                continue
            judged += len(tests)
            (folder / f"rules-{seed}.yml").write_bytes(rules_file(config))
            made = {
                "rule_files": [f"rules-{seed}.yml"],
                "evaluation_interval": f"{config.prometheus.evaluation_interval:g}s",
                "group_eval_order": [group.name for group in groups(config)],
                "tests": tests,
            }
            files.append(folder / f"test-{seed}.yml")
            files[-1].write_text(yaml.safe_dump(made, sort_keys=False, width=10_000_000), "utf-8")
        if files:
            run(promtool, "test", "rules", *files, timeout=3600)
    return judged


if __name__ == "__main__":
    number, first = int(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 0
    for program in ("promtool", promtool_3()):
        print(program, judge(program, range(first, first + number)), "cases judged")  # noqa: T201 - a command
    sys.exit(0)
