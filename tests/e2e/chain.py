"""Relay, monitor, Prometheus with the generated rules, Alertmanager with the generated routes, and a receiver."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import yaml

from tests.e2e.history import backfill
from tests.e2e.programs import ALERTMANAGER, PROMETHEUS, Program, find
from tests.e2e.receiver import Receiver
from tests.relays import ROOT, Engine
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

GENERATE_TIMEOUT = 60.0
DEPLOYED = "deploy/compose/prometheus.yml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Intervals of Prometheus and Alertmanager."""

    scrape: str = "1s"
    evaluation: str = "1s"
    group_wait: str | None = "1s"  # None: as generated
    resend: str = "1s"  # Prometheus resends firing alerts; without one for four times as long, an alert resolves


@dataclass(slots=True, kw_only=True)
class Chain:
    """The running programs; `config` is the monitor's configuration file."""

    folder: Path
    config: Path
    pace: Pace
    receiver: Receiver
    relay: Engine | None = None
    monitor: Program | None = None
    prometheus: Program | None = None
    ports: dict[str, int] = field(default_factory=dict)
    client: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(trust_env=False, timeout=10))

    def address(self, part: str) -> str:
        """Return the URL of a program."""
        return f"http://127.0.0.1:{self.ports[part]}"

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the result of an instant query to Prometheus."""
        response = await self.client.get(f"{self.address('prometheus')}/api/v1/query", params={"query": expression})
        response.raise_for_status()
        result: list[dict[str, Any]] = response.json()["data"]["result"]
        return result

    async def value(self, expression: str) -> float | None:
        """Return the value of an expression with one series or none."""
        found = await self.query(expression)
        return float(found[0]["value"][1]) if found else None

    async def alerts(self, besides: str) -> dict[str, str]:
        """Return the state (pending or firing) of Prometheus' active alerts by name, `besides` one about that."""
        response = await self.client.get(f"{self.address('prometheus')}/api/v1/alerts")
        return {
            alert["labels"]["alertname"]: alert["state"]
            for alert in response.json()["data"]["alerts"]
            if alert["labels"].get("about") != besides
        }

    async def until(self, expression: str, done: Callable[[float | None], bool], seconds: float) -> float:
        """Wait until an expression's value satisfies `done`; returns the seconds waited. Raises `TimeoutError`."""
        began = time.monotonic()
        async with asyncio.timeout(seconds):
            while not done(await self.value(expression)):  # noqa: ASYNC110 - Prometheus has no notifications
                await asyncio.sleep(0.2)
        return time.monotonic() - began

    def generate(self) -> None:
        """Generate rules, routes and dashboards from the configuration with the command."""
        command = [
            sys.executable,
            "-m",
            "monitor",
            "generate",
            "--config",
            str(self.config),
            "--output",
            str(self.folder),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=GENERATE_TIMEOUT, cwd=ROOT)

    async def reload_prometheus(self) -> None:
        """Make Prometheus reload its rules."""
        (await self.client.post(f"{self.address('prometheus')}/-/reload")).raise_for_status()

    async def start_monitor(self) -> None:
        """Start the daemon, as `relay-monitor run` does."""
        self.monitor = Program(
            *(sys.executable, "-m", "monitor", "run", "--config", self.config),
            ready=f"{self.address('monitor')}/-/ready",
            log=self.folder / "monitor.log",
        )
        await self.monitor.start()

    async def assert_no_page(self, seconds: float) -> None:
        """Wait for `seconds` and assert that no page arrived."""
        before = len(self.receiver.pages())
        await asyncio.sleep(seconds)
        assert len(self.receiver.pages()) == before, self.receiver.pages()[-1]

    async def healthy(self, seconds: float = 60.0) -> None:
        """Wait until Prometheus has the relay and every probe as up."""
        await self.until("min(relay_up)", lambda value: value == 1, seconds)
        await self.until("min(relay_probe_up)", lambda value: value == 1, seconds)

    async def paged(self, alert: str, seconds: float) -> float:
        """Wait for a page that names an alert; returns the seconds waited. Raises `TimeoutError`."""
        began = time.monotonic()
        await self.receiver.until(lambda: any(alert in page.names() for page in self.receiver.pages()), seconds)
        return time.monotonic() - began


