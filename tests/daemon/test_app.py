"""The monitor in this process: maintenance, self-checks and state."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from monitor.daemon.app import Monitor
from monitor.embedded import FaultPlan, parse_fault
from monitor.results import Disconnected, Paired, Pairing, PairTime
from monitor.vocabulary import Outcome
from tests.daemon.harness import config, exchanged, page, running, shown, total, until

if TYPE_CHECKING:
    from pathlib import Path

ALWAYS_IN_MAINTENANCE = '\nmaintenance: [{cron: "* * * * *", duration: 1h, reason: upgrade}]\n'


def events(monitor: Monitor) -> float:
    return shown(monitor, "relay_slo_events_total")


class TestMaintenance:
    async def test_runs_are_excluded(self) -> None:
        async with running(config(ALWAYS_IN_MAINTENANCE)) as monitor:
            await until(lambda: exchanged(monitor, "excluded") >= 3)
            found = page(monitor)
            assert total(found, "relay_probe_exchanges_total", outcome="ok") == 0
            assert total(found, "relay_slo_events_total") == 0
            (relay,) = (await monitor.views.view()).relays
            assert relay.maintenance is not None
            assert relay.maintenance.reason == "upgrade"
            await until(lambda: shown(monitor, "relay_probe_maintenance", probe="steady") == 1)
            assert {stored.run.outcome for stored in monitor.journal.runs()} == {Outcome.EXCLUDED}


@pytest.mark.alone
class TestSelfCheck:
    async def test_a_blocked_event_loop_does_not_count_against_the_relay(self) -> None:
        async with running(config()) as monitor:
            await until(lambda: exchanged(monitor, "ok") >= 3)
            assert shown(monitor, "relay_monitor_healthy") == 1
            bad = shown(monitor, "relay_slo_events_total", outcome="bad")
            # Longer than a timeout, so that all running exchanges are late.
            time.sleep(2.5)  # noqa: ASYNC251 - the fault under test
            await until(lambda: exchanged(monitor, "aborted") >= 3)
            found = page(monitor)
            assert total(found, "relay_monitor_healthy") == 0
            assert total(found, "relay_probe_exchanges_total", outcome="failed") == 0
            assert total(found, "relay_slo_events_total", outcome="bad") == bad
            assert total(found, "relay_up", relay="demo") == 1

    async def test_reports_of_an_unhealthy_monitor_do_not_count(self) -> None:
        async with running(config()) as monitor:
            await until(lambda: exchanged(monitor, "ok") >= 1)
            monitor.health.mark_unhealthy("test", "a test")
            before = events(monitor)
            origin = ("demo", "steady", "x")
            context = monitor.monitored_relays.context("demo", monitor.config.probes[0])
            monitor.pipeline.process(Paired(*origin, Pairing(outcome=Outcome.FAILED)), context)
            monitor.pipeline.process(PairTime(*origin, connected=False, seconds=5.0), context)
            assert events(monitor) == before

    async def test_a_running_confirmation_is_cancelled_when_the_monitor_becomes_unhealthy(self) -> None:
        async with running(config()) as monitor:
            await until(lambda: exchanged(monitor, "ok") >= 1)
            relay = monitor.monitored_relays.relays["demo"]
            up = relay.verdict
            assert relay.embedded is not None
            relay.embedded.plan = FaultPlan([parse_fault("silent:at=hello")])  # of new connections, so attempts last
            context = monitor.monitored_relays.context("demo", monitor.config.probes[0])
            monitor.pipeline.process(Disconnected(relay="demo", probe="steady", run_id="x", code=3001), context)
            await until(lambda: up._confirmation.attempts.running)
            monitor.health.mark_unhealthy("test", "a test")
            await until(lambda: not up._confirmation.attempts.running)
            assert up._confirmation.rhythm.round is None
            assert up.up is True

    async def test_the_monitor_becomes_healthy_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("monitor.health.self_check.UNHEALTHY_PERIOD", 0.5)
        async with running(config()) as monitor:
            monitor.health.mark_unhealthy("test", "a test")
            assert not monitor.health.healthy
            await until(lambda: monitor.health.healthy)
            assert shown(monitor, "relay_monitor_healthy") == 1
            await until(lambda: exchanged(monitor, "ok") >= 1)

    async def test_slots_during_a_blocked_event_loop_are_missed(self) -> None:
        async with running(config()) as monitor:
            await until(lambda: exchanged(monitor, "ok") >= 1)
            missed = shown(monitor, "relay_monitor_runs_total", probe="steady", result="missed")
            # Each of the two pairs has a slot every 400 ms. One may be in an exchange; its next slots are then skipped,
            # not missed.
            time.sleep(3.2)  # noqa: ASYNC251 - the fault under test
            await until(
                lambda: shown(monitor, "relay_monitor_runs_total", probe="steady", result="missed") >= missed + 4
            )


class TestState:
    async def test_it_is_ready_while_the_schedule_runs(self) -> None:
        monitor = Monitor(config())
        assert monitor.ready() is not None
        await monitor.start()
        assert monitor.ready() is None
        await monitor.stop()
        assert monitor.ready() is not None

    async def test_no_task_is_left_after_the_stop(self) -> None:
        before = asyncio.all_tasks()
        async with running(config()) as monitor:
            await until(lambda: exchanged(monitor, "ok") >= 1)
        await until(lambda: asyncio.all_tasks() == before, 3)

    async def test_interrupted_runs_are_aborted_and_in_the_journal(self, tmp_path: Path) -> None:
        async with running(config(folder=tmp_path)) as monitor:
            await until(lambda: exchanged(monitor, "ok") >= 2)
        assert exchanged(monitor, "failed") == 0
        again = Monitor(config(folder=tmp_path)).journal.runs()
        assert {Outcome.OK} <= {stored.run.outcome for stored in again} <= {Outcome.OK, Outcome.ABORTED}
