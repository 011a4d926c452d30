"""The live steps of `once` on a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest

from monitor.cli.once_steps import latest, steps
from monitor.daemon.once import RunProgress
from monitor.results import Failure, Mark, Run
from monitor.scenarios import Scenario
from monitor.vocabulary import Outcome, Reason, Step
from tests.cli.commands import command
from tests.relays import ROOT

if TYPE_CHECKING:
    from pathlib import Path

MARKS = [
    Mark("dapp", Step.TCP, 0.0, 0.0012),
    Mark("dapp", Step.UPGRADE, 0.002, 0.004),
    Mark("wallet", Step.HELLO, 0.004, 0.0044),
]


class Recorder:
    """What is read of a recorder."""

    started = 100.0
    marks = MARKS


def ended(outcome: Outcome, failure: Failure | None = None) -> Run:
    return Run(
        id="0190", relay="demo", probe="idle", scenario=Scenario.STEADY_STATE,
        started_at=datetime(2024, 5, 1, tzinfo=UTC), duration=1.25, outcome=outcome, failure=failure,
    )  # fmt: skip


def texts(progress: list[RunProgress], width: int = 80, height: int = 24) -> list[str]:
    return [line.plain for line in steps(progress, 102.5, width, height)]


def test_each_run_is_a_line_and_those_that_go_on_come_first() -> None:
    failure = Failure(step=Step.TCP, reason=Reason.REFUSED)
    shown = texts(
        width=100,
        progress=[
            RunProgress("demo", "idle", run=ended(Outcome.OK)),
            RunProgress("gone", "session", run=ended(Outcome.FAILED, failure)),
            RunProgress("demo", "steady", recorder=cast("Any", Recorder())),
            RunProgress("busy", "steady"),
        ],
    )
    assert shown == [
        "steady at demo      2.5 s  dapp tcp 1.2 ms, dapp upgrade 2.0 ms, wallet hello 0.4 ms",
        "steady at busy   waiting for the relay's limits",
        "idle at demo        1.2 s  ok",
        "session at gone     1.2 s  failed tcp refused",
    ]


def test_the_latest_steps_fit_the_terminal() -> None:
    assert latest(MARKS, 40) == "dapp upgrade 2.0 ms, wallet hello 0.4 ms"
    assert latest(MARKS, 39) == "wallet hello 0.4 ms"
    assert latest(MARKS, 5) == ""
    progress = [RunProgress(f"relay-{number}", "steady", run=ended(Outcome.OK)) for number in range(40)]
    lines = texts(progress, width=20, height=10)
    assert len(lines) == 10
    assert lines[-1] == "31 more; 40 of 40 done"
    assert all(len(line) <= 20 for line in lines[:-1])


@pytest.mark.integration
def test_a_terminal_shows_the_steps_and_then_the_results(config: Path) -> None:
    terminal, stderr = pty.openpty()
    fcntl.ioctl(stderr, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    with subprocess.Popen(
        command("once", "--config", config, "--probe", "offline"), stdin=stderr, stdout=subprocess.PIPE, stderr=stderr,
        env=os.environ | {"TERM": "xterm"}, cwd=ROOT,
    ) as process:  # fmt: skip
        os.close(stderr)
        stdout = process.communicate(timeout=60)[0].decode()
    shown = b""
    try:
        while chunk := os.read(terminal, 65536):
            shown += chunk
    except OSError:  # the end of a terminal
        pass
    os.close(terminal)
    assert process.returncode == 0
    assert b"offline at demo" in shown
    assert b" ms" in shown
    assert stdout.startswith("ok  offline at demo")
    assert "\x1b" not in stdout
