"""Small load tests against real relays: the embedded one, the engine, and faulty ones."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from monitor.cli import app
from monitor.clock import SYSTEM_CLOCK
from monitor.load.plan import Plan
from monitor.load.scenario_runner import ScenarioRunner
from monitor.scenarios import Scenario
from tests.sockets import closed_port

if TYPE_CHECKING:
    from pathlib import Path

SMALL: dict[Scenario, dict[str, Any]] = {
    Scenario.REALISTIC_SESSION: {"messages_per_session": 1},
    Scenario.ASYNC_DELIVERY: {"delay": 0.5},
    Scenario.STEADY_MESSAGING: {"duration": 7.0, "message_interval": 0.2},
    Scenario.CONNECTION_STORM: {},
    Scenario.STEADY_STATE: {"duration": 0.5},
}


@pytest.mark.slow
@pytest.mark.parametrize("scenario", Scenario)
async def test_every_scenario_runs_to_its_end(
    scenario: Scenario, relay_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    plan = Plan(target=relay_url, scenario=scenario, connections=5, connection_pairs=5, ramp_up=0.5, **SMALL[scenario])
    runner = ScenarioRunner(plan, SYSTEM_CLOCK)
    await runner.run()
    totals = runner.statistics.totals
    assert (totals.attempted, totals.immediate, totals.failed) == (5, 5, 0)
    assert totals.reasons == {}
    assert totals.exchanges == totals.good
    assert (totals.good > 0) is plan.is_paired
    assert runner.statistics.active == 0
    assert totals.verdicts.keys() <= {"delivered"}
    assert totals.verdicts["delivered"] == 2 * totals.received + totals.recoveries_received


def load(target: str, output: Path, *flags: str) -> tuple[int, dict[str, Any], str]:
    """Run the command; return its exit status, JSON and output."""
    arguments = ["load", "--target", target, "--ramp-up", "0", "--output", str(output), *flags]
    done = CliRunner().invoke(app, arguments, env={"NO_PROXY": "127.0.0.1"})
    return done.exit_code, json.loads(output.read_text()), done.stdout


def test_a_test_that_passes_exits_0(tmp_path: Path) -> None:
    status, result, text = load("embedded", tmp_path / "r.json", "--connections", "3")
    assert status == 0
    assert result["results"]["connections"] == {
        "attempted": 3,
        "successful": 3,
        "failed": 0,
        "successRate": 100.0,
        "immediate": 3,
        "recovered": 0,
    }
    assert text.splitlines()[-1] == "PASS"


def test_a_relay_that_is_down_fails_the_test(tmp_path: Path) -> None:
    flags = ("--scenario", "realistic-session", "--connection-pairs", "2")
    status, result, text = load(f"ws://127.0.0.1:{closed_port()}/connection/websocket", tmp_path / "r.json", *flags)
    assert status == 1
    assert result["results"]["reasons"] == {"tcp/refused": 2}
    assert "FAIL  no exchange succeeded" in text
    assert text.splitlines()[-1] == "FAIL"


def test_a_relay_that_sends_nothing_is_silent_within_the_timeout(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        target = f"ws://127.0.0.1:{deaf.getsockname()[1]}/connection/websocket"
        flags = ("--scenario", "steady-messaging", "--connection-pairs", "3", "--timeout", "1", "--duration", "0")
        status, result, text = load(target, tmp_path / "r.json", *flags)
    assert status == 1
    assert result["results"]["reasons"] == {"upgrade/silent": 3}
    assert result["results"]["timing"]["totalTimeMs"] < 1000 + 5000
    assert text.splitlines()[-1] == "FAIL"
