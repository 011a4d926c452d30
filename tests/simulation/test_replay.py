"""Histories of a simulated year through promtool and the generated rule file: the same alerts at the same times.

promtool evaluates each group at every evaluation, whatever its own interval is: so do the simulated groups here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from monitor.config import Config, load
from monitor.simulation.promql import Series, Store
from monitor.simulation.year.kinds import KINDS, Due, Kind
from monitor.simulation.year.plan import draw_faults
from monitor.simulation.year.simulate import Clusters, clusters
from monitor.slo.rules import alerts, rules_file
from tests.relays import ROOT
from tests.simulation.windows_promtool import promtool_input
from tests.slo.rules.promtool import promtool_3, run, without_annotations, write_reduced

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.simulation.ruler import Firing
    from monitor.simulation.year.simulate import Cluster

BY_NAME = {kind.name: kind for kind in KINDS}
REPLAYED = (
    "killed",
    "newcomers refused",
    "flaps, 45 s",
    "loses 30 %",
    "planned outage, overrun",
    "egress of one location cut",
)
DAY = 86_400.0
HISTORY = 600.0
"""Seconds before the cluster that are replayed: six hours of them would take promtool minutes."""


@pytest.fixture(scope="module")
def config() -> Config:
    shipped = load(ROOT / "config.yaml", {})
    return shipped.model_copy(update={"locations": ("local", "second", "third")})


def history(config: Config, kind: Kind) -> tuple[Clusters, Cluster]:
    """Return the first cluster of one kind of fault, on times that suit promtool."""
    rng = np.random.default_rng(3)
    names = [relay.name for relay in config.relays]
    frequent = Kind(
        **{name: getattr(kind, name) for name in Kind.__slots__}
        | {"a_year": 50.0, "duration": (150.0, 300.0), "repeats": min(kind.repeats, 2)}
    )
    (fault, *_) = draw_faults(names, config.locations, 100 * DAY, rng, [frequent])
    (cluster,) = clusters([fault])
    cluster.start = 60.0 * math.floor(cluster.start / 60)
    cluster.end = fault.end + 420.0
    return Clusters(config, [fault], 3, aligned=True), cluster


def document(simulated: Clusters, cluster: Cluster, config: Config, version: int) -> dict[str, Any]:
    store = simulated.series(cluster)
    assert store is not None
    begin = cluster.start - HISTORY
    scraped = [_since(each, begin) for each in store.all()]
    store = Store(scraped)
    simulated.ruler.version = version
    firing = simulated.ruler.run(store, cluster.start, cluster.end)
    assert bool(firing) is (cluster.faults[0].kind.due is not Due.NEVER)
    interval = config.prometheus.scrape_interval
    return {
        "evaluation_interval": f"{interval:.0f}s",
        "tests": [
            {
                "interval": f"{interval:.0f}s",
                "input_series": [promtool_input(each, begin, interval) for each in scraped],
                "promql_expr_test": [
                    {
                        "expr": f'count(ALERTS{{alertname="{name}", severity="{severity}", alertstate="firing"}}) '
                        "or vector(0)",
                        "eval_time": f"{at - begin:.0f}s",
                        "exp_samples": [{"labels": "{}", "value": _number(firing, name, severity, at)}],
                    }
                    for name, severity in sorted(
                        {(each.alert, each.severity) for each in firing} or {("RelayDown", "critical")}
                    )
                    for at in _times(firing, name, severity, interval, cluster.end)
                ],
            }
        ],
    }


def _times(firing: list[Firing], name: str, severity: str, interval: float, end: float) -> list[float]:
    """Each evaluation at which the number of these alerts changes, and the one before it."""
    of_name = [each for each in firing if (each.alert, each.severity) == (name, severity)]
    edges = {edge for each in of_name for edge in (each.start, each.end) if edge < end} or {end - interval}
    return sorted({at for edge in edges for at in (edge - interval, edge)})


def _number(firing: list[Firing], name: str, severity: str, at: float) -> int:
    return sum((each.alert, each.severity) == (name, severity) and each.start <= at < each.end for each in firing)


def _since(series: Series, begin: float) -> Series:
    kept = series.times >= begin
    of = tuple(item for item in series.labels if item[0] != "__name__")
    return Series(series.name, of, series.times[kept], series.values[kept])


@pytest.mark.integration
@pytest.mark.required_counterpart("promtool")
@pytest.mark.parametrize("name", REPLAYED)
@pytest.mark.parametrize("version", [2, 3])
def test_promtool_fires_the_same_alerts_at_the_same_times(
    config: Config, name: str, version: int, tmp_path: Path
) -> None:
    if any("ALERTS" in alert.expr for alert in alerts(config)):
        pytest.skip("a rule reads ALERTS, which the simulation does not have")
    simulated, cluster = history(config, BY_NAME[name])
    rules = without_annotations(rules_file(config))
    files = write_reduced(tmp_path, rules, document(simulated, cluster, config, version))
    run("promtool" if version == 2 else promtool_3(), "test", "rules", *files)
