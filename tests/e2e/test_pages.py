"""A faulty relay pages once and a healthy one never, with real Prometheus and Alertmanager and the generated rules.

Scrapes and evaluations are 1 s apart; tests of error budgets have SLO windows of one day instead of 30.
"""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from monitor.embedded import EmbeddedRelay, FaultPlan, parse_fault
from tests.e2e.blips import BLIPS, blip
from tests.e2e.chain import Chain, chain
from tests.relays import ROOT, Engine
from tests.texts.incident import Incident

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.required_counterpart("prometheus"), pytest.mark.timeout(240)]

CONFIG = """
location: local
server: {{listen: "{listen}"}}
relays:
  - {{name: demo, url: "{relay}", confirm: {{attempts: 3, within: 5s}},
     limits: {{connects_per_minute: 6000, messages_per_minute: 6000}}}}
probes:
  - {{name: steady, scenario: steady-messaging, pairs: 4, message_interval: 300ms, settle: 100ms, timeout: 1s}}
  - {{name: idle, scenario: steady-state, connections: 2}}
  - {{name: offline, scenario: async-delivery, schedule: {{every: 10s}}, delay: 1s, timeout: 1s}}
slos:
  - {{name: round-trip, probe: steady, sli: latency, threshold: {threshold}, objective: 99%, window: {window}}}
  - {{name: delivery, probe: steady, sli: availability, objective: {delivery}, window: {window}}}
  - {{name: recovery, probe: offline, sli: availability, objective: 100%, window: {window}}}
maintenance: {maintenance}
prometheus: {{scrape_interval: 1s, evaluation_interval: 1s}}
alerts: {{external_url: "http://{listen}"}}
"""
DEFAULTS = {"threshold": "400ms", "maintenance": "[]", "window": "30d", "delivery": "99%"}
STRICT = DEFAULTS | {"delivery": "99.9%"}
"""The shipped objective, for tests that expect no page."""

QUICK = STRICT | {"window": "1d"}
"""Windows a thirtieth as long: with production's a burn takes an hour to page."""


@asynccontextmanager
async def node(other: EmbeddedRelay | None = None) -> AsyncIterator[EmbeddedRelay]:
    """Start an embedded relay with a fault plan, in the cluster of `other` if given."""
    relay = EmbeddedRelay(plan=FaultPlan(), broker=other.broker if other is not None else None)
    await relay.start()
    try:
        yield relay
    finally:
        await relay.stop()


def one_page(made: Chain, alert: str) -> None:
    """Assert that there was one page, with this alert only."""
    pages = made.receiver.pages()
    assert len(pages) == 1, [page.names() for page in pages]
    assert pages[0].names() == {alert}
    assert pages[0].receiver == "pages"


@pytest.mark.timeout(360)
async def test_a_killed_relay_is_one_page_and_its_restart_resolves_it(tmp_path: Path, engine_program: Path) -> None:
    async with chain(tmp_path, engine_program, CONFIG, STRICT, history=True) as made:
        await made.healthy()
        # The deployed configuration scrapes the relay's metrics too.
        await made.until('up{job="centrifugo"}', lambda value: value == 1, 10)
        # None other is pending: rules and monitor do not differ, but the history has a sample a minute only.
        assert await made.alerts(besides="scrape interval") == {"Watchdog": "firing"}
        assert made.relay is not None
        await made.relay.kill()
        await made.paged("RelayDown", 75)
        await made.assert_no_page(10)
        one_page(made, "RelayDown")
        (alert,) = made.receiver.pages()[0].alerts
        assert re.fullmatch(r"Relay demo is down: [a-z]+ [a-z_]+", alert["annotations"]["summary"])
        incident = Incident(made.config, made.address("prometheus"), made.client)
        assert [error async for error in incident.wrong_links(alert)] == []
        assert [error async for error in incident.wrong_queries(alert)] == []
        made.relay = await Engine.start(engine_program, "-listen", f"127.0.0.1:{made.ports['relay']}")
        await made.receiver.until(
            lambda: any(
                item.status == "resolved" and "RelayDown" in item.names("resolved")
                for item in made.receiver.notifications
            ),
            200,  # it fires for two minutes more
        )
        await made.assert_no_page(20)  # the failures of the outage are still within every window
        assert any("Watchdog" in item.names() for item in made.receiver.notifications)


