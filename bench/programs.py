"""Runs the relay and the programs of a benchmark, and compares what they print."""

from __future__ import annotations

import json
import logging
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog

from tests.counterparts import ENGINE, ROOT, MissingToolError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ENVIRON = os.environ | {"PYTHONPATH": str(ROOT)}


@contextmanager
def relay(*flags: str) -> Iterator[str]:
    """Start a relay and yield its URL: the engine, or without Go the embedded relay in a process of its own.

    `flags` are further ones of the engine.
    """
    try:
        command = [str(ENGINE.obtain()), "-listen", "127.0.0.1:0", *flags]
    except MissingToolError:
        command = [sys.executable, "-m", "monitor", "relay", "--listen", "127.0.0.1:0"]
        print("no Go: measuring against the embedded relay instead of the engine")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRON)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[1]
    finally:
        process.terminate()
        process.wait(10)


def measured(program: str, *arguments: object, timeout: float = 120) -> Any:
    """Run a program of this package and return the JSON that it prints."""
    command = [sys.executable, "-m", f"bench.{program}", *map(str, arguments)]
    result = subprocess.run(
        command, cwd=ROOT, env=ENVIRON, capture_output=True, text=True, timeout=timeout, check=False
    )
    if result.returncode:
        raise SystemExit(f"bench.{program} failed:\n{result.stderr[-2000:]}")
    return json.loads(result.stdout.splitlines()[0])


def log_warnings() -> None:
    """Log warnings and errors to stderr: stdout is for figures, and the daemon logs no run that succeeds either."""
    warnings = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=warnings, logger_factory=structlog.PrintLoggerFactory(sys.stderr))


def side_by_side(ones: Sequence[float], others: Sequence[float]) -> tuple[float, float, float]:
    """Return both medians over the rounds, and the median of the ratio within a round."""
    ratio = statistics.median(one / other for one, other in zip(ones, others, strict=True))
    return statistics.median(ones), statistics.median(others), ratio


def slopes(url: str, programs: Mapping[str, Sequence[object]], rounds: int) -> dict[str, list[Any]]:
    """Return, per program and round, the CPU seconds an exchange from 100 to 300 pairs, and the figures at 100 pairs.

    `programs` have their arguments after the number of pairs. In a round all programs run at the same time, with few
    pairs and with many: what slows the machine down slows all of them.
    """
    found: dict[str, list[Any]] = {program: [] for program in programs}
    with ThreadPoolExecutor(2 * len(programs)) as pool:
        for _ in range(rounds):
            few, many = (
                {program: pool.submit(measured, program, url, pairs, *more) for program, more in programs.items()}
                for pairs in (100, 300)
            )
            for program, results in found.items():
                less, more = few[program].result(), many[program].result()
                if failed := less.get("failed", 0) + more.get("failed", 0):
                    raise SystemExit(f"bench.{program}: {failed} exchanges failed; their cost is not comparable")
                results.append(((more["cpu"] - less["cpu"]) / (more["exchanges"] - less["exchanges"]), less))
    return found
