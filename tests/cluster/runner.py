"""Starts a cluster for each case and one monitor for all cases, runs them side by side, and prints a table."""

from __future__ import annotations

import asyncio
import sys
import traceback
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from tests.balancer import Balancer
from tests.cluster.cases import OLD_KEY
from tests.cluster.cluster import Cluster
from tests.cluster.incident import Incident
from tests.counterparts import CENTRIFUGO, TOXIPROXY
from tests.e2e.monitoring import Monitor, Monitoring, shipped
from tests.e2e.observer import Observer, Said
from tests.e2e.programs import Program
from tests.faults.certificates import Certificates
from tests.faults.toxiproxy import Toxiproxy
from tests.relay_settings import RelaySettings, signed_token
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from tests.cluster.incident import Case

LOCATION: Final = "local"
ALL: Final = "cluster"
"""The install of the cases that do not restart or reload their monitor."""

HEALTHY_TIMEOUT: Final = 180.0
GAP: Final = 2.0
"""Seconds between the beginnings of two cases: together, they would be one outage of the network."""


@asynccontextmanager
async def toxiproxies(folder: Path) -> AsyncIterator[Toxiproxy]:
    """Run toxiproxy."""
    port = closed_port()
    command = (TOXIPROXY.obtain(), "-host", "127.0.0.1", "-port", str(port))
    async with Program(*command, ready=f"http://127.0.0.1:{port}/version", log=folder / "toxiproxy.log"):
        made = Toxiproxy(port)
        try:
            yield made
        finally:
            await made.close()


def install_of(case: Case) -> str:
    """Return the install whose monitor watches a case's relay."""
    return case.name if case.alone else ALL


def relay_of(case: Case, cluster: Cluster, folder: Path, certificates: Certificates) -> dict[str, Any]:
    """Return the configuration of a case's relay."""
    relay: dict[str, Any] = {
        "name": case.name,
        "url": cluster.nodes[0].url if case.endpoints else cluster.balancer.url,
        "limits": {"connects_per_minute": 120, "messages_per_minute": 600},
    }
    if case.endpoints:
        relay["endpoints"] = [node.url for node in cluster.nodes]
    if case.tls:
        relay["tls"] = {"ca_file": str(certificates.ca_file)}
    if case.token:
        file = folder / case.name / "token"
        file.write_text(signed_token(OLD_KEY), encoding="utf-8")
        relay["token_file"] = str(file)
    return relay | case.relay


def config_of(install: str, relays: Sequence[dict[str, Any]], references: Sequence[str]) -> dict[str, Any]:
    """Return the shipped configuration for these relays; wallets are absent for five seconds, every 20."""
    config = shipped(install=install, location=LOCATION, locations=[LOCATION], relays=list(relays))
    config["references"] = list(references)
    for probe in config["probes"]:
        if probe["scenario"] == "async-delivery":
            probe |= {"schedule": {"every": "20s"}, "delay": "5s"}
    return config


async def start_cluster(case: Case, folder: Path, toxiproxy: Toxiproxy, certificates: Certificates) -> Cluster:
    """Return the cluster of a case, not started yet."""
    own = folder / case.name
    own.mkdir()
    settings = RelaySettings(
        history_size=case.history_size,
        history_ttl=case.history_ttl,
        token_key=OLD_KEY if case.token else None,
    )
    program = await asyncio.to_thread(CENTRIFUGO.obtain)
    tls = certificates.server() if case.tls else None
    cluster = Cluster(own, program, toxiproxy, settings, tls)
    cluster.client = case.client
    return cluster


async def run_one(incident: Incident, case: Case, delay: float) -> Incident:
    """Run one case once its relay is up."""
    await asyncio.sleep(delay)
    up = await incident.observer.until(incident.key, lambda said: said.up == 1, HEALTHY_TIMEOUT)
    if up is None:
        incident.check("up before the incident", good=False, found=incident.observer.now(incident.key))
        return incident
    await incident.begin()
    try:
        await case.run(incident)
    except Exception:  # noqa: BLE001 - the other cases go on
        incident.check("the case ran", good=False, found=traceback.format_exc())
    sys.stderr.write(
        f"{case.name}: {sum(not check.good for check in incident.checks)} of {len(incident.checks)} wrong\n"
    )
    return incident


async def run_all(cases: Sequence[Case], folder: Path, interval: str = "15s", *, pages: bool = True) -> list[Incident]:
    """Run cases side by side, and return what was found. Without `pages`, there are only the monitors."""
    certificates = Certificates(folder)
    async with AsyncExitStack() as stack:
        toxiproxy = await stack.enter_async_context(toxiproxies(folder))
        clusters = {
            case.name: await stack.enter_async_context(await start_cluster(case, folder, toxiproxy, certificates))
            for case in cases
        }
        relays: dict[str, list[dict[str, Any]]] = {}
        for case in cases:
            relays.setdefault(install_of(case), []).append(relay_of(case, clusters[case.name], folder, certificates))
        references = [
            (await stack.enter_async_context(Balancer(host=host))).address for host in ("127.0.0.2", "127.0.0.3")
        ]
        configs = [config_of(install, found, references) for install, found in relays.items()]
        monitoring = Monitoring(folder, configs, interval=interval)
        await stack.enter_async_context(monitoring if pages else _only_monitors(monitoring.monitors))
        observer = Observer(monitoring.monitors, 1.0)
        observing = asyncio.create_task(observer.run())
        stack.callback(observing.cancel)
        incidents = [
            Incident(
                name=case.name,
                cluster=clusters[case.name],
                monitor=monitoring.of(install_of(case)),
                observer=observer,
                monitoring=monitoring if pages else None,
                folder=folder / case.name,
            )
            for case in cases
        ]
        return await asyncio.gather(
            *(
                run_one(incident, case, GAP * number)
                for number, (incident, case) in enumerate(zip(incidents, cases, strict=True))
            )
        )


@asynccontextmanager
async def _only_monitors(monitors: Sequence[Monitor]) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for monitor in monitors:
            monitor.write()
            stack.push_async_callback(monitor.stop)
            await monitor.start()
        yield


def table(incidents: Sequence[Incident]) -> list[str]:
    """Return the results as lines of text."""
    lines = []
    for incident in incidents:
        lines += [f"{incident.name}"]
        lines += [f"  {'ok   ' if check.good else 'WRONG'} {check.what}: {check.found}" for check in incident.checks]
        said: list[tuple[float, Said]] = incident.observer.since(incident.key, incident.began)
        lines += [f"        +{at:5.1f} s {what}" for at, what in said]
        lines += [
            f"        +{at:5.1f} s received {alert['status']} {alert['labels']['alertname']}"
            f" ({alert['labels'].get('severity', '')}): {alert['annotations'].get('summary', '')}"
            for status in ("firing", "resolved")
            for at, _, alert in incident.notifications(status)
        ]
    return lines
