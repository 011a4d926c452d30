"""SIGTERM while runs wait at every step: the daemon stops within ten seconds, and every run is published."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import threading
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import pytest

from monitor.config import parse
from monitor.daemon.app import Monitor
from monitor.embedded import EmbeddedRelay, FaultPlan, parse_fault
from monitor.results import ATTEMPT
from monitor.vocabulary import Outcome
from tests.daemon.harness import page, total, until
from tests.journal.files import stored_runs
from tests.relays import ROOT
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

UNRESOLVED: Final = "unresolved.invalid"
"""A host name for which the resolver never returns."""

PROXIED: Final = "proxied.invalid"
"""A host name behind a proxy that never responds."""

FAULTS: Final = {
    "tcp": "silent:at=tcp",
    "tls": "silent:at=tls",
    "upgrade": "silent:at=upgrade",
    "hello": "silent:at=hello",
    "subscribe": "silent:at=subscribe",
    "history": "silent:at=history",
    "publish": "silent:at=publish",
    "handshake": "drop:channel=handshake",
    "deliver": "drop:channel=session,to=wallet",
    "answer": "drop:channel=session,to=dapp",
    "resume": "silent:at=hello,to=wallet,skip=1",
    "recover": "unstored:at=publish,channel=session,sender=dapp",
    "away": "delay:at=hello,by=0,probability=0",
    "exchange": "delay:at=hello,by=0,probability=0",
    "hold": "delay:at=hello,by=0,probability=0",
}
"""Step at which a run waits → fault that makes it wait; the last three wait without a fault."""

DELAYS: Final = {"resume": "1s", "recover": "1s", "away": "60s"}
CONTINUOUS: Final = {"exchange": "steady-messaging, message_interval: 60s", "hold": "steady-state"}
STEPS: Final = ("resolve", "proxy", *FAULTS)

# The resolver in a process of its own.
RESOLVER: Final = f"""
import socket, time
system = socket.getaddrinfo
def resolve(host, *args, **more):
    if host == {UNRESOLVED!r} and not more.get("flags"):
        time.sleep(60)
    return system(host, *args, **more)
