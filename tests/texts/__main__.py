"""Cause seven incidents, print their texts as a webhook receives them, and check their links and runbooks.

`python -m tests.texts`, ten minutes. Real monitor, Prometheus and Alertmanager with the generated files; scrapes and
evaluations every five seconds, SLO windows of a day. Exits with 1 if a text does not arrive, a link does not work, or a
query of a runbook has no data.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

from monitor.embedded import EmbeddedRelay, FaultPlan, parse_fault
from tests.balancer import Balancer, http_response
from tests.counterparts import ENGINE, MissingToolError
from tests.e2e.monitoring import Monitoring, shipped
from tests.e2e.programs import ALERTMANAGER, PROMETHEUS, find
from tests.faults.certificates import Certificates
from tests.relays import Engine
from tests.texts.incident import Incident, printed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HEALTHY: Final = 30.0
"""Seconds without a fault at the beginning."""

WAIT: Final = 420.0
"""Longest time until an alert: a certificate warns after five minutes."""

EXPECTED: Final = {
    "killed": "RelayDown",
    "refusing": "RelayNotAccepting",
    "silent-node": "RelayPartialFailure",
    "lossy": "RelayMessagesLost",
    "slow": "RelayErrorBudgetBurn",
    "certificate": "RelayCertificateExpiring",
}
"""The alert of each relay."""


class Relays:
    """The relays, each of which can have its fault."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.killed = self.refusing = Balancer()
        self.silent = self.lossy = self.slow = EmbeddedRelay(plan=FaultPlan())

    async def start(self, folder: Path, stack: AsyncExitStack) -> None:
        """Start all of them, healthy."""
        engine = await stack.enter_async_context(await Engine.start(await asyncio.to_thread(ENGINE.obtain)))
        upstream = engine.url.split("/")[2]
        self.killed = await stack.enter_async_context(Balancer(upstream))
        self.refusing = await stack.enter_async_context(Balancer(upstream))
        node = await self._embedded(stack)
        self.silent = await self._embedded(stack, node)
        self.lossy, self.slow = await self._embedded(stack), await self._embedded(stack)
        certificates = Certificates(folder)
        secure = await stack.enter_async_context(Balancer(upstream, tls=certificates.server(days=2)))
        self.entries = [
            {"name": "killed", "url": self.killed.url, "owner": "wallets"},
            {"name": "refusing", "url": self.refusing.url},
            {"name": "silent-node", "url": node.url, "endpoints": [node.url, self.silent.url]},
            {"name": "lossy", "url": self.lossy.url},
            {"name": "slow", "url": self.slow.url},
            {"name": "certificate", "url": secure.url, "tls": {"ca_file": str(certificates.ca_file)}},
        ]

    @staticmethod
    async def _embedded(stack: AsyncExitStack, other: EmbeddedRelay | None = None) -> EmbeddedRelay:
        relay = EmbeddedRelay(plan=FaultPlan(), broker=other.broker if other is not None else None)
        await relay.start()
        stack.push_async_callback(relay.stop)
        return relay

    async def fail(self) -> None:
        """Cause all faults; the certificate expires in two days from the beginning."""
        await self.killed.stop()
        self.refusing.refusal = http_response(502)
        for relay, fault in (
            (self.silent, "drop:channel=session"),
            (self.lossy, "unstored:channel=session,probability=0.3"),
            (self.slow, "delay:channel=session,by=0.5"),
        ):
            assert relay.plan is not None
            relay.plan.set([parse_fault(fault)])


def configuration(relays: Relays) -> dict[str, Any]:
    """Return the shipped configuration with these relays, SLO windows of a day, and an SLO that allows no loss."""
    config = shipped(location="local", locations=["local"], relays=relays.entries)
    config["slos"] = [slo | {"window": "1d"} for slo in config["slos"]]
    config["slos"].append({"name": "no-loss", "probe": "steady", "sli": "availability", "objective": "100%"})
    return config


def texts(monitoring: Monitoring, name: str, relay: str | None = None) -> list[dict[str, Any]]:
    """Return the firing alerts of a name that the webhook has received, pages first."""
    found = [
        alert
        for item in monitoring.receiver.notifications
        for alert in item.alerts
        if (alert["status"], alert["labels"]["alertname"], alert["labels"].get("relay")) == ("firing", name, relay)
    ]
    return sorted(found, key=lambda alert: alert["labels"]["severity"])


async def run(folder: Path) -> list[str]:
    """Cause the incidents; return what is wrong."""
    wrong: list[str] = []
    async with AsyncExitStack() as stack:
        relays = Relays()
        await relays.start(folder, stack)
        monitoring = Monitoring(folder, [configuration(relays)], interval="5s", waits="1s", history=False)
        (monitor,) = monitoring.monitors
        monitor.config["alerts"] = {"external_url": monitor.url}
        await stack.enter_async_context(monitoring)
        client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=30))
        await asyncio.sleep(HEALTHY)
        await relays.fail()
        incident = Incident(monitor.file, monitoring.prometheus_url, client)
        for relay, name in EXPECTED.items():
            wrong += [error async for error in _received(monitoring, incident, name, relay)]
        await monitor.kill()
        wrong += [error async for error in _received(monitoring, incident, "RelayMonitorAbsent", None)]
    return wrong


async def _received(monitoring: Monitoring, incident: Incident, name: str, relay: str | None) -> AsyncIterator[str]:
    """Wait for an alert, print it, and yield what is wrong with it."""
    try:
        await monitoring.receiver.until(lambda: texts(monitoring, name, relay), WAIT)
    except TimeoutError:
        yield f"{name} of {relay} did not arrive"
        return
    alert = texts(monitoring, name, relay)[0]
    sys.stdout.write(printed(alert) + "\n")
    sys.stdout.flush()
    errors = [error async for error in incident.wrong_queries(alert)]
    if relay is None:
        # Its page is that of the monitor itself.
        await monitoring.monitors[0].start()
    for error in [*errors, *[error async for error in incident.wrong_links(alert)]]:
        yield f"{name}: {error}"


def main() -> int:
    """Run it, and return the exit status."""
    try:
        ENGINE.obtain()
        for program in (PROMETHEUS, ALERTMANAGER):
            find(program)
    except (MissingToolError, pytest.skip.Exception) as missing:
        sys.stderr.write(f"{missing}\n")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        wrong = asyncio.run(run(Path(folder)))
    sys.stdout.write("\n".join(["", *(f"WRONG {error}" for error in wrong), f"{len(wrong)} wrong"]) + "\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
