"""A broken relay pages, once; a healthy one never does: on real Prometheus, real Alertmanager, and the generated rules.

Scrapes and evaluations come every second; where a budget burns, windows are a thirtieth of production's.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest

from monitor.embedded import EmbeddedRelay, FaultPlan, parse_fault
from tests.e2e.chain import Chain, chain
from tests.relays import Engine

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.required_counterpart("prometheus"), pytest.mark.timeout(240)]

CONFIG = """
location: local
server: {{listen: "{listen}"}}
relays: [{{name: demo, url: "{relay}", limits: {{connects_per_minute: 6000, messages_per_minute: 6000}}}}]
probes:
  - {{name: steady, scenario: steady-messaging, pairs: 4, message_interval: 300ms, settle: 100ms, timeout: 1s,
     confirm: {{attempts: 3, within: 5s}}}}
  - {{name: idle, scenario: steady-state, connections: 2}}
  - {{name: offline, scenario: async-delivery, schedule: {{every: 10s}}, delay: 1s, timeout: 1s}}
slos:
  - {{name: round-trip, probe: steady, sli: latency, threshold: {threshold}, objective: 99%, window: {window}}}
  - {{name: delivery, probe: steady, sli: availability, objective: 99%, window: {window}}}
  - {{name: recovery, probe: offline, sli: availability, objective: 100%, window: {window}}}
maintenance: {maintenance}
prometheus: {{scrape_interval: 1s, evaluation_interval: 1s}}
"""
USUAL = {"threshold": "400ms", "maintenance": "[]", "window": "30d"}
QUICK = USUAL | {"window": "1d"}
"""Windows a thirtieth as long: with production's, a burn takes an hour to show and an outage twenty seconds."""


def one_page(made: Chain, alert: str) -> None:
    """The outage was one notification, with this alert in it."""
    pages = made.receiver.pages()
    assert len(pages) == 1, [page.names() for page in pages]
    assert pages[0].names() == {alert}
    assert pages[0].receiver == "pages"


async def test_a_killed_relay_is_one_page_and_its_revival_resolves_it(tmp_path: Path, engine_program: Path) -> None:
    async with chain(tmp_path, engine_program, CONFIG, USUAL) as made:
        await made.healthy()
        await made.quiet(60)  # a minute's history: with none, the few seconds of an outage are all there is of the hour
        assert made.relay is not None
        await made.relay.kill()
        await made.paged("RelayDown", 30)
        await made.quiet(10)
        one_page(made, "RelayDown")
        made.relay = await Engine.start(engine_program, "-listen", f"127.0.0.1:{made.ports['relay']}")
        await made.receiver.until(
            lambda: any(
                item.status == "resolved" and "RelayDown" in item.names("resolved")
                for item in made.receiver.notifications
            ),
            60,
        )
        await made.quiet(8)
        assert any("Watchdog" in item.names() for item in made.receiver.notifications)


async def test_a_relay_that_falls_silent_is_a_page(tmp_path: Path, engine_program: Path) -> None:
    async with chain(tmp_path, engine_program, CONFIG, USUAL) as made:
        await made.healthy()
        assert made.relay is not None
        made.relay.pause()
        await made.paged("RelayDown", 40)
        made.relay.resume()


async def test_blips_page_nobody(tmp_path: Path, engine_program: Path) -> None:
    """The relay ends every connection in good order and is back at once, as in a rolling restart."""
    async with chain(tmp_path, engine_program, CONFIG, USUAL) as made:
        await made.healthy()
        for _ in range(3):
            assert made.relay is not None
            await made.relay.stop()
            made.relay = await Engine.start(engine_program, "-listen", f"127.0.0.1:{made.ports['relay']}")
            await made.quiet(6)
        assert await made.value("sum(relay_probe_disconnects_total) > 0") is not None


async def test_a_monitor_that_is_gone_is_told_and_blames_no_relay(tmp_path: Path, engine_program: Path) -> None:
    async with chain(tmp_path, engine_program, CONFIG, USUAL) as made:
        await made.healthy()
        assert made.monitor is not None
        await made.monitor.kill()
        await made.paged("RelayMonitorAbsent", 100)
        one_page(made, "RelayMonitorAbsent")


async def test_a_changed_threshold_pages_nobody(tmp_path: Path, engine_program: Path) -> None:
    async with chain(tmp_path, engine_program, CONFIG, USUAL) as made:
        await made.healthy()
        made.config.write_text(made.config.read_text("utf-8").replace("threshold: 400ms", "threshold: 300ms"), "utf-8")
        made.generate()
        assert made.monitor is not None
        made.monitor.signal(signal.SIGHUP)
        await made.reload_prometheus()
        await made.until("min(slo:threshold:seconds)", lambda value: value == 0.3, 20)
        await made.until("min(relay_slo_threshold_seconds)", lambda value: value == 0.3, 20)
        await made.quiet(12)


@pytest.mark.parametrize(
    ("spec", "alert"),
    [
        ("delay:channel=session,by=0.5", "RelayErrorBudgetBurn"),
        ("drop:channel=session,probability=0.2", "RelayErrorBudgetBurn"),
    ],
    ids=["half a second more", "a fifth lost"],
)
async def test_a_budget_that_burns_is_a_page(tmp_path: Path, engine_program: Path, spec: str, alert: str) -> None:
    relay = EmbeddedRelay(plan=FaultPlan())
    await relay.start()
    config = CONFIG.replace("{relay}", relay.url)
    async with chain(tmp_path, engine_program, config, QUICK) as made:
        await made.healthy()
        await asyncio.sleep(10)
        assert relay.plan is not None
        relay.plan.set([parse_fault(spec)])
        await made.paged(alert, 120)
    await relay.stop()


async def test_a_silent_node_is_a_page_of_its_own(tmp_path: Path, engine_program: Path) -> None:
    well = EmbeddedRelay()
    ill = EmbeddedRelay(plan=FaultPlan(), broker=well.broker)
    await well.start()
    await ill.start()
    endpoints = f'"{well.url}", "{ill.url}"'
    config = CONFIG.replace('url: "{relay}"', f'url: "{well.url}", endpoints: [{endpoints}]')
    async with chain(tmp_path, engine_program, config, USUAL) as made:
        await made.healthy()
        assert ill.plan is not None
        ill.plan.set([parse_fault("drop:channel=session")])
        await made.paged("RelayPartialFailure", 60)
        assert not any("RelayDown" in page.names() for page in made.receiver.pages())
    await ill.stop()
    await well.stop()


async def test_maintenance_pages_nobody(tmp_path: Path, engine_program: Path) -> None:
    window = '[{cron: "* * * * *", duration: 1m, reason: works}]'
    async with chain(tmp_path, engine_program, CONFIG, USUAL | {"maintenance": window}) as made:
        await made.until("max(relay_probe_maintenance)", lambda value: value == 1, 90)
        assert made.relay is not None
        await made.relay.kill()
        await made.quiet(15)
