"""A test on worker processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from monitor.cli import app
from tests.load.commands import start

if TYPE_CHECKING:
    from tests.relays import Engine


@pytest.mark.required_counterpart("relay engine")
@pytest.mark.parametrize("workers", [1, 2])
async def test_an_interrupted_test_shows_and_writes_its_results_so_far(
    engine: Engine, tmp_path: Path, workers: int
) -> None:
    output = tmp_path / "r.json"
    flags = ("--scenario", "steady-state", "--connections", "6", "--ramp-up", "0.5", "--duration", "600")
    process = await start("--target", engine.url, *flags, "--workers", str(workers), "--output", str(output))
    async with asyncio.timeout(60):
        while await engine.connections() < 6:  # noqa: ASYNC110 - a foreign program, told of by nobody
            await asyncio.sleep(0.1)  # not virtual: a process starts
        process.send_signal(signal.SIGINT)
        stdout, _ = await process.communicate()
    assert process.returncode == 130
    result = json.loads(output.read_text())
    assert result["meta"]["interrupted"] is True
    assert result["results"]["connections"]["immediate"] == 6
    assert b"steady-state at" in stdout
    assert await engine.connections() == 0


@pytest.mark.required_counterpart("relay engine")
async def test_workers_share_a_test_and_their_results_are_merged(engine: Engine, tmp_path: Path) -> None:
    output, report = tmp_path / "r.json", tmp_path / "r.html"
    flags = ("--scenario", "async-delivery", "--connection-pairs", "5", "--ramp-up", "0.5", "--delay", "0.2")
    process = await start(
        *("--target", engine.url, *flags, "--workers", "2", "--output", str(output), "--report", str(report))
    )
    async with asyncio.timeout(60):
        stdout, stderr = await process.communicate()
    assert (process.returncode, stdout.decode().splitlines()[-1]) == (0, "PASS"), stderr.decode()
    result = json.loads(output.read_text())
    assert result["results"]["recovery"]["received"] == 5
    assert (result["meta"]["workers"], result["passed"]) == (2, True)
    assert result["results"]["latencyMs"]["recovery"]["count"] == 5
    assert "async-delivery" in report.read_text()


@pytest.mark.required_counterpart("relay engine")
async def test_a_killed_workers_results_are_missing_and_the_others_are_kept(engine: Engine, tmp_path: Path) -> None:
    output = tmp_path / "r.json"
    flags = ("--scenario", "steady-state", "--connections", "6", "--ramp-up", "0.5", "--duration", "5")
    process = await start("--target", engine.url, *flags, "--workers", "2", "--output", str(output))
    async with asyncio.timeout(60):
        while await engine.connections() < 6:  # noqa: ASYNC110 - a foreign program, told of by nobody
            await asyncio.sleep(0.1)  # not virtual: a process starts
        os.kill(children_of(process.pid)[1], signal.SIGKILL)
        stdout, stderr = await process.communicate()
    assert process.returncode == 1
    result = json.loads(output.read_text())
    assert (result["passed"], result["meta"]["missingWorkers"]) == (False, [1])
    assert (result["meta"]["includedWorkers"], result["meta"]["config"]["worker"]) == ([0], [0, 2])
    merged = CliRunner().invoke(app, ["merge", str(output), "--output", str(tmp_path / "merged.json")])
    assert merged.exit_code == 1
    assert "FAIL  no result of worker 1" in merged.stdout
    assert result["results"]["connections"]["immediate"] == 3
    assert b"FAIL  no result of worker 1" in stdout
    assert b"Traceback" not in stderr


STRAY = """
import sys, threading, time
if "load-worker" in sys.orig_argv:
    print("a line of a library", flush=True)
    print("[1, 2]")
    print('{"progress": 1}')
    def chat():
        for _ in range(40):
            time.sleep(0.05)
            print("another one", end="", flush=True)
    threading.Thread(target=chat, daemon=True).start()
"""
"""A module that each worker imports at its start; it prints before and while the worker sends messages."""


@pytest.mark.required_counterpart("relay engine")
async def test_what_else_a_worker_prints_harms_no_message(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(STRAY)
    output = tmp_path / "r.json"
    flags = ("--scenario", "steady-state", "--connections", "4", "--ramp-up", "0.5", "--duration", "2")
    process = await start(
        *("--target", engine.url, *flags, "--workers", "2", "--output", str(output)), PYTHONPATH=str(tmp_path)
    )
    async with asyncio.timeout(60):
        stdout, stderr = await process.communicate()
    assert (process.returncode, stdout.decode().splitlines()[-1]) == (0, "PASS"), stderr.decode()
    assert json.loads(output.read_text())["results"]["connections"]["immediate"] == 4


def children_of(pid: int) -> list[int]:
    """Return the child processes in the order of their start."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
