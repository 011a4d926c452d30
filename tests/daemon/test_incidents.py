"""Incidents of real relays, in virtual time: what opens and closes them, and what stands in them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from monitor.config import parse
from monitor.embedded import parse_fault
from monitor.incidents import EntryKind, Incident, to_markdown
from monitor.incidents.identifier import PATTERN
from monitor.vocabulary import Condition
from tests.daemon.virtual_monitor import virtual_monitor
from tests.probes.harness import embedded
from tests.virtual_time import WITH_SOCKETS

if TYPE_CHECKING:
    from monitor.config import Config
    from tests.daemon.virtual_monitor import VirtualMonitor

pytestmark = WITH_SOCKETS

CONFIG = """
relays: [{{name: demo, url: "{url}"}}]
probes:
  - {{name: steady, scenario: steady-messaging, pairs: 1}}
  - {{name: offline, scenario: async-delivery, schedule: {{every: 1m}}, delay: 30s}}
"""


def configured(url: str) -> Config:
    return parse(CONFIG.format(url=url), "test", {})


def only(monitor: VirtualMonitor) -> Incident:
    """Return the only incident."""
    (incident,) = monitor.incidents.list()
    return incident


def kinds(incident: Incident) -> list[str]:
    return [entry.kind.value for entry in incident.entries]


def logged(lines: list[structlog.typing.EventDict], event: str) -> list[str]:
    return [line["incident"] for line in lines if line["event"] == event]


async def test_an_outage_a_restart_and_another_outage_are_one_incident() -> None:
    """The relay is down for two minutes, the monitor restarts, and the relay is down again within half an hour."""
    with structlog.testing.capture_logs() as lines:
        async with embedded() as relay:
            async with virtual_monitor(configured(relay.url)) as first:
                await first.until_up()
                await asyncio.sleep(100.0)
                assert first.incidents.list() == []
                await relay.stop()
                await asyncio.sleep(120.0)
                assert first.incidents.current()["demo"].condition is Condition.DOWN
                await relay.start()
                await asyncio.sleep(400.0)
                closed = only(first)
                assert closed.closed_because == "up for 5 min 00 s"
                assert first.incidents.current() == {}
            await asyncio.sleep(60.0)  # no monitor runs
            async with virtual_monitor(configured(relay.url), before=first) as second:
                await asyncio.sleep(300.0)
                await relay.stop()
                await asyncio.sleep(60.0)
                incident = only(second)
                await relay.start()
                await asyncio.sleep(400.0)
                closed_again = only(second)
    assert (incident.id, incident.reopened, incident.closed_at) == (closed.id, 1, None)
    assert PATTERN.fullmatch(closed.id)
    assert closed_again.closed_at is not None
    assert 120 <= closed.seconds["down"] <= 140  # up after three successes in 15 s or more
    assert 170 <= closed_again.seconds["down"] <= 220
    assert closed.detection_seconds is not None
    assert 1 <= closed.detection_seconds <= 15
    expected = ["opened", "delivered", "condition", "closed", "reopened", "delivered", "condition", "closed"]
    assert [kind for kind in kinds(closed_again) if kind != "failed"] == expected
    assert [probe.name for probe in closed_again.probes] == ["steady", "offline"]
    assert closed_again.causes[0].name == "tcp refused"
    assert closed_again.failed_attempts < closed_again.attempts
    for event in ("incident opened", "incident reopened"):
        assert logged(lines, event) == [closed.id]
    assert logged(lines, "incident closed") == [closed.id] * 2
    assert logged(lines, "incident changed") == [closed.id] * 2
    assert f"# Incident {closed.id}: demo" in to_markdown(closed_again, now=closed_again.updated_at)


async def test_a_monitor_that_restarts_amid_an_outage_keeps_the_incident() -> None:
    async with embedded() as relay:
        async with virtual_monitor(configured(relay.url)) as first:
            await first.until_up()
            await relay.stop()
            await asyncio.sleep(60.0)
            before = only(first)
        await asyncio.sleep(30.0)
        async with virtual_monitor(configured(relay.url), before=first) as second:
            await asyncio.sleep(60.0)
            after = only(second)
            assert second.incidents.current() == {"demo": after}
    assert after.id == before.id
    assert kinds(after)[-3:] == ["gap", "gap", "failed"]  # stopped, restarted, attempts since then
    assert 29 <= after.unobserved_seconds <= 31
    assert after.condition is Condition.DOWN


async def test_a_newcomer_that_is_refused_is_an_incident() -> None:
    async with embedded() as relay, virtual_monitor(configured(relay.url)) as monitor:
        await monitor.until_up()
        await asyncio.sleep(60.0)
        assert relay.plan is not None
        relay.plan.set([parse_fault("status:code=502")])
        await asyncio.sleep(120.0)
        incident = only(monitor)
        assert (incident.condition, incident.worst) == (Condition.NOT_ACCEPTING, Condition.NOT_ACCEPTING)
        assert "upgrade 502" in {cause.name for cause in incident.causes}


async def test_lost_messages_stand_in_their_incident() -> None:
    async with embedded() as relay, virtual_monitor(configured(relay.url)) as monitor:
        await monitor.until_up()
        await asyncio.sleep(60.0)
        assert relay.plan is not None
        relay.plan.set([parse_fault("unstored:count=4")])
        await asyncio.sleep(180.0)
        incident = only(monitor)
        assert incident.worst in {Condition.DEGRADED, Condition.DOWN}
        assert incident.lost >= 2
        assert "messages" in kinds(incident)


async def test_maintenance_opens_none_until_its_end() -> None:
    async with embedded() as relay, virtual_monitor(configured(relay.url)) as monitor:
        await monitor.until_up()
        monitor.windows.start(["demo"], 180.0, "deploy 1234", "anna")
        await asyncio.sleep(30.0)
        await relay.stop()
        await asyncio.sleep(140.0)
        assert monitor.incidents.list() == []
        await asyncio.sleep(12.0)
        incident = only(monitor)
        # Within 30 s the next regular attempt fails, the first of three.
        assert 110 <= (incident.opened_at - incident.began_at).total_seconds() <= 152
        assert incident.detection_seconds is None


async def test_maintenance_is_marked_in_an_open_one() -> None:
    async with embedded() as relay, virtual_monitor(configured(relay.url)) as monitor:
        await monitor.until_up()
        await relay.stop()
        await asyncio.sleep(60.0)
        monitor.windows.start(["demo"], 60.0, "deploy 1234", "anna")
        await asyncio.sleep(30.0)
        assert only(monitor).in_maintenance
        await asyncio.sleep(60.0)
        incident = only(monitor)
    texts = [entry.text for entry in incident.entries if entry.kind is EntryKind.MAINTENANCE]
    assert texts[0].startswith("Maintenance began: deploy 1234, until ")
    assert texts[0].endswith(", by anna")
    assert texts[1:] == ["Maintenance ended."]
    assert 58 <= incident.maintenance_seconds <= 62
