"""Monitors of several installs and locations, one Prometheus and one Alertmanager, with all generated files."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import yaml

from monitor.slo.receivers import SECRETS
from tests.e2e.history import backfill
from tests.e2e.programs import ALERTMANAGER, PROMETHEUS, Program, find
from tests.e2e.receiver import Receiver
from tests.relays import ROOT
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

GENERATE_TIMEOUT: Final = 120.0
DEPLOYED: Final = ROOT / "deploy" / "compose" / "prometheus.yml"

HISTORY_STEP: Final = 240
"""Seconds between two samples of the history: few, for many relays."""

JsonObject = dict[str, Any]


def shipped(**changes: Any) -> JsonObject:
    """Return the shipped configuration with some of its top-level keys changed."""
    config: JsonObject = yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))
    return config | changes


class Monitor:
    """One monitor: a process of `relay-monitor run` with its configuration in a folder of its own."""

    def __init__(self, folder: Path, config: JsonObject) -> None:
        self.install = str(config["install"])
        self.location = str(config["location"])
        self.folder = folder
        self.port = closed_port()
        self.file = folder / "config.yaml"
        self.config = config | {
            "server": {"listen": f"127.0.0.1:{self.port}"},
            "state_dir": str(folder / "state"),
            "drill": config.get("drill", {}) | {"webhook_url": self.url},
        }
        self.program: Program | None = None

    @property
    def url(self) -> str:
        """URL of its pages."""
        return f"http://127.0.0.1:{self.port}"

    def write(self) -> None:
        """Write the configuration's file."""
        (self.folder / "state").mkdir(parents=True, exist_ok=True)
        self.file.write_text(yaml.safe_dump(self.config, sort_keys=False), encoding="utf-8")

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        self.program = Program(
            *(sys.executable, "-m", "monitor", "run", "--config", self.file),
            ready=f"{self.url}/-/ready",
            log=self.folder / "monitor.log",
        )
        await self.program.start()

    async def stop(self) -> None:
        """Stop it."""
        if self.program is not None:
            await self.program.stop()

    async def kill(self) -> None:
        """Kill it."""
        if self.program is not None:
            await self.program.kill()

    async def restart(self) -> None:
        """Stop it, as a rolling update does, and start it again."""
        await self.stop()
        await self.start()


@dataclass(frozen=True, slots=True)
class Unwatched:
    """Monitors that run elsewhere: the configuration of their install, for its rules, and their addresses."""

    config: JsonObject
    targets: Sequence[str]