socket.getaddrinfo = resolve
"""


def configuration(urls: dict[str, str], folder: Path, port: int) -> str:
    """Return a configuration with a relay and a probe for each step."""
    sides = "headers: {dapp: {X-Side: dapp}, wallet: {X-Side: wallet}}"
    relays = "".join(f'  - {{name: {step}, url: "{url}", {sides}}}\n' for step, url in urls.items())
    probes = ""
    for step in urls:
        what = "realistic-session, schedule: {every: 10m}"
        if step in DELAYS:
            what = f"async-delivery, schedule: {{every: 10m}}, delay: {DELAYS[step]}"
        probes += f"  - {{name: at-{step}, scenario: {CONTINUOUS.get(step, what)}, relays: {step}, timeout: 40s}}\n"
    return f'server: {{listen: "127.0.0.1:{port}"}}\nstate_dir: {folder}\nrelays:\n{relays}probes:\n{probes}'


class HangingRelays:
    """Relays that each hang at one step."""

    def __init__(self) -> None:
        self.urls = {"resolve": f"ws://{UNRESOLVED}/x", "proxy": f"ws://{PROXIED}/x"}
        self.plans: dict[str, FaultPlan] = {}
        self.requested: set[str] = set()
        self.proxy = 0

    @property
    def all_are_waiting(self) -> bool:
        """True if all observable faults were injected and the proxy was used."""
        noted = {step for step, plan in self.plans.items() if plan.injected}
        return "proxy" in self.requested and noted >= set(FAULTS) - {"tcp", "tls", "away", "exchange", "hold"}


@asynccontextmanager
async def hanging_relays() -> AsyncIterator[HangingRelays]:
    made = HangingRelays()

    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.requested.add("proxy")
        await reader.read()
        writer.close()

    async with AsyncExitStack() as stack:
        for step, spec in FAULTS.items():
            made.plans[step] = FaultPlan([parse_fault(spec)])
            relay = EmbeddedRelay(plan=made.plans[step])
            await relay.start()
            stack.push_async_callback(relay.stop)
            made.urls[step] = relay.url.replace("ws:", "wss:") if step == "tls" else relay.url
        proxy = await asyncio.start_server(ignore, "127.0.0.1", 0)
        stack.callback(proxy.close)
        made.proxy = proxy.sockets[0].getsockname()[1]
        yield made


def environment(made: HangingRelays) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return others | {"http_proxy": f"http://127.0.0.1:{made.proxy}", "no_proxy": f"127.0.0.1,{UNRESOLVED}"}


def outcomes_by_relay(runs: list[dict[str, Any]]) -> dict[str, set[str]]:
    """Return the outcomes of runs by relay."""
    found: dict[str, set[str]] = {}
    for run in runs:
        if run["probe"] == ATTEMPT:
            continue
        found.setdefault(run["relay"], set()).add(run["outcome"])
    return found


@pytest.mark.slow
async def test_a_run_stopped_at_any_step_is_aborted_in_metrics_and_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, system = threading.Event(), socket.getaddrinfo
    async with hanging_relays() as made:
        for name in os.environ.keys() - environment(made).keys():
            monkeypatch.delenv(name)
        for name, value in environment(made).items():
            monkeypatch.setenv(name, value)

        def resolve(host: str, *args: Any, **more: Any) -> Any:
            if host == UNRESOLVED and not more.get("flags"):
                released.wait(60)
            return system(host, *args, **more)

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        monitor = Monitor(parse(configuration(made.urls, tmp_path, 0), "monitor.yaml", {}))
        await monitor.start()
        await until(lambda: made.all_are_waiting, 30)
        stop_started = time.monotonic()
        await monitor.stop()
        assert time.monotonic() - stop_started < 10
        released.set()
    found = page(monitor)
    for step in STEPS:
        outcomes = {kept.run.outcome for kept in monitor.journal.runs(relay=step) if kept.run.probe != ATTEMPT}
        assert outcomes == {Outcome.ABORTED}, step
        assert total(found, "relay_probe_exchanges_total", relay=step, outcome="aborted") >= 1, step
        assert total(found, "relay_probe_exchanges_total", relay=step, outcome="failed") == 0, step
        if step != "hold":  # sends no messages
            assert total(found, "relay_probe_messages_total", relay=step, verdict="lost") == 0, step


@pytest.mark.integration
@pytest.mark.slow
async def test_the_process_ends_within_ten_seconds_of_sigterm(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(RESOLVER)
    async with hanging_relays() as made:
        config = tmp_path / "monitor.yaml"
        config.write_text(configuration(made.urls, tmp_path / "state", closed_port()))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "monitor", "run", "--config", str(config), "--log-format", "json"),
            stderr=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env=environment(made) | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        )
        try:
            await until(lambda: made.all_are_waiting, 40)
            process.send_signal(signal.SIGTERM)
            stop_started = time.monotonic()
            async with asyncio.timeout(30):
                _, stderr = await process.communicate()
            duration = time.monotonic() - stop_started
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    logged = [json.loads(line) for line in stderr.decode().splitlines()]
    assert process.returncode == 0
    assert duration < 10
    assert logged[-1]["event"] == "monitor stopped"
    assert [line for line in logged if line["level"] in {"error", "critical"}] == []
    runs = stored_runs(tmp_path / "state")
    assert set(outcomes_by_relay(runs)) == set(STEPS)
    assert {step: outcomes for step, outcomes in outcomes_by_relay(runs).items() if outcomes != {"aborted"}} == {}


@pytest.mark.integration
@pytest.mark.slow
async def test_a_hanging_read_of_a_file_does_not_delay_the_exit(tmp_path: Path) -> None:
    config, web, port = tmp_path / "monitor.yaml", tmp_path / "web.yml", closed_port()
    web.write_text("")
    config.write_text(
        f'server: {{listen: "127.0.0.1:{port}", web_config_file: web.yml}}\n'
        "relays: [{name: demo, url: embedded}]\nprobes: [{name: idle, scenario: steady-state}]\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "monitor", "run", "--config", str(config)), stderr=asyncio.subprocess.DEVNULL, cwd=ROOT
    )
    opened: list[int] = []

    def is_serving() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return True
        return False

    def is_read(path: Path) -> bool:
        # A pipe can be opened for writing once it is read; the reader waits until something is written.
        with suppress(OSError):
            opened.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
            return True
        return False

    try:
        await until(is_serving, 20)
        for path in (config, web):
            path.unlink()
            os.mkfifo(path)
        process.send_signal(signal.SIGHUP)
        await until(lambda: is_read(config))
        await until(lambda: is_serving() and is_read(web))  # a connection makes it read the web configuration
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        for descriptor in opened:
            os.close(descriptor)
