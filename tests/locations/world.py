"""The programs of the example of three locations: a monitor at each, relays, references, Prometheus and Alertmanager.

The series of the monitors come to the central Prometheus by one of three topologies, as in docs/locations.md.

All have the files of deploy/locations, with their names and ports. What differs: Alertmanager's receivers are webhooks,
and TLS certificates are of an authority of the test. Runs on the host `central` of its network.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, Self

import httpx
import trustme
import yaml

from tests.counterparts import ENGINE
from tests.e2e.programs import ALERTMANAGER, PROMETHEUS, Program, find
from tests.e2e.receiver import Receiver
from tests.locations.network import LOCATIONS, REFERENCES, RELAY, RELAYS, STAGING
from tests.locations.reference import CONFIG, FOLDER, TARGET
from tests.relays import Engine

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from tests.locations.network import Network

INTERVAL: Final = "15s"
"""Scrapes and evaluations in the example."""

PROMETHEUS_URL: Final = "https://prometheus.example.com"
RELAY_NAMES: Final = {RELAY: "relay.example.com", STAGING: "relay.staging.example.com"}

DIRECT: Final = "direct"
FEDERATED: Final = "federated"
REMOTE_WRITE: Final = "remote-write"
CENTRAL_FILES: Final = {
    DIRECT: "prometheus-direct.yml",
    FEDERATED: "prometheus-federated.yml",
    REMOTE_WRITE: "prometheus-receiving.yml",
}
LOCAL_FILES: Final = {FEDERATED: "prometheus-local.yml", REMOTE_WRITE: "prometheus-remote-write.yml"}
"""The files of Prometheus in each topology: the central one, and those of the locations."""

PASSWORD_FILE: Final = "/etc/prometheus/central-password"

Votes = dict[str, float]
"""What each location that has a vote says of the relay."""


class World:
    """All programs of one world. As a context manager it starts them and stops them.

    `rules` is a folder that `generate` wrote. Scrapes and evaluations are `interval` apart.
    """

    def __init__(
        self, network: Network, folder: Path, rules: Path, *, topology: str = DIRECT, interval: str = INTERVAL
    ) -> None:
        self.network, self.topology = network, topology
        self.receiver = Receiver()
        self.relay: Engine
        self.monitors: dict[str, Program] = {}
        self._folder, self._rules, self._interval = folder, rules, interval
        self._ca_file = folder / "ca.pem"
        self._certificates: dict[str, tuple[Path, Path]] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._write()
        async with AsyncExitStack() as stack:
            await self.receiver.start()
            stack.push_async_callback(self.receiver.stop)
            self.relay = await self._start_relay(RELAY)
            stack.push_async_callback(self._stop_relay)
            await stack.enter_async_context(await self._start_relay(STAGING))
            inside = self._logged(REFERENCES)
            await stack.enter_async_context(await Engine.start(ENGINE.path, "-listen", "0.0.0.0:443", inside=inside))
            self.monitors = {location: self._monitor(location) for location in LOCATIONS}
            for monitor in self.monitors.values():
                stack.push_async_callback(monitor.stop)
            await asyncio.gather(*(monitor.start() for monitor in self.monitors.values()))
            for location in LOCATIONS if self.topology in LOCAL_FILES else ():
                await stack.enter_async_context(self._local_prometheus(location))
            await stack.enter_async_context(self._alertmanager())
            await stack.enter_async_context(self._prometheus())
            self._client = await stack.enter_async_context(
                httpx.AsyncClient(verify=ssl.create_default_context(cafile=self._ca_file), trust_env=False, timeout=10)
            )
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def votes(self) -> Votes:
        """Return the votes about the relay, as the rules see them."""
        query = {"query": 'relay:up:vote{install="production", relay="relay"}'}
        response = await self._client.get(f"{PROMETHEUS_URL}/api/v1/query", params=query)
        found = response.raise_for_status().json()["data"]["result"]
        return {each["metric"]["location"]: float(each["value"][1]) for each in found}

    async def kill_relay(self) -> None:
        """Kill the relay."""
        await self.relay.kill()

    async def revive_relay(self) -> None:
        """Start the relay again."""
        self.relay = await self._start_relay(RELAY)

    def _write(self) -> None:
        """Write certificates and configurations."""
        self._folder.mkdir(parents=True)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self._ca_file)
        for name in (*RELAY_NAMES.values(), "prometheus.example.com"):
            issued = authority.issue_cert(name)
            files = self._folder / f"{name}.pem", self._folder / f"{name}.key"
            issued.cert_chain_pems[0].write_to_path(files[0])
            issued.private_key_pem.write_to_path(files[1])
            self._certificates[name] = files
        for name in (CONFIG.name, CENTRAL_FILES[self.topology]):
            (self._folder / name).write_text(self._text(name), "utf-8")
        (self._folder / "alerts").symlink_to(self._rules / "alerts")

    def _text(self, name: str) -> str:
        """Return a file of the example with the intervals of this world."""
        text = (FOLDER / name).read_text("utf-8")
        return text.replace(f"_interval: {INTERVAL}", f"_interval: {self._interval}")

    async def _start_relay(self, address: str) -> Engine:
        certificate, key = self._certificates[RELAY_NAMES[address]]
        flags = ("-listen", f"{address}:443", "-tls-cert", str(certificate), "-tls-key", str(key))
        return await Engine.start(ENGINE.path, *flags, inside=self._logged(RELAYS))

    def _logged(self, host: str) -> tuple[str, ...]:
        """Return the words before a command on a host whose stderr is a file."""
        return (*self.network.inside(host), "sh", "-c", f'exec "$@" 2>> {self._folder / host}.log', "sh")

    async def _stop_relay(self) -> None:
        await self.relay.stop()

    def _at(self, location: str, **variables: str) -> tuple[str, ...]:
        """Return the words before a command at a location."""
        trusting = {"SSL_CERT_FILE": str(self._ca_file), **variables}
        return (*self.network.inside(location), "env", *(f"{name}={value}" for name, value in trusting.items()))

    def _monitor(self, location: str) -> Program:
        return Program(
            *self._at(location, LOCATION=location, STATE_DIR=str(self._folder / f"state-{location}")),
            *(sys.executable, "-m", "monitor", "run", "--config", self._folder / CONFIG.name),
            ready=f"http://monitor.{location}.example.com:9464/-/ready",
            log=self._folder / f"monitor-{location}.log",
        )

    def _local_prometheus(self, location: str) -> Program:
        """Return the Prometheus of a location; the example is that of Frankfurt."""
        file, password = self._folder / f"prometheus-{location}.yml", self._folder / "password"
        password.touch()
        text = self._text(LOCAL_FILES[self.topology]).replace(PASSWORD_FILE, str(password))
        file.write_text(re.sub(r"\b(prometheus|username): fra\b", rf"\1: {location}", text), "utf-8")
        return Program(
            *self._at(location),
            find(PROMETHEUS),
            *(f"--config.file={file}", f"--storage.tsdb.path={self._folder / f'prometheus-{location}'}"),
            "--web.listen-address=:9090",
            ready=f"http://prometheus.{location}.example.com:9090/-/ready",
            log=self._folder / f"prometheus-{location}.log",
        )

    def _prometheus(self) -> Program:
        certificate, key = self._certificates["prometheus.example.com"]
        web = self._folder / "prometheus-web.yml"
        web.write_text(yaml.safe_dump({"tls_server_config": {"cert_file": str(certificate), "key_file": str(key)}}))
        return Program(
            find(PROMETHEUS),
            f"--config.file={self._folder / CENTRAL_FILES[self.topology]}",
            f"--storage.tsdb.path={self._folder / 'prometheus'}",
            *("--storage.tsdb.retention.time=40d", "--web.listen-address=:443", f"--web.config.file={web}"),
            *(["--web.enable-remote-write-receiver"] if self.topology == REMOTE_WRITE else []),
            ready=f"{PROMETHEUS_URL}/-/ready",
            log=self._folder / "prometheus.log",
            ca_file=self._ca_file,
        )

    def _alertmanager(self) -> Program:
        """Return Alertmanager with the example's routes; each receiver is a webhook of the test."""
        config: dict[str, Any] = yaml.safe_load(TARGET.read_text("utf-8"))
        config["receivers"] = [
            {"name": each["name"]}
            | ({"webhook_configs": [{"url": self.receiver.url(each["name"])}]} if len(each) > 1 else {})
            for each in config["receivers"]
        ]
        file = self._folder / "alertmanager.yml"
        file.write_text(yaml.safe_dump(config), "utf-8")
        return Program(
            find(ALERTMANAGER),
            *(f"--config.file={file}", f"--storage.path={self._folder / 'alertmanager'}", "--cluster.listen-address="),
            "--web.listen-address=127.0.0.1:9093",
            ready="http://127.0.0.1:9093/-/ready",
            log=self._folder / "alertmanager.log",
        )