async def test_a_silent_relay_pages(tmp_path: Path, engine_program: Path) -> None:
    async with chain(tmp_path, engine_program, CONFIG, DEFAULTS) as made:
        await made.healthy()
        assert made.relay is not None
        made.relay.pause()
        await made.paged("RelayDown", 40)
        made.relay.resume()


async def test_blips_do_not_page(tmp_path: Path, engine_program: Path) -> None:
    """A lost message, a reset connection, a restart …, a few seconds apart after 24 hours without failures."""
    async with node() as relay:
        config = CONFIG.replace("{relay}", relay.url)
        async with chain(tmp_path, engine_program, config, STRICT, history=True) as made:
            await made.healthy()
            assert (
                await made.value('increase(relay_slo_events_total{slo="delivery", outcome="good"}[1d])') or 0
            ) > 80_000
            for kind in BLIPS:
                await blip(relay, kind)
                await made.assert_no_page(4)
            await made.assert_no_page(6)
            assert await made.value("sum(relay_probe_disconnects_total) > 2") is not None
            assert await made.value('sum(relay_probe_exchanges_total{outcome="failed"}) > 2') is not None


async def test_a_rolling_restart_without_loss_does_not_page(tmp_path: Path, engine_program: Path) -> None:
    """Both nodes of a cluster disconnect their clients in turn; then both unsubscribe all with insufficient state.

    Without the async-delivery probe, whose run rightly fails if its wallet reconnects to a stopped node.
    """
    async with node() as first, node(first) as second:
        endpoints = f'"{first.url}", "{second.url}"'
        config = CONFIG.replace('url: "{relay}"', f'url: "{first.url}", endpoints: [{endpoints}]')
        config = config.replace("timeout: 1s", "timeout: 4s", 1)  # a disconnected pair reconnects within two seconds
        config = "\n".join(line for line in config.splitlines() if "offline" not in line)
        async with chain(tmp_path, engine_program, config, STRICT, history=True) as made:
            await made.healthy()
            for relay in (first, second):
                await relay.stop()
                await made.assert_no_page(2)
                await relay.start()
                await made.assert_no_page(6)
            for relay in (first, second):
                assert relay.plan is not None
                relay.plan.set([parse_fault("unsubscribe:channel=session,code=2500,count=3")])
                await made.assert_no_page(6)
            dropped = 'sum(relay_probe_disconnects_total{{code="{}"}})'
            assert (await made.value(dropped.format(3001)) or 0) >= 4
            assert (await made.value(dropped.format(2500)) or 0) >= 4
            assert await made.value('sum(relay_probe_messages_total{verdict="lost"})') == 0
            assert await made.value("min(relay_up)") == 1


async def test_an_overloaded_monitor_blames_no_relay(tmp_path: Path, engine_program: Path) -> None:
    async with chain(tmp_path, engine_program, CONFIG, STRICT) as made:
        await made.healthy()
        await made.assert_no_page(20)
        assert made.monitor is not None
        for _ in range(3):
            made.monitor.signal(signal.SIGSTOP)
            await made.assert_no_page(5)
            made.monitor.signal(signal.SIGCONT)
            await made.until("min(relay_monitor_healthy)", lambda value: value == 0, 15)
            await made.assert_no_page(3)
        aborted = await made.value('sum(relay_probe_exchanges_total{outcome="aborted"})')
        assert aborted is not None
        assert aborted > 0
        assert await made.value("min(relay_up)") == 1


async def test_the_watchdog_stops_with_prometheus(tmp_path: Path, engine_program: Path) -> None:
    async with chain(tmp_path, engine_program, CONFIG, DEFAULTS) as made:

        def received() -> int:
            return sum(
                item.receiver == "dead-mans-switch" and item.status == "firing" for item in made.receiver.notifications
            )

        await made.receiver.until(lambda: received() > 3, 60)
        assert made.prometheus is not None
        await made.prometheus.kill()
        await asyncio.sleep(10)
        before = received()
        await asyncio.sleep(5)
        assert received() == before


