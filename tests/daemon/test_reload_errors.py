"""Reloads that fail, and reloads by signal and HTTP."""

from __future__ import annotations

import asyncio
import re
import signal
from typing import TYPE_CHECKING

import httpx
import pytest

from monitor.errors import StartupError
from monitor.web import WebServer, build_app
from tests.daemon.harness import Daemon, page, samples, shown, total
from tests.daemon.reloading import ONE, TWO, Running, running

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.alone


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
