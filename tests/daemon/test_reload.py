"""Reload of valid configurations: what continues, starts and stops."""

from __future__ import annotations

import asyncio

import pytest

from monitor.embedded import FaultPlan, parse_fault
from monitor.vocabulary import Outcome
from tests.daemon.harness import page, shown, total, until
from tests.daemon.reloading import ONE, TWO, running
from tests.relays import BUILD_TIMEOUT, ENGINE, Engine

pytestmark = pytest.mark.alone


class TestWhatDidNotChange:
    async def test_the_same_file_again_touches_nothing(self) -> None:
        async with running() as made:
            await made.goes_on("one")
            embedded, task = made.monitor.monitored_relays.relays["one"].embedded, made.task("one", "steady")
            slots, count = made.monitor.schedule._jobs["one", "away"].slots, made.exchanged("one")
            watched = made.monitor.monitored_relays.relays["one"]
            await made.reload()
            assert made.monitor.monitored_relays.relays["one"] is watched
            assert watched.embedded is embedded
            assert made.task("one", "steady") is task
            assert made.monitor.schedule._jobs["one", "away"].slots is slots
            assert made.exchanged("one") >= count
            await made.goes_on("one")
            assert made.exchanged("one", "failed") + made.exchanged("one", "aborted") == 0

    async def test_a_new_relay_leaves_the_old_ones_alone(self) -> None:
        async with running() as made:
            await made.goes_on("one")
            task, idle = made.task("one", "steady"), made.task("one", "idle")
            await made.reload((ONE, TWO))
            await made.goes_on("two")
            assert (made.task("one", "steady"), made.task("one", "idle")) == (task, idle)
            assert made.exchanged("one", "failed") + made.exchanged("one", "aborted") == 0
            assert made.monitor.schedule.next_due("two", "away") is not None

    async def test_thresholds_limits_and_windows_are_taken_up_under_connections_that_stand(self) -> None:
        async with running() as made:
            await made.goes_on("one")
            task, watched = made.task("one", "steady"), made.monitor.monitored_relays.relays["one"]
            await made.reload(
                ("threshold: 1500ms", "threshold: 1ms"),
                ("messages_per_minute: 6000", "messages_per_minute: 5000"),
                ("url: embedded,", "url: embedded, labels: {team: wallets}, max_severity: warning,"),
                ("slos:", "maintenance: [{cron: '* * * * *', duration: 1h, reason: moving}]\nslos:"),
            )
            assert made.task("one", "steady") is task
            assert made.monitor.monitored_relays.relays["one"] is watched
            found = page(made.monitor)
            assert total(found, "relay_slo_threshold_seconds", slo="fast") == 0.001
            assert total(found, "relay_probe_relay_info", team="wallets", max_severity="warning") == 1
            assert watched.admission.messages._limit == 5000
            before = made.exchanged("one", "excluded")
            await until(lambda: made.exchanged("one", "excluded") > before)
            assert made.monitor.status()["relays"][0]["maintenance"] == "moving"


class TestWhatWent:
    async def test_a_relay_takes_its_series_its_tasks_and_its_server_along(self) -> None:
        async with running(TWO) as made:
            await made.goes_on("two")
            task, embedded = made.task("two", "steady"), made.monitor.monitored_relays.relays["two"].embedded
            count = made.exchanged("one")
            assert made.has_series(relay="two")
            await made.reload((TWO, ONE))
            assert task.done()
            assert not made.has_series(relay="two")
            assert made.monitor.schedule.next_due("two", "away") is None
            assert embedded is not None
            await until(lambda: embedded.connections == 0)
            assert [relay["name"] for relay in made.monitor.status()["relays"]] == ["one"]
            assert made.exchanged("one") >= count
            await made.goes_on("one")
            await asyncio.sleep(0.3)  # whatever might still report
            assert not made.has_series(relay="two")

    async def test_a_probe_takes_its_series_along_and_leaves_the_relay(self) -> None:
        async with running() as made:
            await made.goes_on("one")
            await until(lambda: made.connections("one") == 6)
            await made.reload(("  - {name: idle, scenario: steady-state}\n", ""))
            assert not made.has_series(probe="idle")
            await until(lambda: made.connections("one") == 4)
            await made.goes_on("one")

    async def test_a_run_that_goes_on_is_aborted_and_told(self) -> None:
        async with running() as made:
            await until(lambda: made.monitor.schedule._tasks != set())
            await made.reload(("{every: 2m}", "{cron: '0 0 1 1 *'}"))
            runs = made.monitor.journal.runs(probe="away")
            assert [kept.run.outcome for kept in runs] == [Outcome.ABORTED]
            assert shown(made.monitor, "relay_probe_exchanges_total", probe="away", outcome="aborted") == 1
            # A message that nobody took is judged once its horizon has passed, the run's probe being changed or not.
            await until(lambda: shown(made.monitor, "relay_probe_messages_pending", probe="away") == 0)
            assert made.monitor.schedule.next_due("one", "away") is not None

    async def test_what_comes_back_begins_at_zero_and_hears_nothing_of_before(self) -> None:
        def pending() -> float:
            return shown(made.monitor, "relay_probe_messages_pending", probe="visit")

        async with running() as made:
            await made.goes_on("one")
            embedded = made.monitor.monitored_relays.relays["one"].embedded
            assert embedded is not None
            embedded.plan = FaultPlan([parse_fault("drop:channel=session")])  # of connections from now on
            visit = "  - {name: visit, scenario: realistic-session, schedule: {every: 2m}, timeout: 1s}\n"
            await made.reload(("slos:", visit + "slos:"))
            await until(lambda: pending() == 1)
            await made.reload((visit, ""))
            assert made.monitor.monitored_relays.background  # the message is still looked out for
            await made.reload(("slos:", visit + "slos:"))
            seen = [pending()]
            while made.monitor.monitored_relays.background:
                await asyncio.sleep(0.02)
                seen.append(pending())
            assert min(seen) == 0


class TestWhatChanged:
    async def test_a_probe_begins_anew_and_counts_on(self) -> None:
        async with running() as made:
            await made.goes_on("one")
            task, idle, count = made.task("one", "steady"), made.task("one", "idle"), made.exchanged("one")
            await made.reload(("message_interval: 200ms", "message_interval: 100ms"))
            assert task.done()
            assert made.task("one", "steady") is not task
            assert made.task("one", "idle") is idle
            assert made.exchanged("one") >= count
            await made.goes_on("one")
            assert made.exchanged("one", "failed") == 0

    @pytest.mark.required_counterpart(ENGINE)
    @pytest.mark.timeout(BUILD_TIMEOUT)
    async def test_a_relay_that_is_reached_in_another_way_has_no_verdict_yet(self, engine: Engine) -> None:
        async with running() as made:
            await made.goes_on("one")
            assert made.monitor.monitored_relays.relays["one"].verdict.up is True
            await made.reload(("url: embedded", f'url: "{engine.url}"'))
            watched = made.monitor.monitored_relays.relays["one"]
            assert watched.embedded is None
            await made.goes_on("one")
            assert watched.verdict.up is True
            assert shown(made.monitor, "relay_up", relay="one") == 1
            assert await engine.connections() == 6
