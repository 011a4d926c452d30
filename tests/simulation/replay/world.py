"""A day of recorded data with known outages.

Monitors at three locations are simulated, and their series written into the data of a Prometheus before it starts.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import yaml

from monitor.config import Config, parse
from monitor.simulation.year.kinds import KINDS
from monitor.simulation.year.plan import Fault
from monitor.simulation.year.simulate import Cluster, Clusters
from tests.dashboards import backfill

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from monitor.simulation.promql import Store

DAY: Final = datetime(2026, 2, 3, tzinfo=UTC).timestamp()
"""The day that is replayed; what the rules' windows read before it is recorded too."""

HOUR: Final = 3600.0
MINUTE: Final = 60.0
LOCATIONS: Final = ("eu", "us", "asia")
BY_NAME: Final = {kind.name: kind for kind in KINDS}

OUTAGES: Final = (
    ("killed", 2 * HOUR, 10 * MINUTE, "alpha", LOCATIONS),
    ("killed", 5 * HOUR, 3 * MINUTE, "alpha", LOCATIONS),
    ("killed", 5.5 * HOUR, 3 * MINUTE, "beta", LOCATIONS),
    ("loses 5 %", 8 * HOUR, 60 * MINUTE, "beta", LOCATIONS),
    ("path down from one location", 14 * HOUR, 20 * MINUTE, "gamma", ("asia",)),
    ("monitor dead", 18 * HOUR, 15 * MINUTE, "", ("us",)),
    ("failover, 10–25 s", 20 * HOUR, 20.0, "gamma", LOCATIONS),
)
"""Kind of fault, seconds from the beginning of the day, length, relay, and the locations that see it."""


def config(**changes: Any) -> str:
    """Return a configuration; `changes` are those of its relays, by name with an underscore before the key."""
    relays = [
        {
            "name": name,
            "url": f"wss://{name}.example.com/connection/websocket",
            **{key.removeprefix(f"{name}_"): value for key, value in changes.items() if key.startswith(f"{name}_")},
        }
        for name in ("alpha", "beta", "gamma")
    ]
    return yaml.safe_dump(
        {
            "location": "eu",
            "locations": list(LOCATIONS),
            "references": ["192.0.2.1:443", "192.0.2.2:443"],
            "relays": relays,
            "probes": [{"name": "steady", "scenario": "steady-messaging"}],
            "slos": [
                {
                    "name": "delivery",
                    "probe": "steady",
                    "sli": "availability",
                    "objective": changes.get("objective", "99.9%"),
                }
            ],
        }
    )


def recorded(
    made: Config,
    outages: Sequence[tuple[str, float, float, str, tuple[str, ...]]],
    hours: float,
    *,
    aligned: bool = False,
) -> Store:
    """Return the series of the first hours of the day, and of the time before that rules read.

    aligned: scraped at multiples of the interval, as promtool does.
    """
    relays = [relay.name for relay in made.relays]
    faults = [
        Fault(
            kind=BY_NAME[kind],
            start=DAY + start,
            end=DAY + start + length,
            relays=frozenset({relay} if relay else relays),
            locations=frozenset(locations),
        )
        for kind, start, length, relay, locations in outages
    ]
    cluster = Cluster(DAY, DAY + hours * HOUR, faults, set(relays))
    store = Clusters(made, faults, 7, aligned=aligned).series(cluster)
    assert store is not None
    return store


def write(store: Store, folder: Path, *, gap: tuple[float, float] = (0.0, 0.0)) -> None:
    """Write series into the data of a Prometheus in this folder, with the labels of their targets and `up`.

    gap: seconds of the day of which nothing is written: Prometheus was down.
    """
    series: backfill.Series = {}
    for each in store.all():
        target = {"job": backfill.JOB, "instance": f"{each.get('location')}:9464"}
        of = {name: value for name, value in each.labels if name != "__name__"} | target
        recorded = (each.times < DAY + gap[0]) | (each.times >= DAY + gap[1])
        samples = list(zip(each.times[recorded].tolist(), each.values[recorded].tolist(), strict=True))
        # The text that Prometheus imports has no stale markers: the last sample counts for five minutes.
        series[each.name, tuple(sorted(of.items()))] = [item for item in samples if not math.isnan(item[1])]
        if each.name == "relay_monitor_healthy":
            up = [(at, 0.0 if math.isnan(value) else 1.0) for at, value in samples]
            series["up", tuple(sorted(target.items()))] = up
    backfill.write(series, folder, block_hours=48)


def load(text: str) -> Config:
    """Return a configuration of this text."""
    return parse(text, "config.yaml", {})


def count(store: Store) -> int:
    """Return the number of samples."""
    return int(np.sum([len(each.samples[0]) for each in store.all()]))
