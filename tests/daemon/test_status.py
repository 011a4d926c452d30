"""The view of a monitor in this process."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from monitor.daemon import status
from monitor.daemon.app import Monitor
from monitor.daemon.status import MAX_AGE
from monitor.vocabulary import Condition, Outcome
from monitor.web.serialization import monitor_from_json, monitor_to_json
from tests.daemon.harness import config, exchanged, running, shown, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.web.model import MonitorView, RelayView


async def viewed(monitor: Monitor, condition: Callable[[MonitorView], bool]) -> MonitorView:
    """Return the first view that satisfies a condition: the journal stores runs after a second."""
    async with asyncio.timeout(20):
        while not condition(view := await monitor.views.view()):  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.1)
    return view


def last_run(view: MonitorView) -> str | None:
    """Return the id of the last run of the first probe at the first relay."""
    last = view.relays[0].probes[0].last
    return None if last is None else last.run.id


def stored(relay: RelayView) -> bool:
    return sum(cell.ok for cell in relay.hour) >= 2 and relay.round_trip.p50 is not None


async def test_it_has_relays_and_probes_with_what_they_did() -> None:
    before = datetime.now(UTC)
    async with running(config()) as monitor:
        await until(lambda: monitor.monitored_relays.relays["demo"].verdict.up is True)
        await until(lambda: exchanged(monitor, "ok") >= 2)
        view = await viewed(monitor, lambda view: stored(view.relays[0]))
        after = datetime.now(UTC)
        assert before - timedelta(seconds=1) < view.started_at < view.now < after
        assert (view.healthy, view.reasons, view.banner.sentence) == (True, (), "The relay demo is up")
        (relay,) = view.relays
        assert (relay.name, relay.condition, relay.up, relay.accepting) == ("demo", Condition.UP, True, True)
        assert relay.last_delivered is not None
        assert before < relay.since < after
        assert before < relay.last_delivered < after
        assert [(probe.name, probe.schedule) for probe in relay.probes] == [
            ("steady", "continuous"),
            ("offline", "every 2m"),
        ]
        continuous, offline = relay.probes
        assert continuous.last is not None
        assert continuous.last.run.outcome is Outcome.OK
        assert continuous.last.age < 20
        assert offline.next_due is not None
        assert before < offline.next_due < before + timedelta(minutes=3)
        assert sum(cell.ok for cell in relay.hour) >= 2
        assert sum(cell.ok for cell in relay.day) >= 2
        assert relay.success_ratio_1h == 1
        assert relay.round_trip.p50 is not None
        assert relay.round_trip.p50 < 1


async def test_all_who_ask_at_once_get_one_view() -> None:
    async with running(config()) as monitor:
        first, second = await asyncio.gather(monitor.views.view(), monitor.views.view())
        assert first is second
        await asyncio.sleep(MAX_AGE)
        assert await monitor.views.view() is not first


async def test_one_who_gives_up_does_not_cancel_the_others() -> None:
    async with running(config()) as monitor:
        asking = asyncio.ensure_future(monitor.views.view())
        other = asyncio.ensure_future(monitor.views.view())
        await asyncio.sleep(0)
        asking.cancel()
        assert (await other).relays


async def test_it_is_json_and_back() -> None:
    async with running(config()) as monitor:
        await until(lambda: exchanged(monitor, "ok") >= 1)
        view = await monitor.views.view()
        read = monitor_from_json(b"".join(monitor_to_json(view)))
        assert read.relays[0].probes == view.relays[0].probes
        assert (read.banner, read.started_at, read.config_hash) == (view.banner, view.started_at, view.config_hash)
        assert read.relays[0].hour == ()


async def test_a_failed_build_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = Monitor(config())
    with monkeypatch.context() as patched:
        patched.setattr(status, "banner", None)
        for _ in range(2):
            with pytest.raises(TypeError):
                await monitor.views.view()
    assert (await monitor.views.view()).version


async def test_a_bug_in_the_journal_costs_figures_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(config()) as monitor:
        monkeypatch.delattr(monitor.views, "_reader")
        view = await monitor.views.view()
        assert (view.relays[0].name, view.journal_healthy) == ("demo", False)
        assert shown(monitor, "relay_monitor_task_failures_total", task="status") == 0  # for the first minute


async def test_while_the_journal_hangs_the_view_has_its_last_figures_and_the_present_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released = threading.Event()
    async with running(config()) as monitor:
        await until(lambda: exchanged(monitor, "ok") >= 1)
        before = await viewed(monitor, lambda view: last_run(view) is not None)
        monkeypatch.setattr(status, "JOURNAL_TIMEOUT", 0.05)
        monkeypatch.setattr(monitor.journal, "cells", lambda *_: released.wait())
        monkeypatch.setattr(status, "MAX_AGE", 0.0)
        monkeypatch.setattr(monitor.views._reader._hour, "_expires", 0.0)
        try:
            view = await viewed(monitor, lambda view: last_run(view) != last_run(before))
            assert (before.journal_healthy, view.journal_healthy) == (True, False)
            assert view.relays[0].hour == before.relays[0].hour
            assert view.now > before.now
        finally:
            released.set()