class Monitoring:
    """All programs. As a context manager it starts them and stops them.

    Each configuration of `configs` is one monitor's; those of one install have the same rules. `interval` is that of
    scrapes and evaluations. Without `waits`, Alertmanager waits as generated; with it, that long everywhere. Monitors
    of `others` are scraped, and their installs' rules evaluated; they are not started. `jobs` are scraped too. With
    `reads`, monitors read from Prometheus. Without `history`, Prometheus starts empty.
    """

    def __init__(
        self,
        folder: Path,
        configs: Sequence[JsonObject],
        *,
        interval: str = "15s",
        waits: str | None = None,
        others: Sequence[Unwatched] = (),
        jobs: Sequence[JsonObject] = (),
        reads: bool = False,
        history: bool = True,
    ) -> None:
        self.folder = folder
        self.interval = interval
        self.waits = waits
        self.receiver = Receiver()
        self.jobs = jobs
        self.others = others
        self.reads = reads
        self.history = history
        self.ports = {"prometheus": closed_port(), "alertmanager": closed_port()}
        self.monitors = [self._monitor(config) for config in configs]
        self._stack = AsyncExitStack()

    def _monitor(self, config: JsonObject) -> Monitor:
        url = self.prometheus_url if self.reads else None
        settings = {"url": url, "scrape_interval": self.interval, "evaluation_interval": self.interval}
        return Monitor(self.folder / f"{config['install']}-{config['location']}", config | {"prometheus": settings})

    def of(self, install: str, location: str | None = None) -> Monitor:
        """Return the monitor of an install and location; the first of the install without one."""
        return next(item for item in self.monitors if item.install == install and location in {None, item.location})

    @property
    def prometheus_url(self) -> str:
        """URL of Prometheus."""
        return f"http://127.0.0.1:{self.ports['prometheus']}"

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self.receiver.start()
            stack.push_async_callback(self.receiver.stop)
            elsewhere = [self._monitor(other.config) for other in self.others]
            for monitor in (*self.monitors, *elsewhere):
                monitor.write()
            installs = {item.install: item for item in reversed([*self.monitors, *elsewhere])}
            await asyncio.gather(*(asyncio.to_thread(self._generate, item) for item in installs.values()))
            if self.history:
                await asyncio.to_thread(self._backfill)
            self.alertmanager = await stack.enter_async_context(self._alertmanager(sorted(installs)))
            await stack.enter_async_context(self._prometheus(sorted(installs)))
            for monitor in self.monitors:
                stack.push_async_callback(monitor.stop)
            await asyncio.gather(*(monitor.start() for monitor in self.monitors))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def _generate(self, monitor: Monitor) -> None:
        """Generate an install's rules and routes with the command."""
        command = [sys.executable, "-m", "monitor", "generate", "--config", monitor.file]
        output = self.folder / "generated" / monitor.install
        done = subprocess.run(
            [*map(str, command), "--output", str(output)],
            capture_output=True,
            text=True,
            check=False,
            timeout=GENERATE_TIMEOUT,
            cwd=ROOT,
        )
        if done.returncode != 0:
            raise RuntimeError(f"generate failed: {done.stderr}")

    def _backfill(self) -> None:
        """Give Prometheus 24 hours without failures, so that a budget is not burnt by one short outage."""
        for monitor in self.monitors:
            backfill(monitor.file.read_text("utf-8"), self.folder, f"127.0.0.1:{monitor.port}", step=HISTORY_STEP)

    def _alertmanager(self, installs: Iterable[str]) -> Program:
        port = self.ports["alertmanager"]
        files = {
            install: yaml.safe_load((self.folder / "generated" / install / "alerts" / "alertmanager.yml").read_text())
            for install in installs
        }
        config = merge_routes(files)
        for receiver in config["receivers"]:
            if len(receiver) > 1 and not receiver["name"].startswith("drill"):
                for kind in [kind for kind in receiver if kind != "name"]:
                    del receiver[kind]
                receiver["webhook_configs"] = [{"url": self.receiver.url(receiver["name"]), "send_resolved": True}]
        if self.waits is not None:
            _set_waits(config["route"], self.waits)
        file = self.folder / "alertmanager.yml"
        file.write_text(yaml.safe_dump(config).replace(SECRETS, str(self.folder)), encoding="utf-8")
        return Program(
            find(ALERTMANAGER),
            *(f"--config.file={file}", f"--storage.path={self.folder / 'alertmanager'}", "--cluster.listen-address="),
            f"--web.listen-address=127.0.0.1:{port}",
            ready=f"http://127.0.0.1:{port}/-/ready",
            log=self.folder / "alertmanager.log",
        )

    def _prometheus(self, installs: Iterable[str]) -> Program:
        """Return Prometheus with the deployed configuration; addresses, rule files and intervals differ."""
        port = self.ports["prometheus"]
        config = yaml.safe_load(DEPLOYED.read_text("utf-8"))
        config["global"] |= {"scrape_interval": self.interval, "evaluation_interval": self.interval}
        config["rule_files"] = [
            str(self.folder / "generated" / install / "alerts" / "relay-monitor.rules.yml") for install in installs
        ]
        config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [self._address("alertmanager")]}]}]
        job = next(job for job in config["scrape_configs"] if job["job_name"] == "relay-monitor")
        own = [f"127.0.0.1:{monitor.port}" for monitor in self.monitors]
        job["static_configs"] = [{"targets": [*own, *(target for other in self.others for target in other.targets)]}]
        config["scrape_configs"] = [job, *self.jobs]
        file = self.folder / "prometheus.yml"
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        return Program(
            find(PROMETHEUS),
            *(f"--config.file={file}", f"--storage.tsdb.path={self.folder / 'prometheus'}"),
            *("--storage.tsdb.retention.time=40d", "--web.enable-lifecycle", f"--web.listen-address=127.0.0.1:{port}"),
            "--enable-feature=exemplar-storage",
            ready=f"http://127.0.0.1:{port}/-/ready",
            log=self.folder / "prometheus.log",
        )

    def _address(self, part: str) -> str:
        return f"127.0.0.1:{self.ports[part]}"


def merge_routes(files: Mapping[str, JsonObject]) -> JsonObject:
    """Merge the generated Alertmanager configurations of several installs: each install's route gets its alerts."""
    routes = []
    rules: list[JsonObject] = []
    receivers: dict[str, JsonObject] = {}
    for install, file in files.items():
        routes.append(file["route"] | {"matchers": [f'install="{install}"', *file["route"].get("matchers", ())]})
        rules += [rule for rule in file["inhibit_rules"] if rule not in rules]
        receivers |= {receiver["name"]: receiver for receiver in file["receivers"]}
    root = {key: value for key, value in routes[0].items() if key not in {"routes", "matchers"}}
    return {
        "route": root | {"routes": routes},
        "inhibit_rules": rules,
        "receivers": list(receivers.values()),
    }


def _set_waits(route: JsonObject, wait: str) -> None:
    route["group_wait"] = route["group_interval"] = wait
    for child in route.get("routes", ()):
        _set_waits(child, wait)
