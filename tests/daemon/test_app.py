"""The monitor in this process: maintenance, self-checks and state."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from monitor.daemon.app import Monitor
from monitor.results import Disconnected, Paired, Pairing, PairTime
from monitor.vocabulary import Outcome
from tests.daemon.harness import config, exchanged, page, running, shown, total, until

if TYPE_CHECKING:
    from pathlib import Path

ALWAYS = '\nmaintenance: [{cron: "* * * * *", duration: 1h, reason: moving house}]\n'


def events(monitor: Monitor) -> float:
    return shown(monitor, "relay_slo_events_total")


class TestMaintenance:
    async def test_runs_go_on_and_count_for_nothing(self) -> None:
        async with running(config(ALWAYS)) as monitor:
            await until(lambda: exchanged(monitor, "excluded") >= 3)
            found = page(monitor)
            assert total(found, "relay_probe_exchanges_total", outcome="ok") == 0
            assert total(found, "relay_slo_events_total") == 0
            assert monitor.status()["relays"][0]["maintenance"] == "moving house"
            await until(lambda: shown(monitor, "relay_probe_maintenance", probe="steady") == 1)
            assert {kept.run.outcome for kept in monitor.journal.runs()} == {Outcome.EXCLUDED}


@pytest.mark.alone
class TestItsOwnHealth:
    async def test_a_blocked_loop_is_its_own_fault_and_no_failure_of_the_relay(self) -> None:
        async with running(config()) as monitor:
            await until(lambda: exchanged(monitor, "ok") >= 3)
            assert shown(monitor, "relay_monitor_healthy") == 1
            bad = shown(monitor, "relay_slo_events_total", outcome="bad")
            # Longer than a timeout: whatever was under way is late.
            time.sleep(2.5)  # noqa: ASYNC251 - that is the fault
            await until(lambda: exchanged(monitor, "aborted") >= 3)
            found = page(monitor)
            assert total(found, "relay_monitor_healthy") == 0
            assert total(found, "relay_probe_exchanges_total", outcome="failed") == 0
            assert total(found, "relay_slo_events_total", outcome="bad") == bad
            assert total(found, "relay_up", relay="demo") == 1

    async def test_while_it_distrusts_itself_nothing_counts(self) -> None:
        async with running(config()) as monitor:
            await until(lambda: exchanged(monitor, "ok") >= 1)
            monitor.health.mark_unhealthy("test", "a test")
            before = events(monitor)
            origin = {"relay": "demo", "probe": "steady", "run_id": "x"}
            context = monitor.monitored_relays.context("demo", monitor.config.probes[0])
            monitor.pipeline.process(Paired(**origin, pairing=Pairing(outcome=Outcome.FAILED)), context)
            monitor.pipeline.process(PairTime(**origin, connected=False, seconds=5.0), context)
            assert events(monitor) == before

    async def test_a_verdict_that_is_on_its_way_is_not_reached(self) -> None:
        async with running(config()) as monitor:
            await until(lambda: exchanged(monitor, "ok") >= 1)
            up = monitor.monitored_relays.relays["demo"].verdict
            context = monitor.monitored_relays.context("demo", monitor.config.probes[0])
            monitor.pipeline.process(Disconnected(relay="demo", probe="steady", run_id="x", code=3001), context)
            confirming = up._task
            assert confirming is not None
            assert not confirming.done()
            monitor.health.mark_unhealthy("test", "a test")
            await asyncio.wait({confirming}, timeout=1)
            assert confirming.cancelled()
            assert up.up is True

    async def test_it_trusts_itself_again_after_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("monitor.health.self_check.UNHEALTHY_PERIOD", 0.5)
        async with running(config()) as monitor:
            monitor.health.mark_unhealthy("test", "a test")
            assert not monitor.health.healthy
            await until(lambda: monitor.health.healthy)
            assert shown(monitor, "relay_monitor_healthy") == 1
            await until(lambda: exchanged(monitor, "ok") >= 1)

    async def test_slots_that_pass_while_the_loop_is_blocked_are_missed(self) -> None:
        async with running(config()) as monitor:
            await until(lambda: exchanged(monitor, "ok") >= 1)
            missed = shown(monitor, "relay_monitor_runs_total", probe="steady", result="missed")
            # Each of the two pairs has a slot every 400 ms; one of them may be in the middle of an exchange, whose
            # successors are then skipped rather than missed.
            time.sleep(3.2)  # noqa: ASYNC251 - that is the fault
            await until(
                lambda: shown(monitor, "relay_monitor_runs_total", probe="steady", result="missed") >= missed + 4
            )


class TestTheState:
    async def test_it_is_ready_while_its_schedule_is_armed(self) -> None:
        monitor = Monitor(config())
        assert monitor.ready() is not None
        await monitor.start()
        assert monitor.ready() is None
        await monitor.stop()
        assert monitor.ready() is not None

    async def test_the_status_is_json_and_says_what_is_watched(self) -> None:
        before = datetime.now(UTC)
        async with running(config()) as monitor:
            await until(lambda: monitor.status()["relays"][0]["up"] is True)
            status = json.loads(json.dumps(monitor.status()))
            assert before - timedelta(seconds=1) < datetime.fromisoformat(status["startedAt"]) < datetime.now(UTC)
            (relay,) = status["relays"]
            assert [(probe["name"], probe["schedule"]) for probe in relay["probes"]] == [
                ("steady", "continuous"),
                ("offline", "every 2m"),
            ]
            since, crossed = (datetime.fromisoformat(relay[key]) for key in ("since", "lastCrossing"))
            assert before < since < crossed + timedelta(seconds=0.1) < datetime.now(UTC) + timedelta(seconds=0.2)
            due = datetime.fromisoformat(relay["probes"][1]["nextDue"])
            assert before < due < before + timedelta(minutes=3)

    async def test_nothing_is_left_running_when_it_has_stopped(self) -> None:
        before = asyncio.all_tasks()
        async with running(config()) as monitor:
            await until(lambda: exchanged(monitor, "ok") >= 1)
        await until(lambda: asyncio.all_tasks() == before, 3)

    async def test_the_runs_cut_short_are_aborted_and_in_the_journal(self, tmp_path: Path) -> None:
        async with running(config(folder=tmp_path)) as monitor:
            await until(lambda: exchanged(monitor, "ok") >= 2)
        assert exchanged(monitor, "failed") == 0
        again = Monitor(config(folder=tmp_path)).journal.runs()
        assert {Outcome.OK} <= {kept.run.outcome for kept in again} <= {Outcome.OK, Outcome.ABORTED}
