"""SIGTERM while runs wait at every step there is: all of it is over within ten seconds, and every run is told of."""

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
from monitor.vocabulary import Outcome
from tests.daemon.harness import page, total, until
from tests.relays import ROOT
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MUTE: Final = "mute.invalid"
"""A name that the resolver never answers."""

BEHIND: Final = "behind.invalid"
"""A name that a proxy is asked for, which never answers."""

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
"""Where a run hangs → what makes it hang there; of the last three nothing does: they wait by themselves."""

ABSENCES: Final = {"resume": "1s", "recover": "1s", "away": "60s"}
STANDING: Final = {"exchange": "steady-messaging, message_interval: 60s", "hold": "steady-state"}
STEPS: Final = ("resolve", "proxy", *FAULTS)

# What a process of its own has in the place of the system's resolver.
RESOLVER: Final = f"""
import socket, time
system = socket.getaddrinfo
def mute(host, *args, **more):
    if host == {MUTE!r} and not more.get("flags"):
        time.sleep(60)
    return system(host, *args, **more)
socket.getaddrinfo = mute
"""


def written(urls: dict[str, str], folder: Path, port: int) -> str:
    """A configuration with a relay, and a probe at it, for each step."""
    sides = "headers: {dapp: {X-Side: dapp}, wallet: {X-Side: wallet}}"
    relays = "".join(f'  - {{name: {step}, url: "{url}", {sides}}}\n' for step, url in urls.items())
    probes = ""
    for step in urls:
        what = "realistic-session, schedule: {every: 10m}"
        if step in ABSENCES:
            what = f"async-delivery, schedule: {{every: 10m}}, delay: {ABSENCES[step]}"
        probes += f"  - {{name: at-{step}, scenario: {STANDING.get(step, what)}, relays: {step}, timeout: 40s}}\n"
    return f'server: {{listen: "127.0.0.1:{port}"}}\nstate_dir: {folder}\nrelays:\n{relays}probes:\n{probes}'


class LoadContext:
    """Relays that each hang at a step, and what they have seen."""

    def __init__(self) -> None:
        self.urls = {"resolve": f"ws://{MUTE}/x", "proxy": f"ws://{BEHIND}/x"}
        self.plans: dict[str, FaultPlan] = {}
        self.asked: set[str] = set()
        self.proxy = 0

    @property
    def all_hang(self) -> bool:
        """Whether every fault that leaves a note has struck, and the proxy was asked."""
        noted = {step for step, plan in self.plans.items() if plan.injected}
        return "proxy" in self.asked and noted >= set(FAULTS) - {"tcp", "tls", "away", "exchange", "hold"}


@asynccontextmanager
async def scene() -> AsyncIterator[LoadContext]:
    made = LoadContext()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.asked.add("proxy")
        await reader.read()
        writer.close()

    async with AsyncExitStack() as stack:
        for step, spec in FAULTS.items():
            made.plans[step] = FaultPlan([parse_fault(spec)])
            relay = EmbeddedRelay(plan=made.plans[step])
            await relay.start()
            stack.push_async_callback(relay.stop)
            made.urls[step] = relay.url.replace("ws:", "wss:") if step == "tls" else relay.url
        proxy = await asyncio.start_server(swallow, "127.0.0.1", 0)
        stack.callback(proxy.close)
        made.proxy = proxy.sockets[0].getsockname()[1]
        yield made


def environment(made: LoadContext) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return others | {"http_proxy": f"http://127.0.0.1:{made.proxy}", "no_proxy": f"127.0.0.1,{MUTE}"}


def judged(runs: list[dict[str, Any]]) -> dict[str, set[str]]:
    """The outcomes of each relay's runs, by its name."""
    found: dict[str, set[str]] = {}
    for run in runs:
        found.setdefault(run["relay"], set()).add(run["outcome"])
    return found


@pytest.mark.slow
async def test_in_every_step_a_run_is_aborted_in_metrics_and_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, system = threading.Event(), socket.getaddrinfo
    async with scene() as made:
        for name in os.environ.keys() - environment(made).keys():
            monkeypatch.delenv(name)
        for name, value in environment(made).items():
            monkeypatch.setenv(name, value)

        def mute(host: str, *args: Any, **more: Any) -> Any:
            if host == MUTE and not more.get("flags"):
                released.wait(60)
            return system(host, *args, **more)

        monkeypatch.setattr(socket, "getaddrinfo", mute)
        monitor = Monitor(parse(written(made.urls, tmp_path, 0), "monitor.yaml", {}))
        await monitor.start()
        await until(lambda: made.all_hang, 30)
        began = time.monotonic()
        await monitor.stop()
        assert time.monotonic() - began < 10
        released.set()
    found = page(monitor)
    for step in STEPS:
        outcomes = {kept.run.outcome for kept in monitor.journal.runs(relay=step)}
        assert outcomes == {Outcome.ABORTED}, step
        assert total(found, "relay_probe_exchanges_total", relay=step, outcome="aborted") >= 1, step
        assert total(found, "relay_probe_exchanges_total", relay=step, outcome="failed") == 0, step
        if step != "hold":  # which sends none
            assert total(found, "relay_probe_messages_total", relay=step, verdict="lost") == 0, step


@pytest.mark.integration
@pytest.mark.slow
async def test_the_process_ends_within_ten_seconds_of_sigterm(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(RESOLVER)
    async with scene() as made:
        config = tmp_path / "monitor.yaml"
        config.write_text(written(made.urls, tmp_path / "state", closed_port()))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "monitor", "run", "--config", str(config), "--log-format", "json"),
            stderr=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env=environment(made) | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        )
        try:
            await until(lambda: made.all_hang, 40)
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            async with asyncio.timeout(30):
                _, stderr = await process.communicate()
            took = time.monotonic() - began
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    logged = [json.loads(line) for line in stderr.decode().splitlines()]
    assert process.returncode == 0
    assert took < 10
    assert logged[-1]["event"] == "monitor stopped"
    assert [line for line in logged if line["level"] in {"error", "critical"}] == []
    runs = [json.loads(line) for line in (tmp_path / "state" / "runs.jsonl").read_text().splitlines() if line]
    assert set(judged(runs)) == set(STEPS)
    assert {step: outcomes for step, outcomes in judged(runs).items() if outcomes != {"aborted"}} == {}


@pytest.mark.integration
@pytest.mark.slow
async def test_files_whose_reading_hangs_do_not_hold_up_the_end(tmp_path: Path) -> None:
    config, web, port = tmp_path / "monitor.yaml", tmp_path / "web.yml", closed_port()
    web.write_text("")
    config.write_text(
        f'server: {{listen: "127.0.0.1:{port}", web_config_file: web.yml}}\n'
        "relays: [{name: demo, url: embedded}]\nprobes: [{name: idle, scenario: steady-state}]\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "monitor", "run", "--config", str(config)), stderr=asyncio.subprocess.DEVNULL, cwd=ROOT
    )
    held: list[int] = []

    def answers() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return True
        return False

    def is_read(path: Path) -> bool:
        # A pipe can be opened to be written into once somebody reads; who then writes nothing lets him wait.
        with suppress(OSError):
            held.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
            return True
        return False

    try:
        await until(answers, 20)
        for path in (config, web):
            path.unlink()
            os.mkfifo(path)
        process.send_signal(signal.SIGHUP)
        await until(lambda: is_read(config))
        await until(lambda: answers() and is_read(web))  # who connects has the web configuration looked at
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        for descriptor in held:
            os.close(descriptor)
