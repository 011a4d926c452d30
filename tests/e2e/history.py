"""Twenty-four good hours before the test began, as Prometheus would have kept them of the same monitor.

The series are those that a monitor of this configuration shows before its first run; what counts good events grows as
fast as the configured schedule makes them, everything else stays as it is.
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

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from monitor.config import Config

HOURS: Final = 24
STEP: Final = 60
"""Seconds between two samples: more often than Prometheus' five minutes, and enough for windows of an hour."""

UNTIL: Final = 5
"""Seconds before now: what Prometheus scrapes itself must come later."""

FAMILIES: Final = ("relay_slo_", "relay_up", "relay_probe_up", "relay_monitor_", "relay_probe_pair_seconds")
IMPORT_TIMEOUT: Final = 120.0


def backfill(config: str, folder: Path, instance: str) -> Path:
    """Blocks of good history for the monitor of this configuration at `instance`; returns their folder."""
    text = folder / "history.txt"
    now = time.time() - UNTIL
    moments = [now - STEP * number for number in range(HOURS * 3600 // STEP, -1, -1)]
    with text.open("w", encoding="utf-8") as file:
        for line in _lines(config, instance, moments):
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


def _lines(config: str, instance: str, moments: list[float]) -> Iterator[str]:
    parsed = parse(config, "history", {})
    metrics = Metrics(parsed, version="0")
    metrics.set_healthy(True)
    for relay in parsed.relays:
        metrics.set_relay_up(relay.name, True)  # noqa: FBT003 - what it is called
    for family in text_string_to_metric_families(metrics.render()[0].decode()):
        if family.type not in {"counter", "gauge"} or not family.name.startswith(FAMILIES):
            continue
        yield f"# TYPE {family.name} {family.type}\n"
        for sample in family.samples:
            labels = sample.labels | {"job": "relay-monitor", "instance": instance}
            speed = _speed(parsed, labels)
            series = ",".join(f'{name}="{value}"' for name, value in labels.items())
            for number, moment in enumerate(moments):
                value = speed * STEP * number if speed else sample.value
                yield f"{sample.name}{{{series}}} {value} {moment:.3f}\n"


def _speed(config: Config, labels: Mapping[str, str]) -> float:
    """What a counter gains a second in health."""
    if labels.get("outcome") == "good":
        slo = next(slo for slo in config.slos if slo.name == labels["slo"])
        return rate([source for source in sources(config, slo, labels["relay"]) if source.probe == labels["probe"]])
    return float(bool(set(labels.values()) & {"connected", "started"}))
