"""Series of simulated monitors, written into a Prometheus before it starts: every sample is known."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

from tests.e2e.programs import PROMETHEUS, PROMTOOL, Program, find
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from prometheus_client.registry import CollectorRegistry

JOB: Final = "relay-monitor"
TARGET: Final = {"job": JOB, "instance": "monitor:9464"}
IMPORT_TIMEOUT: Final = 60.0

Key = tuple[str, tuple[tuple[str, str], ...]]
Samples = list[tuple[float, float]]
Series = dict[Key, Samples]
"""Times and values by the series' name and labels."""


def scrape(
    series: Series,
    registry: CollectorRegistry,
    at: float,
    own: Mapping[str, str] = TARGET,
    wanted: Callable[[str], bool] = lambda _: True,
) -> None:
    """Add the samples of the wanted metrics, as Prometheus would scrape them at a time, and `up`.

    `own` are the target's labels.
    """
    series.setdefault(("up", tuple(sorted(own.items()))), []).append((at, 1.0))
    for metric in registry.collect():
        for sample in metric.samples if wanted(metric.name) else ():
            labels = tuple(sorted({**sample.labels, **own}.items()))
            series.setdefault((sample.name, labels), []).append((at, sample.value))


def fail(series: Series, at: float, own: Mapping[str, str] = TARGET) -> None:
    """Add a failed scrape: `up` is 0. The text that Prometheus imports has no markers of stale series."""
    series.setdefault(("up", tuple(sorted(own.items()))), []).append((at, 0.0))


def _lines(series: Mapping[Key, Samples]) -> Iterator[str]:
    for (name, labels), samples in series.items():
        text = ",".join(f'{label}="{_escaped(value)}"' for label, value in labels)
        yield from (f"{name}{{{text}}} {value} {at:.3f}\n" for at, value in samples)
    yield "# EOF\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def write(series: Series, folder: Path, block_hours: int = 2) -> None:
    """Write the series into the data of a Prometheus in this folder.

    The text is read again for each block: a month needs longer ones.
    """
    text = folder / "series.txt"
    with text.open("w", encoding="utf-8") as file:
        file.writelines(_lines(series))
    subprocess.run(
        [
            *(find(PROMTOOL), "tsdb", "create-blocks-from", f"--max-block-duration={block_hours}h"),
            *("openmetrics", text, folder / "prometheus"),
        ],
        check=True,
        capture_output=True,
        timeout=IMPORT_TIMEOUT,
    )


def opened(folder: Path, *flags: str) -> Program:
    """Return the Prometheus of a folder, which scrapes nothing and is not started yet."""
    config = folder / "opened.yml"
    config.write_text("{}\n", "utf-8")
    listen = f"127.0.0.1:{closed_port()}"
    return Program(
        *(find(PROMETHEUS), f"--config.file={config}", f"--storage.tsdb.path={folder / 'prometheus'}"),
        *("--storage.tsdb.retention.time=100y", f"--web.listen-address={listen}", *flags),
        ready=f"http://{listen}/-/ready",
        log=folder / "opened.log",
    )
