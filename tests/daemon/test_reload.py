"""Another configuration under a running monitor: what goes on, what goes, what comes, and what changes nothing."""

from __future__ import annotations

import asyncio
import gc
import re
import signal
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from monitor.config import Config, parse
from monitor.daemon.app import Monitor
from monitor.embedded import FaultPlan, parse_fault
from monitor.errors import MonitorError, StartupError
from monitor.vocabulary import Outcome
from monitor.web import WebServer, build_app
from tests.daemon.test_app import Daemon, daemon, page, samples, shown, total, until
from tests.relays import BUILD_TIMEOUT, ENGINE, Engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.alone

__all__ = ["daemon"]

ONE = """\
location: here
relays:
  - {name: one, url: embedded, limits: {messages_per_minute: 6000, connects_per_minute: 600}}
probes:
  - {name: steady, scenario: steady-messaging, message_interval: 200ms, settle: 0s, timeout: 2s}
  - {name: idle, scenario: steady-state}
  - {name: away, scenario: async-delivery, schedule: {every: 2m}, delay: 60s, timeout: 2s}
slos:
  - {name: fast, probe: steady, sli: latency, threshold: 1500ms, objective: 99%}
"""
TWO = ONE.replace(
    "probes:", "  - {name: two, url: embedded, limits: {messages_per_minute: 6000, connects_per_minute: 600}}\nprobes:"
)