@asynccontextmanager
async def chain(
    folder: Path,
    engine: Path,
    config: str,
    fields: Mapping[str, str],
    *,
    pace: Pace = Pace(),
    history: bool = False,
) -> AsyncIterator[Chain]:
    """Start everything; `config` is a template with the fields relay, listen and those of `fields`.

    `history`: Prometheus starts with 24 hours without failures. All programs are stopped at the end.
    """
    async with AsyncExitStack() as stack:
        receiver = Receiver()
        await receiver.start()
        stack.push_async_callback(receiver.stop)
        made = Chain(folder=folder, config=folder / "config.yaml", pace=pace, receiver=receiver)
        stack.push_async_callback(made.client.aclose)
        made.ports = {part: closed_port() for part in ("relay", "monitor", "prometheus", "alertmanager")}
        made.relay = await Engine.start(engine, "-listen", f"127.0.0.1:{made.ports['relay']}")
        stack.push_async_callback(lambda: made.relay.stop() if made.relay is not None else asyncio.sleep(0))
        made.config.write_text(
            config.format(relay=made.relay.url, listen=f"127.0.0.1:{made.ports['monitor']}", **fields), encoding="utf-8"
        )
        made.generate()
        if history:
            instance = f"127.0.0.1:{made.ports['monitor']}"
            await asyncio.to_thread(backfill, made.config.read_text("utf-8"), folder, instance)
        await stack.enter_async_context(_alertmanager(made))
        made.prometheus = await stack.enter_async_context(_prometheus(made))
        await made.start_monitor()
        stack.push_async_callback(lambda: made.monitor.stop() if made.monitor is not None else asyncio.sleep(0))
        yield made


def _alertmanager(made: Chain) -> Program:
    """Return Alertmanager with the generated routes; only addresses and, if given, waits differ."""
    port = made.ports["alertmanager"]
    routes = yaml.safe_load((made.folder / "alerts" / "alertmanager.yml").read_text("utf-8"))
    for receiver in routes["receivers"]:
        if len(receiver) > 1:
            for kind in [kind for kind in receiver if kind != "name"]:
                del receiver[kind]
            receiver["webhook_configs"] = [{"url": made.receiver.url(receiver["name"]), "send_resolved": True}]
    if made.pace.group_wait is not None:
        _set_waits(routes["route"], made.pace.group_wait)
    file = made.folder / "alertmanager.yml"
    file.write_text(yaml.safe_dump(routes), encoding="utf-8")
    return Program(
        find(ALERTMANAGER),
        *(f"--config.file={file}", f"--storage.path={made.folder / 'alertmanager'}", "--cluster.listen-address="),
        f"--web.listen-address=127.0.0.1:{port}",
        ready=f"http://127.0.0.1:{port}/-/ready",
        log=made.folder / "alertmanager.log",
    )


def _set_waits(route: dict[str, Any], wait: str) -> None:
    route["group_wait"] = wait
    route["group_interval"] = wait
    if route["receiver"] == "dead-mans-switch":
        route["repeat_interval"] = wait
    for child in route.get("routes", ()):
        _set_waits(child, wait)


def _prometheus(made: Chain) -> Program:
    """Return Prometheus with the configuration that compose.yaml mounts; only addresses and intervals differ."""
    port = made.ports["prometheus"]
    config = yaml.safe_load((ROOT / DEPLOYED).read_text("utf-8"))
    config["global"] |= {"scrape_interval": made.pace.scrape, "evaluation_interval": made.pace.evaluation}
    for part in (*config["scrape_configs"], *config["alerting"]["alertmanagers"]):
        for targets in part["static_configs"]:
            targets["targets"] = [f"127.0.0.1:{made.ports[name.partition(':')[0]]}" for name in targets["targets"]]
    # At the path from which it finds the rules.
    file = made.folder / DEPLOYED
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    return Program(
        find(PROMETHEUS),
        *(f"--config.file={file}", f"--storage.tsdb.path={made.folder / 'prometheus'}"),
        f"--rules.alert.resend-delay={made.pace.resend}",
        *("--storage.tsdb.retention.time=40d", "--web.enable-lifecycle", f"--web.listen-address=127.0.0.1:{port}"),
        ready=f"http://127.0.0.1:{port}/-/ready",
        log=made.folder / "prometheus.log",
    )
