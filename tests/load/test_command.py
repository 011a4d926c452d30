"""`relay-monitor load` as its users run it."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from monitor.cli import app
from monitor.clock import LoopClock
from monitor.errors import StartupError
from monitor.load import host
from monitor.load.load_runner import run_test
from monitor.load.plan import Plan
from monitor.load.progress import line, picture, show_progress
from monitor.load.report import page
from monitor.load.snapshot import Snapshot
from monitor.scenarios import LOAD_SCENARIOS, Scenario
from tests.load.sample import model_of, plan_of, totals_of_samples

if TYPE_CHECKING:
    from monitor.load.scenario_runner import ScenarioRunner
    from monitor.load.totals import FinishedTest
    from tests.relays import Engine

from tests.sockets import closed_port
from tests.virtual_time import WITHOUT_SOCKETS

ENVIRON = os.environ | {"NO_PROXY": "127.0.0.1"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--target", "http://x"], "http://x"),
        (["--target", "embedded", "--scenario", "steady"], "'steady'"),
        (["--target", "embedded", "--ramp-up", "soon"], "'soon' is not a time; expected seconds, such as 60"),
        (["--target", "embedded", "--ramp-up", "-1"], "is out of range"),
        (["--target", "embedded", "--message-interval", "0"], "expected more than 0"),
        (["--target", "embedded", "--connections", "0"], "--connections"),
        (["--target", "embedded", "--crypto", "none"], "'none'"),
        (["--target", "embedded", "--slo-delivery", "101"], "is not a percentage above 0, up to 100"),
        (["--target", "embedded", "--worker", "4/4"], "is not I/N"),
        (["--target", "embedded", "--connections", "2", "--worker", "3/4"], "worker 3/4 has none of the 2 to run"),
        (["--target", "embedded", "--workers", "2"], "needs a relay that all processes can reach"),
        (["--target", "ws://h/x", "--workers", "2", "--worker", "0/2"], "cannot be combined with --worker"),
        (["--target", "ws://h/x", "--workers", "2", "--metrics", "127.0.0.1:0"], "cannot be combined with --metrics"),
        (
            ["--target", "ws://h/x", "--workers", "9", "--connections", "3"],
            "9 workers are more than the 3 ",
        ),
        (["--target", "embedded", "--output", "/no/such/folder/r.json"], "folder /no/such/folder does not exist"),
        (["--target", "embedded", "--output", "/"], "/ cannot be written: Is a directory"),
        (["--target", "embedded", "--report", "/proc/r.html"], "/proc/r.html cannot be written"),
        (["--target", "embedded", "--output", "same", "--report", "./same"], "same is already the file of --output"),
        (["--target", "embedded", "--metrics", "9464"], "--metrics"),
        (["--target", "embedded", "--push-gateway", "no where"], "is not a URL such as http://gateway:9091"),
        ([], "--target"),
    ],
)
def test_wrong_usage_is_told_and_exits_2(flags: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["load", *flags], env={"COLUMNS": "400"})
    assert done.exit_code == 2
    assert message in re.sub(r"\s+", " ", done.stderr)


def test_the_help_shows_each_scenarios_flags_under_it() -> None:
    text = CliRunner().invoke(app, ["load", "--help"]).stdout
    sections = re.split(r"^(\S.*):$", text, flags=re.MULTILINE)
    shown = dict(zip(sections[1::2], sections[2::2], strict=True))
    assert shown.keys() == {"Every scenario", *(scenario.value for scenario in LOAD_SCENARIOS)}
    flags = {name: set(re.findall(r"^  (--[a-z-]+)", part, re.MULTILINE)) for name, part in shown.items()}
    assert flags["async-delivery"] == {"--connection-pairs", "--delay", "--crypto"}
    assert flags["connection-storm"] == {"--connections"}
    assert flags["steady-messaging"] == {"--connection-pairs", "--duration", "--message-interval", "--crypto"}
    assert {"--target", "--scenario", "--output"} <= flags["Every scenario"]


def test_a_flag_that_the_scenario_has_no_use_for_is_told(tmp_path: Path) -> None:
    flags = ["--connections", "1", "--ramp-up", "0", "--delay", "3", "--output", str(tmp_path / "r.json")]
    done = CliRunner().invoke(app, ["load", "--target", "embedded", *flags])
    assert done.exit_code == 0
    assert "--delay is not valid for connection-storm" in done.stderr


def test_an_objective_that_the_scenario_does_not_measure_is_told(tmp_path: Path) -> None:
    done = a_connection(tmp_path, "--slo-round-trip", "1ms", "--slo-stability", "99", "--slo-success", "50")
    assert done.exit_code == 0
    flags = [line.partition(" is not valid for ")[0] for line in done.stderr.splitlines() if "not valid for" in line]
    assert flags == ["relay-monitor: --slo-round-trip", "relay-monitor: --slo-stability"]


CONFIG = """
relays: [{name: demo, url: embedded}]
probes:
  - {name: steady, scenario: steady-messaging, message_interval: 1s}
  - {name: session, scenario: realistic-session, schedule: {every: 1m}}