class Running:
    """A monitor, and the text of its configuration: change it, then reload."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.monitor = Monitor(self.read(), source=self.read)

    def read(self) -> Config:
        return parse(self.text, "monitor.yaml", {})

    async def reload(self, *replacements: tuple[str, str]) -> None:
        for old, new in replacements:
            assert old in self.text
            self.text = self.text.replace(old, new)
        await self.monitor.reload()

    async def refused(self, text: str) -> str:
        """What is said of a configuration that is not taken up; the one before is put back."""
        before, self.text = self.text, text
        with pytest.raises(MonitorError) as caught:
            await self.monitor.reload()
        self.text = before
        return str(caught.value)

    def task(self, relay: str, probe: str) -> asyncio.Task[None]:
        return self.monitor.supervisor._continuous[relay, probe]

    def connections(self, relay: str) -> int:
        embedded = self.monitor.monitored_relays.relays[relay].embedded
        assert embedded is not None
        return embedded.connections

    def exchanged(self, relay: str, outcome: str = "ok") -> float:
        return shown(self.monitor, "relay_probe_exchanges_total", relay=relay, probe="steady", outcome=outcome)

    async def goes_on(self, relay: str) -> None:
        """Wait until messages cross from here on."""
        before = self.exchanged(relay)
        await until(lambda: self.exchanged(relay) > before)

    def has_series(self, **labels: str) -> bool:
        return any(labels.items() <= dict(own).items() for _, own in page(self.monitor))


@asynccontextmanager
async def running(text: str = ONE) -> AsyncIterator[Running]:
    made = Running(text)
    await made.monitor.start()
    try:
        yield made
    finally:
        for task in list(made.monitor.schedule._tasks):
            task.cancel()
        await made.monitor.stop()


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


class TestWhatIsRefused:
    async def test_a_faulty_file_changes_nothing_and_shows(self) -> None:
        async with running() as made:
            await made.goes_on("one")
            task, config = made.task("one", "steady"), made.monitor.config
            said = await made.refused(ONE.replace("every: 2m", "every: 2").replace("idle,", "away,"))
            assert [line.split(": ")[0:2] for line in said.splitlines()] == [
                ["monitor.yaml:7", "probes[2].name"],
                ["monitor.yaml:7", "probes[2].schedule.every"],
            ]
            assert made.monitor.config is config
            assert made.task("one", "steady") is task
            found = page(made.monitor)
            assert total(found, "relay_monitor_config_last_reload_successful") == 0
            taken_up = total(found, "relay_monitor_config_last_reload_success_timestamp_seconds")
            await made.goes_on("one")
            await made.reload()
            found = page(made.monitor)
            assert total(found, "relay_monitor_config_last_reload_successful") == 1
            assert total(found, "relay_monitor_config_last_reload_success_timestamp_seconds") > taken_up

    async def test_what_needs_a_restart_says_so(self) -> None:
        async with running() as made:
            said = await made.refused(ONE.replace("location: here", "location: there\nserver: {listen: '[::1]:1'}"))
            assert [line.partition(" while the monitor runs")[0] for line in said.splitlines()] == [
                "the configuration: location: cannot change from here to there",
                "the configuration: server.listen: cannot change from 127.0.0.1:9464 to [::1]:1",
            ]

    async def test_a_relay_that_cannot_start_leaves_the_others_as_they_were(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with running() as made:
            await made.goes_on("one")
            task = made.task("one", "steady")

            async def fail(_: object) -> None:
                raise StartupError("no room for another relay")

            monkeypatch.setattr("monitor.embedded.server.EmbeddedRelay.start", fail)
            assert await made.refused(TWO) == "no room for another relay"
            assert made.task("one", "steady") is task
            assert list(made.monitor.monitored_relays.relays) == ["one"]

    async def test_one_that_a_fault_of_ours_breaks_off_says_so_and_shows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with running() as made:
            await made.goes_on("one")

            def fail(*_: object) -> None:
                raise TypeError("no such thing")

            monkeypatch.setattr(made.monitor.supervisor, "start", fail)
            said = await made.refused(TWO)
            assert said.startswith("internal error, TypeError: no such thing")
            assert shown(made.monitor, "relay_monitor_config_last_reload_successful") == 0

    async def test_a_faulty_web_configuration_is_one_of_them(self, tmp_path: Path) -> None:
        web = tmp_path / "web.yml"
        web.write_text("basic_auth_users: {}\n")
        text = f"server: {{web_config_file: {web}}}\n" + ONE
        async with running(text) as made:
            terms = made.monitor.auth.security
            web.write_text("basic_auth_users: {me: hunter2}\n")
            said = await made.refused(text)
            assert said.startswith(f"{web}:1: basic_auth_users.me: is not a bcrypt hash")
            assert made.monitor.auth.security is terms
            web.write_text("http_server_config: {headers: {X-Frame-Options: deny}}\n")
            await made.reload()
            assert made.monitor.auth.security.config.http_server_config.headers == {"X-Frame-Options": "deny"}

    async def test_one_after_another_and_none_when_it_stops(self) -> None:
        async with running() as made:
            made.text = TWO
            await asyncio.gather(*(made.monitor.reload() for _ in range(5)))
            assert sorted(made.monitor.monitored_relays.relays) == ["one", "two"]
        assert "is stopping" in await made.refused(ONE)


@pytest.mark.required_counterpart(ENGINE)
@pytest.mark.timeout(BUILD_TIMEOUT)
async def test_under_load_standing_pairs_keep_their_connections(engine: Engine) -> None:
    """The engine counts connects: over twenty reloads, a probe that comes and goes makes its own and no others."""
    text = f"""\
relays: [{{name: real, url: "{engine.url}", limits: {{messages_per_minute: 60000, connects_per_minute: 6000}}}}]
probes:
  - {{name: steady, scenario: steady-messaging, pairs: 10, message_interval: 100ms, settle: 0s, timeout: 5s}}
  - {{name: idle, scenario: steady-state, connections: 5}}
