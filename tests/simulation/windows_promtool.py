"""The configurations of `windows`, judged by promtool: `python -m tests.simulation.windows_promtool NUMBER SEED`."""

from __future__ import annotations

import math
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from monitor.simulation.ruler import needed
from monitor.slo.rules import group_to_dict
from monitor.slo.rules.rule import dump
from monitor.slo.rules.templates import quoted
from tests.simulation.windows_config import alerts_of, draw_config, groups_of
from tests.simulation.windows_exports import START
from tests.simulation.windows_faults import blips, faults
from tests.slo.rules.promtool import promtool_3, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.config import Config
    from monitor.simulation.promql import Series, Store
    from monitor.slo.rules.rule import Group
    from tests.simulation.windows_faults import Fault

HISTORY: Final = 1800.0
"""Seconds before the fault; a multiple of all intervals."""

MAX_EVALUATIONS: Final = 120
"""Evaluations and scrapes of one test: promtool takes 10 ms for each."""


def promtool_input(series: Series, begin: float, interval: float) -> dict[str, str]:
    """Return a series in promtool's notation, from a time on."""
    skipped = round((series.times[0] - begin) / interval)
    values = ["stale" if math.isnan(value) else f"{value:.15g}" for value in series.values]
    labels = ", ".join(f"{name}={quoted(value)}" for name, value in series.labels if name != "__name__")
    return {"series": f"{series.name}{{{labels}}}", "values": " ".join([*(["_"] * skipped), *values])}


def cases(config: Config, seed: int) -> Iterator[tuple[list[Group], dict[str, Any]]]:
    """Yield promtool tests of one configuration, each with the rules that it needs; long ones are left out."""
    scrape, evaluation = config.prometheus.scrape_interval, config.prometheus.evaluation_interval
    begin = START - HISTORY
    phases = [0.0] * len(config.locations)
    for fault in faults(config, seed):
        until = evaluation * math.ceil((HISTORY + fault.within) / evaluation)
        if until <= MAX_EVALUATIONS * min(scrape, evaluation) and _comparable(fault, seed):
            labels = {"alertname": fault.alert, "alertstate": "firing", **fault.labels}
            matchers = ", ".join(f'{name}="{value}"' for name, value in labels.items())
            store = fault.exports.series(begin, begin + until + scrape, phases)
            made = _test(f"seed {seed}: {fault.alert}", store, begin, scrape)
            fired = f"count(last_over_time(ALERTS{{{matchers}}}[{until - HISTORY:g}s])) > bool 0"
            expected = [_expected(fired, until, 1)]
            yield needed(groups_of(seed), fault.raises), made | {"promql_expr_test": expected}
    for name, exports, pages in blips(config, seed):
        until = evaluation * math.ceil((HISTORY + 900.0 + 2 * exports.slack) / evaluation)
        if until <= MAX_EVALUATIONS * min(scrape, evaluation) and math.isinf(exports.first_scrape):
            store = exports.series(begin, begin + until + scrape, phases)
            none = 'count(ALERTS{severity="critical", alertstate="firing"}) or vector(0)'
            step = evaluation * math.ceil(60 / evaluation)
            times = [HISTORY + step * number for number in range(int((until - HISTORY) / step))]
            made = _test(f"seed {seed}: {name}", store, begin, scrape)
            expected = [_expected(none, time, 0) for time in times]
            yield needed(groups_of(seed), pages), made | {"promql_expr_test": expected}


def _comparable(fault: Fault, seed: int) -> bool:
    """Whether promtool can judge a fault: its time begins at 0, without a long history."""
    reads_time = any("time()" in alert.expr for alert in alerts_of(seed) if fault.raises(alert))
    return not reads_time and fault.exports.real_scrape is None and fault.alert != "RelayLatencyTrend"


def _test(name: str, store: Store, begin: float, scrape: float) -> dict[str, Any]:
    series = [promtool_input(each, begin, scrape) for each in store.all() if len(each.times)]
    return {"name": name, "interval": f"{scrape:g}s", "input_series": series}


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
            for groups, test in cases(config, seed):
                # One file a case, with the rules that it needs: promtool evaluates all rules of a file.
                judged += 1
                rules = {"groups": [group_to_dict(config, group) for group in groups]}
                (folder / f"rules-{judged}.yml").write_bytes(dump(rules))
                made = {
                    "rule_files": [f"rules-{judged}.yml"],
                    "evaluation_interval": f"{config.prometheus.evaluation_interval:g}s",
                    "group_eval_order": [group.name for group in groups],
                    "tests": [test],
                }
                files.append(folder / f"test-{judged}.yml")
                files[-1].write_text(yaml.safe_dump(made, sort_keys=False, width=10_000_000), "utf-8")
        if files:
            run(promtool, "test", "rules", *files, timeout=3600)
    return judged


if __name__ == "__main__":
    number, first = int(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 0
    for program in ("promtool", promtool_3()):
        print(program, judge(program, range(first, first + number)), "cases judged")  # noqa: T201 - a command
    sys.exit(0)
