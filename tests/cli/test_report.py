"""`report --monitor` against a daemon in this process."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from monitor.cli.client import RunningMonitor
from monitor.cli.report import incidents_of
from monitor.report.month import period_of
from monitor.vocabulary import Condition
from monitor.web import WebServer, build_app
from tests.daemon.harness import config, running, until
from tests.sockets import closed_port

pytestmark = pytest.mark.integration


async def test_the_incidents_of_the_month_with_the_address_that_has_them() -> None:
    loaded = config()
    relay = loaded.relays[0].model_copy(update={"url": f"ws://127.0.0.1:{closed_port()}/ws"})
    async with running(loaded.model_copy(update={"relays": (relay, *loaded.relays[1:])})) as monitor:
        web = WebServer(build_app(monitor.web_state()), "127.0.0.1", 0)
        await web.start()
        try:
            verdict = monitor.monitored_relays.relays[relay.name].verdict
            await until(lambda: verdict.up is False)
            url = f"http://127.0.0.1:{web.port}"
            now = datetime.now(UTC)
            found = await asyncio.to_thread(incidents_of, [RunningMonitor(url)], period_of(f"{now:%Y-%m}", now))
        finally:
            await web.stop()
    assert [(each.monitor, each.incident.relay, each.incident.worst) for each in found] == [
        (url, relay.name, Condition.DOWN)
    ]
    assert found[0].repair_seconds is None