"""
    admission = "  - {name: guest, scenario: steady-state, connections: 3}\n"

    async def connects() -> int:
        found = re.search(
            r'^centrifuge_client_command_duration_seconds_count\{.*method="connect"\} (\d+)',
            await engine.metrics(),
            re.MULTILINE,
        )
        assert found is not None
        return int(found[1])

    async def connected(number: int) -> None:
        async with asyncio.timeout(20):
            while await engine.connections() != number:  # noqa: ASYNC110 - the engine is another process
                await asyncio.sleep(0.02)

    async with running(text) as made:
        await connected(25)
        await made.goes_on("real")
        before = await connects()
        for number in range(20):
            made.text = text + admission if number % 2 == 0 else text
            await made.monitor.reload()
            assert (await engine.connections()) >= 25
            if number % 2 == 0:
                await connected(28)
            await made.goes_on("real")
        await connected(25)
        assert await connects() == before + 10 * 3
        assert made.exchanged("real", "failed") + made.exchanged("real", "aborted") == 0


def held() -> dict[str, int]:
    """What this process holds that must not grow with reloads."""
    gc.collect()
    descriptors = Path("/proc/self/fd")
    return {
        "tasks": len(asyncio.all_tasks()),
        "descriptors": len(list(descriptors.iterdir())) if descriptors.exists() else 0,
    }


async def test_many_reloads_leave_nothing_behind() -> None:
    """Everything comes and goes, forty times: relay, probe, schedule; each time something else goes with it."""
    variants = [
        ONE,
        TWO,
        TWO.replace("message_interval: 200ms", "message_interval: 150ms"),
        ONE.replace("  - {name: idle, scenario: steady-state}\n", "").replace("every: 2m", "every: 3m"),
    ]
    async with running() as made:

        async def settled() -> tuple[dict[str, int], int]:
            made.text = ONE
            await made.monitor.reload()
            await until(lambda: made.connections("one") == 6)
            await made.goes_on("one")
            await until(lambda: not made.monitor.monitored_relays.background)
            return held(), len(page(made.monitor))

        before, series = await settled()
        for number in range(40):
            made.text = variants[number % len(variants)]
            await made.monitor.reload()
            await asyncio.sleep(0.02 * (number % 3))  # met at other moments each time
        async with asyncio.timeout(30):
            while True:
                after, count = await settled()
                if after["tasks"] <= before["tasks"] and after["descriptors"] <= before["descriptors"]:
                    break
        assert count == series


class TestTheProcess:
    @pytest.mark.slow
    def test_sighup_and_post_reload_and_say_what_was_wrong(self, daemon: Daemon) -> None:
        daemon.until(lambda: daemon.exchanged("steady", "ok") >= 1)
        text = daemon.path.read_text()
        daemon.path.write_text(text.replace("name: demo", "name: renamed"))
        daemon.process.send_signal(signal.SIGHUP)
        daemon.until(lambda: [relay["name"] for relay in daemon.get("/api/v1/status").json()["relays"]] == ["renamed"])
        assert "demo" not in daemon.get("/metrics").text
        daemon.path.write_text(text + "relayz: []\n")
        answer = httpx.post(daemon.url + "/-/reload", timeout=10)
        assert answer.status_code == 400
        assert re.search(r"monitor\.yaml:\d+: relayz: is not a key here; did you mean relays\?", answer.text)
        assert total(samples(daemon.get("/metrics").text), "relay_monitor_config_last_reload_successful") == 0
        daemon.process.send_signal(signal.SIGHUP)  # told in the log, and nothing ends
        daemon.path.write_text(text)
        answer = httpx.post(daemon.url + "/-/reload", timeout=10)
        assert (answer.status_code, answer.text) == (200, "reloaded\n")
        daemon.until(lambda: daemon.exchanged("steady", "ok") >= 1)
        assert daemon.process.poll() is None


async def test_the_page_reloads_with_a_password_only(tmp_path: Path) -> None:
    web = tmp_path / "web.yml"
    web.write_text("basic_auth_users: {me: $2b$04$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW}\n")
    made = Running(f"server: {{web_config_file: {web}}}\n" + ONE)
    served = WebServer(build_app(made.monitor.web_state(), made.monitor.auth), "127.0.0.1", 0, made.monitor.auth)
    await served.start()
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"http://127.0.0.1:{served.port}/-/reload")
            assert answer.status_code == 401
    finally:
        await served.stop()