slos:
  - {name: delivery, probe: steady, sli: availability, objective: 99%, window: 30d}
  - {name: slower, probe: session, sli: trend, factor: 1.5, window: 1d}
"""


def test_a_configuration_that_says_nothing_of_the_scenario_makes_no_bad_test_good(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(CONFIG)
    flags = ("--target", f"ws://127.0.0.1:{closed_port()}/x", "--timeout", "0.1")
    done = a_connection(tmp_path, "--config", str(config), *flags)
    assert done.exit_code == 1
    assert f"{config} has no SLO that connection-storm measures: using the default objectives" in done.stderr
    assert "FAIL  success: 0.000%, at least 99 %" in done.stdout


def test_an_slo_that_a_load_test_cannot_judge_is_told(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(CONFIG)
    flags = ("--target", f"ws://127.0.0.1:{closed_port()}/x", "--scenario", "realistic-session")
    done = a_connection(tmp_path, "--config", str(config), *flags, "--connection-pairs", "1")
    assert done.exit_code == 1
    assert "SLO 'slower' is not valid for realistic-session" in done.stderr
    assert "FAIL  delivery: none, at least 99.9 %" in done.stdout


async def start(*flags: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "monitor", "load", *flags),
        env=ENVIRON,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.required_counterpart("relay engine")
@pytest.mark.parametrize("workers", [1, 2])
async def test_interrupted_it_tells_and_writes_what_there_is(engine: Engine, tmp_path: Path, workers: int) -> None:
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


async def test_ctrl_c_again_takes_no_result() -> None:
    """Whoever is impatient presses it again, just when the files are being written."""
    runners: list[ScenarioRunner] = []
    results: list[FinishedTest] = []

    def finish(finished: FinishedTest) -> None:
        signal.raise_signal(signal.SIGINT)
        results.append(finished)

    plan = Plan(target="embedded", scenario=Scenario.STEADY_STATE, connections=2, ramp_up=0.0, duration=600.0)
    going = asyncio.ensure_future(run_test(plan, LoopClock(), watch=runners.append, finish=finish))
    async with asyncio.timeout(30):
        while not runners or runners[0].statistics.active < 2:  # noqa: ASYNC110 - told of by nobody
            await asyncio.sleep(0.05)
        signal.raise_signal(signal.SIGINT)
        finished = await going
    assert results == [finished]
    assert finished.interrupted
    assert finished.totals.immediate == 2


async def test_progress_that_breaks_costs_no_result() -> None:
    async def break_down() -> None:
        raise BrokenPipeError

    plan = Plan(target="embedded", scenario=Scenario.CONNECTION_STORM, connections=1, ramp_up=0.1)
    finished = await run_test(plan, LoopClock(), watch=lambda _: break_down())
    assert finished.totals.immediate == 1


@pytest.mark.required_counterpart("relay engine")
async def test_workers_share_a_test_and_their_results_are_joined(engine: Engine, tmp_path: Path) -> None:
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
async def test_what_a_killed_worker_did_is_missed_and_what_the_other_did_is_kept(
    engine: Engine, tmp_path: Path
) -> None:
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


def children_of(pid: int) -> list[int]:
    """Its processes, in the order in which they were started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.integration
def test_a_result_is_written_though_nobody_reads_the_lines(tmp_path: Path) -> None:
    output = tmp_path / "r.json"
    reader, writer = os.pipe()
    os.close(reader)
    flags = ("--connections", "1", "--ramp-up", "0", "--output", str(output))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "monitor", "load", "--target", "embedded", *flags],
            env=ENVIRON, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(writer)
    assert json.loads(output.read_text())["passed"] is True
    assert b"Traceback" not in done.stderr


SLO = """
relays: [{name: demo, url: embedded}]
probes: [{name: idle, scenario: steady-state}]
slos: [{name: stability, probe: idle, sli: stability, objective: 99.9%, window: 30d}]
"""


@pytest.mark.integration
async def test_metrics_are_served_while_it_runs(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(SLO)
    flags = ("--scenario", "steady-state", "--connections", "3", "--ramp-up", "0", "--duration", "600")
    port = closed_port()
    process = await start(
        *("--target", "embedded", *flags, "--metrics", f"127.0.0.1:{port}"),
        *("--config", str(config), "--output", str(tmp_path / "r.json")),
    )
    # What the panels of the dashboards show: who connected, who stands, against which objective, how busy we are.
    ours = 'probe="steady-state",relay="target"'
    wanted = (
        'relay_probe_exchanges_total{location="local",outcome="ok",',
        f'relay_probe_pair_seconds_total{{location="local",{ours},scenario="steady-state",state="connected"}}',
        f'relay_slo_events_total{{location="local",outcome="good",{ours},slo="stability"}}',
        "relay_monitor_event_loop_lag_seconds_count",
    )
    async with asyncio.timeout(60):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)  # not virtual: a process starts
                continue
            writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
            body = await reader.read()
            writer.close()
            shown = [part for part in body.decode().splitlines() if part.startswith(wanted)]
            if len(shown) == len(wanted) and all(float(part.split()[-1]) >= 3 for part in shown):
                break
            await asyncio.sleep(0.1)
        process.send_signal(signal.SIGINT)
        await process.communicate()
    assert process.returncode == 130


