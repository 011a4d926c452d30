"""24 hours without failures in Prometheus, before the test starts.

The series are those of a monitor of this configuration before its first run. Counters of good events grow at the rate
of the configured schedule, all other series are constant.
"""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING, Final

from prometheus_client.parser import text_string_to_metric_families

from monitor.config import parse
from monitor.config.traffic import rate, sources
from monitor.metrics import Metrics
from tests.e2e.programs import PROMTOOL, find
from tests.metrics.sample import status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from monitor.config import Config

HOURS: Final = 24
STEP: Final = 60
"""Seconds between two samples; below Prometheus' staleness interval of five minutes."""

UNTIL: Final = 5
"""Seconds before now at which the history ends: it must be older than the first scrape."""

FAMILIES: Final = ("relay_slo_", "relay_up", "relay_probe_up", "relay_monitor_", "relay_probe_pair_seconds")
IMPORT_TIMEOUT: Final = 120.0


def backfill(config: str, folder: Path, instance: str, step: int = STEP) -> Path:
    """Write blocks of history for the monitor of this configuration at `instance`, and return their folder."""
    text = folder / "history.txt"
    now = time.time() - UNTIL
    times = [now - step * number for number in range(HOURS * 3600 // step, -1, -1)]
    with text.open("w", encoding="utf-8") as file:
        for line in _lines(config, instance, times, step):
            file.write(line)
        file.write("# EOF\n")
    blocks = folder / "prometheus"
    subprocess.run(
        [find(PROMTOOL), "tsdb", "create-blocks-from", "openmetrics", text, blocks],
        check=True,
        capture_output=True,
        timeout=IMPORT_TIMEOUT,
    )
    return blocks


def _lines(config: str, instance: str, times: list[float], step: int) -> Iterator[str]:
    parsed = parse(config, "history", {})
    metrics = Metrics(parsed, version="0")
    metrics.set_healthy(True)
    for relay in parsed.relays:
        metrics.set_relay_status(status(relay.name, up=True))
    for family in text_string_to_metric_families(metrics.render()[0].decode()):
        if family.type not in {"counter", "gauge"} or not family.name.startswith(FAMILIES):
            continue
        yield f"# TYPE {family.name} {family.type}\n"
        for sample in family.samples:
            labels = sample.labels | {"job": "relay-monitor", "instance": instance}
            speed = _speed(parsed, labels)
            series = ",".join(f'{name}="{value}"' for name, value in labels.items())
            for number, at in enumerate(times):
                value = speed * step * number if speed else sample.value
                yield f"{sample.name}{{{series}}} {value} {at:.3f}\n"


def _speed(config: Config, labels: Mapping[str, str]) -> float:
    """Return the increase of a counter per second without failures."""
    if labels.get("outcome") == "good":
        slo = next(slo for slo in config.slos if slo.name == labels["slo"])
        return rate([source for source in sources(config, slo, labels["relay"]) if source.probe == labels["probe"]])
    return float(bool(set(labels.values()) & {"connected", "started"}))
