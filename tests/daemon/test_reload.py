"""Reload of valid configurations: what continues, starts and stops."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from monitor.embedded import FaultPlan, parse_fault
from monitor.vocabulary import Outcome
from tests.daemon.harness import page, shown, stored_events, total, until
from tests.daemon.reloading import ONE, TWO, running
from tests.relays import BUILD_TIMEOUT, ENGINE, Engine

pytestmark = pytest.mark.alone


class TestUnchanged:
    async def test_an_unchanged_configuration_changes_nothing(self) -> None:
        async with running() as made:
            await made.delivers("one")
            embedded, task = made.monitor.monitored_relays.relays["one"].embedded, made.task("one", "steady")
            slots, count = made.monitor.schedule._jobs["one", "away"].slots, made.exchanges("one")
            monitored = made.monitor.monitored_relays.relays["one"]
            await made.reload()
            assert made.monitor.monitored_relays.relays["one"] is monitored
            assert monitored.embedded is embedded
            assert made.task("one", "steady") is task
            assert made.monitor.schedule._jobs["one", "away"].slots is slots
            assert made.exchanges("one") >= count
            await made.delivers("one")
            assert made.exchanges("one", "failed") + made.exchanges("one", "aborted") == 0

    async def test_a_new_relay_does_not_affect_the_others(self) -> None:
        async with running() as made:
            await made.delivers("one")
            task, idle = made.task("one", "steady"), made.task("one", "idle")
            await made.reload((ONE, TWO))
            await made.delivers("two")
            assert (made.task("one", "steady"), made.task("one", "idle")) == (task, idle)
            assert made.exchanges("one", "failed") + made.exchanges("one", "aborted") == 0
            assert made.monitor.schedule.next_due("two", "away") is not None

    async def test_lean_metrics_and_back_disturb_no_probe(self) -> None:
        async with running() as made:
            await made.delivers("one")
            task = made.task("one", "steady")
            standard = {name for name, _ in page(made.monitor)}
            good = total(page(made.monitor), "relay_slo_events_total", slo="fast", outcome="good")
            assert good > 0
            await made.reload(("slos:", "metrics: {detail: lean}\nslos:"))
            lean = page(made.monitor)
            assert {name for name, _ in lean} < standard
            assert total(lean, "relay_slo_events_total", slo="fast", outcome="good") >= good
            assert total(lean, "relay_up", relay="one") == 1
            await made.reload(("metrics: {detail: lean}\nslos:", "slos:"))
            assert {name for name, _ in page(made.monitor)} == standard
            assert made.task("one", "steady") is task
            await made.delivers("one")
            assert made.exchanges("one", "failed") + made.exchanges("one", "aborted") == 0

    async def test_thresholds_limits_and_maintenance_change_without_reconnects(self) -> None:
        async with running() as made:
            await made.delivers("one")
            task, monitored = made.task("one", "steady"), made.monitor.monitored_relays.relays["one"]
            await made.reload(
                ("threshold: 1500ms", "threshold: 1ms"),
                ("messages_per_minute: 6000", "messages_per_minute: 5000"),
                ("url: embedded,", "url: embedded, labels: {team: wallets}, max_severity: warning,"),
                ("slos:", "maintenance: [{cron: '* * * * *', duration: 1h, reason: upgrade}]\nslos:"),
            )
            assert made.task("one", "steady") is task
            assert made.monitor.monitored_relays.relays["one"] is monitored
            found = page(made.monitor)
            assert total(found, "relay_slo_threshold_seconds", slo="fast") == 0.001
            assert total(found, "relay_probe_relay_info", team="wallets", max_severity="warning") == 1
            assert monitored.admission.messages._limit == 5000
            before = made.exchanges("one", "excluded")
            await until(lambda: made.exchanges("one", "excluded") > before)
            (relay,) = (await made.monitor.views.view()).relays
            assert relay.maintenance is not None
            assert relay.maintenance.reason == "upgrade"


class TestAudit:
    async def test_log_and_journal_say_what_a_reload_changed_and_no_secret(self) -> None:
        async with running() as made:
            with capture_logs() as lines:
                await made.reload(
                    ("threshold: 1500ms", "threshold: 1ms"), ("url: embedded,", "url: embedded, token: hunter2,")
                )
            (line,) = [line for line in lines if line["event"] == "configuration reloaded"]
            assert line["changes"] == ["relays[one].token: null → ***", "slos[fast].threshold: 1s500ms → 1ms"]
            hashed = shown(made.monitor, "relay_monitor_config_info", hash=line["config_hash"])
            (event,) = await stored_events(made.monitor, "reload", 1)
            assert (hashed, event.text) == (1, f"Configuration reloaded: {'; '.join(line['changes'])}.")
            assert "hunter2" not in str(lines) + str(event)

    async def test_a_reload_without_a_change_says_so(self) -> None:
        async with running() as made:
            await made.reload()
            (event,) = await stored_events(made.monitor, "reload", 1)
            assert event.text == "Configuration reloaded without a change."


class TestRemoved:
    async def test_removing_a_relay_removes_its_series_tasks_and_server(self) -> None:
        async with running(TWO) as made:
            await made.delivers("two")
            task, embedded = made.task("two", "steady"), made.monitor.monitored_relays.relays["two"].embedded
            count = made.exchanges("one")
            assert made.has_series(relay="two")
            await made.reload((TWO, ONE))
            assert task.done()
            assert not made.has_series(relay="two")
            assert made.monitor.schedule.next_due("two", "away") is None
            assert embedded is not None
            await until(lambda: embedded.connections == 0)
            assert [relay.name for relay in (await made.monitor.views.view()).relays] == ["one"]
            assert made.exchanges("one") >= count
            await made.delivers("one")
            await asyncio.sleep(0.3)  # late reports would come now
            assert not made.has_series(relay="two")

    async def test_removing_a_probe_removes_its_series_only(self) -> None:
        async with running() as made:
            await made.delivers("one")
            await until(lambda: made.connections("one") == 6)
            await made.reload(("  - {name: idle, scenario: steady-state}\n", ""))
            assert not made.has_series(probe="idle")
            await until(lambda: made.connections("one") == 4)
            await made.delivers("one")

    async def test_a_running_run_of_a_removed_probe_is_aborted_and_published(self) -> None:
        async with running() as made:
            await until(lambda: made.monitor.schedule._tasks != set())
            await made.reload(("{every: 2m}", "{cron: '0 0 1 1 *'}"))
            runs = made.monitor.journal.runs(probe="away")
            assert [stored.run.outcome for stored in runs] == [Outcome.ABORTED]
            assert shown(made.monitor, "relay_probe_exchanges_total", probe="away", outcome="aborted") == 1
            # An undelivered message gets its verdict in time even if its probe was removed.
            await until(lambda: shown(made.monitor, "relay_probe_messages_pending", probe="away") == 0)
            assert made.monitor.schedule.next_due("one", "away") is not None

    async def test_a_probe_added_again_starts_at_zero_without_old_reports(self) -> None:
        def pending() -> float:
            return shown(made.monitor, "relay_probe_messages_pending", probe="visit")

        async with running() as made:
            await made.delivers("one")
            embedded = made.monitor.monitored_relays.relays["one"].embedded
            assert embedded is not None
            embedded.plan = FaultPlan([parse_fault("drop:channel=session")])  # applies to new connections
            visit = "  - {name: visit, scenario: realistic-session, schedule: {every: 2m}, timeout: 1s}\n"
            await made.reload(("slos:", visit + "slos:"))
            await until(lambda: pending() == 1)
            await made.reload((visit, ""))
            assert made.monitor.monitored_relays.background  # the message is still awaited
            await made.reload(("slos:", visit + "slos:"))
            seen = [pending()]
            while made.monitor.monitored_relays.background:
                await asyncio.sleep(0.02)
                seen.append(pending())
            assert min(seen) == 0


class TestChanged:
    async def test_a_changed_probe_restarts_and_keeps_its_counters(self) -> None:
        async with running() as made:
            await made.delivers("one")
            task, idle, count = made.task("one", "steady"), made.task("one", "idle"), made.exchanges("one")
            await made.reload(("message_interval: 200ms", "message_interval: 100ms"))
            assert task.done()
            assert made.task("one", "steady") is not task
            assert made.task("one", "idle") is idle
            assert made.exchanges("one") >= count
            await made.delivers("one")
            assert made.exchanges("one", "failed") == 0

    @pytest.mark.required_counterpart(ENGINE)
    @pytest.mark.timeout(BUILD_TIMEOUT)
    async def test_a_relay_with_another_url_has_a_new_verdict(self, engine: Engine) -> None:
        async with running() as made:
            await made.delivers("one")
            assert made.monitor.monitored_relays.relays["one"].verdict.up is True
            await made.reload(("url: embedded", f'url: "{engine.url}"'))
            monitored = made.monitor.monitored_relays.relays["one"]
            assert monitored.embedded is None
            await made.delivers("one")
            assert monitored.verdict.up is True
            assert shown(made.monitor, "relay_up", relay="one") == 1
            assert await engine.connections() == 6
