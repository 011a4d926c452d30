"""Metrics of a load test, served and pushed."""

from __future__ import annotations

import asyncio
import signal
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from tests.load.commands import run_one_connection, start
from tests.sockets import closed_port

if TYPE_CHECKING:
    from pathlib import Path

SLO = """
relays: [{name: demo, url: embedded}]
probes: [{name: idle, scenario: steady-state}]
slos: [{name: stability, probe: idle, sli: stability, objective: 99.9%, window: 30d}]
"""


def foreign_names(body: bytes) -> set[str]:
    """Return the names of samples that are not those of a load test.

    There must be none: with relay_monitor_shard_info of a load test it was hidden that a monitor was absent.
    """
    names = {line.split("{")[0].split()[0] for line in body.decode().splitlines() if not line.startswith("#")}
    return {name for name in names if not name.startswith(("relay_load_", "process_"))}


@pytest.mark.integration
async def test_metrics_are_served_during_the_test(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(SLO)
    flags = ("--scenario", "steady-state", "--connections", "3", "--ramp-up", "0", "--duration", "600")
    port = closed_port()
    process = await start(
        *("--target", "embedded", *flags, "--metrics", f"127.0.0.1:{port}"),
        *("--config", str(config), "--output", str(tmp_path / "r.json")),
    )
    # Series of the dashboards: exchanges, connected time, the SLO, the load of the event loop.
    labels = 'probe="steady-state",relay="target"'
    wanted = (
        f'relay_load_exchanges_total{{install="default",location="local",outcome="ok",{labels}',
        f'relay_load_pair_seconds_total{{install="default",location="local",{labels},scenario="steady-state",state="conn',
        f'relay_load_slo_events_total{{install="default",location="local",outcome="good",{labels},slo="stability"}}',
        "relay_load_event_loop_lag_seconds_count",
        f'relay_load_pairs{{install="default",location="local",{labels},scenario="steady-state",state="open"',
        f'relay_load_connects_total{{install="default",location="local",outcome="immediate",{labels}',
        f'relay_load_latency_seconds_count{{install="default",latency="connect",location="local",{labels}',
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
        assert foreign_names(body.partition(b"\r\n\r\n")[2]) == set()
        process.send_signal(signal.SIGINT)
        await process.communicate()
    assert process.returncode == 130


def test_metrics_are_pushed_after_the_test(tmp_path: Path) -> None:
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
            done = run_one_connection(tmp_path, "--push-gateway", f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            serving.join()
    assert done.exit_code == 0
    ((path, body),) = pushed.items()
    assert path == "/metrics/job/relay-monitor-load/scenario/connection-storm/worker/0"
    assert b'relay="target",scenario="connection-storm"} 1.0' in body
    assert foreign_names(body) == set()


def test_an_unreachable_gateway_loses_no_result(tmp_path: Path) -> None:
    done = run_one_connection(tmp_path, "--push-gateway", f"http://127.0.0.1:{closed_port()}")
    assert done.exit_code == 0
    assert (tmp_path / "r.json").exists()
