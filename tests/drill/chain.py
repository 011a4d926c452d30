"""The programs of the page chain, a drill by the command, and a way to cut each link."""

from __future__ import annotations

import asyncio
import secrets
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import httpx
import yaml

from monitor.drill import ALERT, WEBHOOK
from monitor.slo.drill_route import TOKEN_FILE
from tests.e2e.monitoring import Monitoring, shipped
from tests.relays import ROOT
from tests.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path
    from types import TracebackType

CUTS: Final = ("scrape", "rule", "alertmanager", "route", "webhook")
"""The links that can be cut, in their order."""

TOKEN_NAME: Final = TOKEN_FILE.rpartition("/")[2]
"""The file that both the monitor and Alertmanager read."""

REPLY_TIMEOUT: Final = 60.0
"""Seconds for a reply of a program, which reloads its rules on a busy machine."""


@dataclass(frozen=True, slots=True)
class Drilled:
    """What a drill printed, its exit status, and the drill as the monitor has it."""

    text: str
    status: int
    drill: dict[str, Any]


class Chain:
    """All programs. Scrapes and evaluations are `interval` apart; `waits` as those of `Monitoring`."""

    def __init__(self, folder: Path, *, interval: str, waits: str | None = None, reads: bool = True) -> None:
        token_file = folder / TOKEN_NAME
        token_file.write_text(secrets.token_hex(16), "ascii")
        config = shipped(relays=[{"name": "demo", "url": "embedded"}], drill={"token_file": str(token_file)})
        self.world = Monitoring(folder, [config], interval=interval, waits=waits, reads=reads, history=False)
        self.monitor = self.world.monitors[0]
        self._client = httpx.AsyncClient(trust_env=False, timeout=REPLY_TIMEOUT)

    async def drill(self, timeout: str) -> Drilled:
        """Run `relay-monitor drill`."""
        command = [sys.executable, "-m", "monitor", "drill", "--url", self.monitor.url, "--timeout", timeout]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=ROOT
        )
        text, _ = await process.communicate()
        found = (await self._client.get(f"{self.monitor.url}/api/v1/drill")).json()["drill"]
        return Drilled(text.decode(), process.returncode or 0, found)

    async def forged(self) -> int:
        """Send a notification without the token, and return the status of the response."""
        return (await self._client.post(f"{self.monitor.url}{WEBHOOK}", json={"alerts": []})).status_code

    def received(self, receiver: str) -> set[str]:
        """Return the names of all alerts that a receiver was notified of, firing."""
        found = [each.names() for each in self.world.receiver.notifications if each.receiver == receiver]
        return set().union(*found)

    async def until_up(self, seconds: float) -> None:
        """Wait until Prometheus has scraped the monitor, and knows Alertmanager: alerts before that are lost."""
        async with asyncio.timeout(seconds):
            while not await self._is_connected():  # noqa: ASYNC110 - no notifications
                await asyncio.sleep(0.2)

    @asynccontextmanager
    async def cut(self, link: str) -> AsyncIterator[None]:
        """Cut one of `CUTS`, and repair it at the end."""
        cuts: dict[str, Callable[[], Awaitable[Callable[[], Awaitable[None]]]]] = {
            "scrape": lambda: self._change("prometheus.yml", _without_target),
            "rule": lambda: self._change(self._rules, _without_rule),
            "alertmanager": self._without_alertmanager,
            "route": lambda: self._change("alertmanager.yml", _without_route),
            "webhook": lambda: self._change("alertmanager.yml", _without_webhook),
        }
        repair = await cuts[link]()
        try:
            yield
        finally:
            await repair()

    async def _without_alertmanager(self) -> Callable[[], Awaitable[None]]:
        await self.world.alertmanager.stop()
        return self.world.alertmanager.start

    @property
    def _rules(self) -> str:
        return f"generated/{self.monitor.install}/alerts/relay-monitor.rules.yml"

    async def _change(self, name: str, change: Callable[[Any], None]) -> Callable[[], Awaitable[None]]:
        """Change a configuration file of a program and reload it; return what undoes that."""
        path = self.world.folder / name
        before = path.read_bytes()
        document = yaml.safe_load(before)
        change(document)
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        program = "alertmanager" if name == "alertmanager.yml" else "prometheus"
        await self._reload(program)

        async def undo() -> None:
            path.write_bytes(before)
            await self._reload(program)

        return undo

    async def _reload(self, program: str) -> None:
        url = f"http://127.0.0.1:{self.world.ports[program]}/-/reload"
        (await self._client.post(url)).raise_for_status()

    async def _is_connected(self) -> bool:
        response = await self._client.get(f"{self.world.prometheus_url}/api/v1/alertmanagers")
        has_alertmanager = bool(response.json()["data"]["activeAlertmanagers"])
        return has_alertmanager and bool(await self._query("relay_monitor_shard_info"))

    async def _query(self, expression: str) -> list[dict[str, Any]]:
        response = await self._client.get(f"{self.world.prometheus_url}/api/v1/query", params={"query": expression})
        found: list[dict[str, Any]] = response.json()["data"]["result"]
        return found

    async def firing(self) -> set[str]:
        """Return the names of the alerts that fire in Prometheus."""
        return {each["metric"]["alertname"] for each in await self._query('ALERTS{alertstate="firing"}')}

    async def __aenter__(self) -> Self:
        await self.world.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()
        await self.world.__aexit__(kind, error, trace)


def _without_target(prometheus: Any) -> None:
    for job in prometheus["scrape_configs"]:
        job["static_configs"] = []


def _without_rule(rules: Any) -> None:
    for group in rules["groups"]:
        group["rules"] = [rule for rule in group["rules"] if rule.get("alert") != ALERT]


def _without_route(alertmanager: Any) -> None:
    for route in (alertmanager["route"], *alertmanager["route"]["routes"]):
        if "routes" in route:
            route["routes"] = [
                each for each in route["routes"] if f'alertname="{ALERT}"' not in each.get("matchers", ())
            ]


def _without_webhook(alertmanager: Any) -> None:
    for receiver in alertmanager["receivers"]:
        for webhook in receiver.get("webhook_configs", ()):
            if webhook["url"].endswith(WEBHOOK):
                webhook["url"] = f"http://127.0.0.1:{closed_port()}{WEBHOOK}"