@pytest.mark.timeout(330)  # it pages after three minutes
async def test_an_absent_monitor_pages_and_blames_no_relay(tmp_path: Path, engine_program: Path) -> None:
    async with chain(tmp_path, engine_program, CONFIG, DEFAULTS) as made:
        await made.healthy()
        assert made.monitor is not None
        await made.monitor.kill()
        await made.paged("RelayMonitorAbsent", 240)
        one_page(made, "RelayMonitorAbsent")


async def test_a_changed_threshold_does_not_page(tmp_path: Path, engine_program: Path) -> None:
    async with chain(tmp_path, engine_program, CONFIG, DEFAULTS) as made:
        await made.healthy()
        made.config.write_text(made.config.read_text("utf-8").replace("threshold: 400ms", "threshold: 300ms"), "utf-8")
        made.generate()
        assert made.monitor is not None
        made.monitor.signal(signal.SIGHUP)
        await made.reload_prometheus()
        await made.until("min(slo:threshold:seconds)", lambda value: value == 0.3, 20)
        await made.until("min(relay_slo_threshold_seconds)", lambda value: value == 0.3, 20)
        await made.assert_no_page(12)


@pytest.mark.parametrize(
    "spec",
    ["delay:channel=session,by=0.5", "drop:channel=session,probability=0.05"],
    ids=["half a second more", "a twentieth lost"],
)
async def test_an_error_budget_burn_pages(tmp_path: Path, engine_program: Path, spec: str) -> None:
    async with node() as relay:
        config = CONFIG.replace("{relay}", relay.url)
        async with chain(tmp_path, engine_program, config, QUICK) as made:
            await made.healthy()
            await asyncio.sleep(10)
            assert relay.plan is not None
            relay.plan.set([parse_fault(spec)])
            await made.paged("RelayErrorBudgetBurn", 120)


async def test_a_silent_node_is_a_partial_failure(tmp_path: Path, engine_program: Path) -> None:
    async with node() as healthy, node(healthy) as silent:
        endpoints = f'"{healthy.url}", "{silent.url}"'
        config = CONFIG.replace('url: "{relay}"', f'url: "{healthy.url}", endpoints: [{endpoints}]')
        async with chain(tmp_path, engine_program, config, DEFAULTS) as made:
            await made.healthy()
            assert silent.plan is not None
            silent.plan.set([parse_fault("drop:channel=session")])
            await made.paged("RelayPartialFailure", 60)
            assert not any("RelayDown" in page.names() for page in made.receiver.pages())


async def test_a_deploy_in_maintenance_pages_only_if_the_relay_is_still_down_at_its_end(
    tmp_path: Path, engine_program: Path
) -> None:
    """`maintenance start` mutes the relay and excludes its failures; the page names when it went down."""
    # In a window only the regular attempts find an outage.
    config = CONFIG.replace("within: 5s", "within: 5s, every: 5s")
    async with chain(tmp_path, engine_program, config, DEFAULTS) as made:
        await made.healthy()
        assert await maintenance(made, "start", "--relay", "demo", "--for", "35s", "--reason", "deploy 1234") == 0
        await made.until("max(relay_maintenance)", lambda value: value == 1, 10)
        failures = 'sum(relay_probe_exchanges_total{outcome="failed"})'
        failed = await made.value(failures)
        assert made.relay is not None
        await made.relay.kill()
        killed = datetime.now(UTC)
        await made.until("min(relay_up)", lambda value: value == 0, 25)
        await made.assert_no_page(5)
        assert await made.value('sum(relay_probe_exchanges_total{outcome="excluded"}) > 2') is not None
        assert await made.value(failures) == failed
        assert await made.value("max(relay_maintenance)") == 1
        assert made.receiver.pages() == []
        await made.until("max(relay_maintenance)", lambda value: value == 0, 45)
        await made.paged("RelayDown", 60)
        one_page(made, "RelayDown")
        (relay,) = (await made.client.get(f"{made.address('monitor')}/api/v1/status")).json()["relays"]
        since = datetime.fromisoformat(relay["since"])
        assert (relay["condition"], (since - killed).total_seconds() < 20) == ("down", True)


async def maintenance(made: Chain, *words: str) -> int | None:
    """Run `relay-monitor maintenance` and return its exit status."""
    command = (sys.executable, "-m", "monitor", "maintenance", *words, "--url", made.address("monitor"))
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
    return await asyncio.wait_for(process.wait(), 30)
