"""Drills of a monitor, in virtual time: their series, their end, the schedule, and what outlasts a restart."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from monitor.clock import SYSTEM_CLOCK, LoopClock
from monitor.config import Config, parse
from monitor.daemon.drills import NAME, POLL_INTERVAL, SCHEDULED, Drills
from monitor.daemon.status import MAX_AGE
from monitor.drill import Link, Result
from monitor.errors import RequestError
from monitor.metrics import Metrics
from monitor.schedule import Schedule
from monitor.state import StateFolder
from monitor.supervision import Supervision
from tests.daemon.harness import config as shipped
from tests.daemon.harness import running, until
from tests.sockets import closed_port
from tests.web.test_prometheus import serving, vector

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from monitor.clock import Clock

CONFIG = """
location: eu
relays: [{name: demo, url: embedded}]
probes: [{name: steady, scenario: steady-messaging}]
alerts: {external_url: "https://{location}.example.com"}
"""
SERIES = "relay_monitor_drill_relay_up"


def damaged(**values: object) -> bytes:
    """Return a file whose last drill has these values."""
    return json.dumps({"last": {"author": "a", "timeout": 1, "ended": 1} | values, "last_success": None}).encode()


class Process:
    """What one process of the monitor has to do with drills."""

    def __init__(self, text: str = "", folder: Path | None = None, clock: Clock | None = None) -> None:
        self.config: Config = parse(CONFIG + text, "config.yaml", {})
        self.clock = clock or LoopClock()
        self.metrics = Metrics(self.config, version="0", shard="1/2", clock=self.clock)
        self.schedule = Schedule(clock=self.clock, on_result=self.metrics.count_run, seed="eu")
        self.supervision = Supervision()
        self.state = StateFolder(folder) if folder is not None else None
        self.drills = Drills(
            lambda: self.config,
            shard="1/2",
            clock=self.clock,
            metrics=self.metrics,
            schedule=self.schedule,
            supervision=self.supervision,
            folder=self.state,
        )
        self.drills.read()

    def series(self, name: str) -> dict[str, float]:
        """Return the series of a metric by their last label."""
        registry = self.metrics.registry.restricted_registry([name])
        return {
            list(sample.labels.values())[-1]: sample.value for family in registry.collect() for sample in family.samples
        }

    def counted(self) -> dict[str, float]:
        return self.series("relay_monitor_drills_total")

    async def start(self) -> None:
        self.drills.configure(self.config)
        await self.schedule.start()

    def reload(self, text: str) -> None:
        self.config = parse(CONFIG + text, "config.yaml", {})
        self.metrics.reconfigure(self.config)
        self.drills.configure(self.config)

    async def stop(self) -> None:
        self.drills.stop()
        await self.schedule.stop(0)
        if self.state is not None:
            await asyncio.to_thread(self.drills.close, 5)
            self.state.close()


@asynccontextmanager
async def process(text: str = "") -> AsyncIterator[Process]:
    made = Process(text)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@pytest.mark.looptime
class TestOneDrill:
    async def test_its_series_is_there_until_the_notification_arrives(self) -> None:
        async with process() as made:
            drill = made.drills.start(None, "ana")
            assert made.series(SERIES) == {drill.id: 0.0}
            await asyncio.sleep(9)
            made.drills.see_scrape(drill.id, "Prometheus/2.42.0\n")
            await asyncio.sleep(12)
            assert made.drills.see_notification(drill.id, made.clock.time() - 6.5)
            last = made.drills.last
            assert last is not None
            assert (last.scraped, last.scraper, last.firing, last.received) == (9, "Prometheus/2.42.0 ", 14.5, 21)
            assert made.drills.running is None
            assert made.series(SERIES) == {}
            assert made.series("relay_monitor_drill_page_seconds") == {"1/2": 21.0}
            assert made.series("relay_monitor_drill_last_successful") == {"1/2": 1.0}
            ended_at = last.started_at + 21
            assert made.series("relay_monitor_drill_last_success_timestamp_seconds") == {"1/2": ended_at}
            assert made.counted() == {"ok": 1, "failed": 0, "cancelled": 0}

    async def test_it_fails_when_its_time_is_over(self) -> None:
        async with process() as made:
            made.drills.start(60, "ana")
            with capture_logs() as lines:
                await asyncio.sleep(60)
                assert made.drills.running is None
            (line,) = [line for line in lines if line["event"] == "drill failed"]
            assert (line["missing"], "has not scraped" in line["why"]) == (Link.SCRAPED, True)
            assert made.series(SERIES) == {}
            assert made.series("relay_monitor_drill_last_successful") == {"1/2": 0.0}
            assert made.series("relay_monitor_drill_page_seconds") == {}
            assert made.counted() == {"ok": 0, "failed": 1, "cancelled": 0}

    async def test_a_failure_names_the_webhook_of_this_monitor(self) -> None:
        async with process() as made:
            drill = made.drills.start(60, "ana")
            made.drills.see_scrape(drill.id, "Prometheus")
            await asyncio.sleep(60)
            assert made.drills.last is not None
            assert "https://eu.example.com/-/drill" in made.drills.last.why

    async def test_only_one_runs(self) -> None:
        async with process() as made:
            drill = made.drills.start(60, "ana")
            await asyncio.sleep(20)
            with pytest.raises(RequestError, match=rf"drill {drill.id} of ana runs, for at most 40 s more"):
                made.drills.start(60, "ben")
            assert list(made.series(SERIES)) == [drill.id]

    async def test_a_cancelled_one_says_nothing_of_the_chain(self) -> None:
        async with process() as made:
            drill = made.drills.start(60, "ana")
            with pytest.raises(RequestError, match="no drill 'other' runs"):
                made.drills.cancel("other")
            assert made.drills.cancel(drill.id).result is Result.CANCELLED
            assert (made.drills.last, made.series(SERIES)) == (None, {})
            assert made.series("relay_monitor_drill_last_successful") == {}
            assert made.counted() == {"ok": 0, "failed": 0, "cancelled": 1}
            await asyncio.sleep(120)
            assert made.counted() == {"ok": 0, "failed": 0, "cancelled": 1}

    @pytest.mark.parametrize("id_", ["", "0123456789abcdef", "\udc80", "é"])
    async def test_the_notification_of_another_drill_does_not_count(self, id_: str) -> None:
        async with process() as made:
            assert not made.drills.see_notification(id_, None)
            drill = made.drills.start(60, "ana")
            assert not made.drills.see_notification(id_, None)
            made.drills.see_scrape(id_, "Prometheus")
            assert made.drills.running == drill

    async def test_it_continues_through_a_reload(self) -> None:
        async with process() as made:
            drill = made.drills.start(60, "ana")
            for text in ("metrics: {detail: lean}", "metrics: {detail: standard}"):
                made.reload(text)
                assert made.series(SERIES) == {drill.id: 0.0}
            assert made.drills.see_notification(drill.id, None)

    async def test_it_ends_with_the_process(self) -> None:
        async with process() as made:
            made.drills.start(60, "ana")
        assert made.series(SERIES) == {}
        assert made.counted()["cancelled"] == 1


@pytest.mark.looptime
class TestSchedule:
    CRON = 'drill: {cron: "*/10 * * * *"}'

    async def test_drills_start_at_the_times_of_the_crontab_line(self) -> None:
        async with process(self.CRON) as made:
            authors = []
            for _ in range(3):
                await asyncio.sleep(600)
                assert made.drills.newest is not None
                authors.append((made.drills.newest.author, made.drills.newest.started_at % 600 < 1))
            assert authors == [(SCHEDULED, True)] * 3
            assert made.counted()["failed"] >= 2

    async def test_one_that_runs_already_skips_it(self) -> None:
        async with process(self.CRON) as made:
            drill = made.drills.start(1200, "ana")
            with capture_logs() as lines:
                await asyncio.sleep(900)
            assert made.drills.running == drill
            assert "scheduled drill skipped" in [line["event"] for line in lines]

    async def test_a_reload_changes_the_times(self) -> None:
        async with process(self.CRON) as made:
            made.reload("")
            await asyncio.sleep(3600)
            assert made.drills.newest is None
            made.reload('drill: {cron: "*/30 * * * *"}')
            made.reload('drill: {cron: "*/30 * * * *", timeout: 1m}')
            await asyncio.sleep(1860)
            assert made.counted()["failed"] == 1


class TestPrometheus:
    async def test_it_says_whether_the_alert_fires(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("monitor.daemon.drills.POLL_INTERVAL", 0.01)
        queries: list[str] = []
        fires = False

        def respond(_: str, query: str) -> tuple[int, bytes]:
            queries.append(query)
            return 200, vector(({"alertname": "RelayMonitorDrill"}, "1")) if fires else vector()

        with serving(respond) as url:
            made = Process(f'prometheus: {{url: "{url}"}}', clock=SYSTEM_CLOCK)
            drill = made.drills.start(60, "ana")
            await until(lambda: len(queries) >= 2)
            assert made.drills.running == drill
            fires = True
            await until(lambda: made.drills.running is not None and made.drills.running.firing is not None)
            count = len(queries)
            made.drills.cancel(drill.id)
        assert f'drill="{drill.id}"' in queries[0]
        assert count <= 1000

    @pytest.mark.parametrize(
        ("code", "text"),
        [
            (200, "the alert RelayMonitorDrill does not fire"),
            (401, "Prometheus at {url} did not say whether the alert fires: status 401; prometheus.username"),
            (None, "Prometheus at {url} did not say whether the alert fires: "),
        ],
    )
    async def test_what_is_missing_is_told_only_if_it_answers(
        self, monkeypatch: pytest.MonkeyPatch, code: int | None, text: str
    ) -> None:
        monkeypatch.setattr("monitor.daemon.drills.POLL_INTERVAL", 0.01)
        with serving(lambda *_: (code or 500, vector())) as url:
            address = url if code is not None else f"http://127.0.0.1:{closed_port()}"
            made = Process(f'prometheus: {{url: "{address}"}}', clock=SYSTEM_CLOCK)
            drill = made.drills.start(0.5, "ana")
            made.drills.see_scrape(drill.id, "Prometheus")
            await until(lambda: made.drills.last is not None)
        assert made.drills.last is not None
        assert text.format(url=address) in made.drills.last.why
        assert "With `prometheus.url`" not in made.drills.last.why

    def test_it_is_not_asked_often(self) -> None:
        assert POLL_INTERVAL >= 1


class TestRestart:
    async def test_the_result_of_the_last_drill_is_kept(self, tmp_path: Path) -> None:
        first = Process(folder=tmp_path, clock=SYSTEM_CLOCK)
        drill = first.drills.start(60, "ana")
        first.drills.see_notification(drill.id, None)
        await first.stop()
        second = Process(folder=tmp_path, clock=SYSTEM_CLOCK)
        assert second.drills.last == first.drills.last
        assert second.series("relay_monitor_drill_last_successful") == {"1/2": 1.0}
        second.drills.start(0.01, "ana")
        await until(lambda: second.drills.running is None)
        await second.stop()
        third = Process(folder=tmp_path, clock=SYSTEM_CLOCK)
        assert third.series("relay_monitor_drill_last_successful") == {"1/2": 0.0}
        assert third.drills.last is not None
        assert (third.drills.last.result, third.drills.last.missing) == (Result.FAILED, Link.SCRAPED)
        # The warning says when the last one succeeded, also after another failure and another restart.
        name = "relay_monitor_drill_last_success_timestamp_seconds"
        third.drills.start(0.01, "ana")
        await until(lambda: third.drills.running is None)
        await third.stop()
        fourth = Process(folder=tmp_path, clock=SYSTEM_CLOCK)
        assert first.series(name) == third.series(name) == fourth.series(name) != {}

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"[]",
            b"{}",
            b"[" * 100_000,
            damaged(id="x", started_at="noon", result="ok"),
            damaged(id=1, started_at=1, result="ok"),
            damaged(id="x", started_at=1, result="good"),
            b'{"last": [], "last_success": null}',
        ],
    )
    def test_a_damaged_file_is_said_and_ignored(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / NAME).write_bytes(content)
        with capture_logs() as lines:
            assert Process(folder=tmp_path, clock=SYSTEM_CLOCK).drills.last is None
        assert [line["event"] for line in lines] == ["result of the last drill ignored: damaged"]


async def test_the_last_drill_is_in_the_view_of_the_monitor() -> None:
    async with running(shipped()) as monitor:
        assert (await monitor.views.view()).drill is None
        drill = monitor.drills.start(30, "ana")
        monitor.drills.see_notification(drill.id, None)
        await asyncio.sleep(MAX_AGE)
        shown = (await monitor.views.view()).drill
        assert monitor.drills.last is not None
        assert shown is not None
        assert (shown.seconds, shown.why) == (monitor.drills.last.received, "")


async def test_nothing_else_of_the_monitor_knows_of_a_drill() -> None:
    """No series but its own, no relay on the page, no incident, no event."""
    async with running(shipped()) as monitor:
        await until(lambda: all(relay.verdict.up for relay in monitor.monitored_relays.relays.values()))
        drill = monitor.drills.start(30, "ana")
        page = monitor.metrics.render()[0].decode()
        assert [line for line in page.splitlines() if '"drill"' in line or drill.id in line] == [
            f'{SERIES}{{drill="{drill.id}",install="default",location="here",relay="drill",shard="0/1"}} 0.0'
        ]
        view = await monitor.views.view()
        assert ([relay.name for relay in view.relays], view.incidents) == (["demo"], ())
        monitor.drills.cancel(drill.id)
        assert drill.id not in monitor.metrics.render()[0].decode()