def test_metrics_are_pushed_when_it_is_over(tmp_path: Path) -> None:
    pushed: dict[str, bytes] = {}

    class Gateway(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            pushed[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            pass

    with HTTPServer(("127.0.0.1", 0), Gateway) as server:
        serving = Thread(target=server.serve_forever)
        serving.start()
        try:
            done = a_connection(tmp_path, "--push-gateway", f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            serving.join()
    assert done.exit_code == 0
    ((path, body),) = pushed.items()
    assert path == "/metrics/job/relay-monitor-load/scenario/connection-storm/worker/0"
    assert b'relay="target",scenario="connection-storm"} 1.0' in body


def test_a_gateway_that_is_gone_costs_no_result(tmp_path: Path) -> None:
    done = a_connection(tmp_path, "--push-gateway", f"http://127.0.0.1:{closed_port()}")
    assert done.exit_code == 0
    assert (tmp_path / "r.json").exists()


def a_connection(folder: Path, *flags: str) -> Any:
    """A load test of one connection."""
    usual = ("--target", "embedded", "--connections", "1", "--ramp-up", "0", "--output", str(folder / "r.json"))
    return CliRunner().invoke(app, ["load", *usual, *flags], env={"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"})


def test_a_test_too_large_for_this_machine_says_so_before_it_starts() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        pytest.skip("this machine has no limit of file descriptors")
    with pytest.raises(StartupError, match=rf"needs {hard + 64} file descriptors, and this process may have {hard}"):
        host.raise_file_limit(hard)


# What is seen while it runs.

SNAPSHOT = Snapshot(
    started=7, connected=6, failed=1, active=6, good=50, bad=2, reasons={"tcp/refused": 1, "deliver/lost": 2},
    recent={2000: 99, 8000: 1},
)  # fmt: skip


def test_a_line_says_where_a_test_stands() -> None:
    assert line(plan_of(connection_pairs=10), 30.0, SNAPSHOT) == (
        "steady-messaging: 30 s; 7 of 10 started; 6 active; 50 exchanges, 2 failed; "
        "recent P50 2.0 ms, P99 2.0 ms; deliver/lost 2, tcp/refused 1; 45 s left"
    )


def test_workers_progress_is_added_up() -> None:
    both = Snapshot.merge([SNAPSHOT, SNAPSHOT])
    assert (both.started, both.good, both.reasons["tcp/refused"], both.recent[2000]) == (14, 100, 2, 198)
    assert Snapshot.from_json(json.loads(json.dumps(SNAPSHOT.to_json()))) == SNAPSHOT


def test_a_picture_has_bars_and_errors() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(picture(plan_of(connection_pairs=10), 30.0, SNAPSHOT))
    text = console.export_text()
    for part in ("ramp", "time", "45 s left", "6 active", "50 good, 2 failed", "recent P50", "errors: deliver/lost 2"):
        assert part in text


@WITHOUT_SOCKETS
async def test_off_a_terminal_it_is_a_line_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    showing = asyncio.ensure_future(show_progress(plan_of(), LoopClock(), lambda: SNAPSHOT, terminal=False))
    await asyncio.sleep(35)
    showing.cancel()
    lines = capsys.readouterr().err.splitlines()
    assert [item.split(";")[0] for item in lines] == [f"steady-messaging: {at} s" for at in (10, 20, 30)]


# The page.


def test_the_page_needs_nothing_but_itself() -> None:
    totals = totals_of_samples([(float(at), 0.01 * (at + 1)) for at in range(30)])
    totals.reasons["deliver/lost"] = 3
    result = model_of(plan_of(), totals, passed=True)
    made = page(totals, result, text=["<summary & more>"], slos=[("delivery", "100 %", True)])
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#)|url\((?!#)|@import|<script|<link""", made)
    assert made.count("<svg") == 1
    assert "&lt;summary &amp; more&gt;" in made
    assert "round trip" in made
    assert page(totals, result, text=[], slos=[]) == page(totals, result, text=[], slos=[])


def test_a_page_of_nothing_can_be_made() -> None:
    plan = plan_of(Scenario.CONNECTION_STORM)
    totals = totals_of_samples([])
    assert "FAIL" in page(totals, model_of(plan, totals, passed=False), text=[], slos=[])
